"""seamless-service-ps: every form, as table and as JSON, over states that are made by hand."""

from __future__ import annotations

import json

import pytest
from remote_http_launcher.testing.processes import dead_pid, service_process, state_of
from seamless_config.service_commands.tables import human_size

HEADER = "SERVICE PROJECT STAGE PROCESS PORT PERSISTENT SIZE"


def _write(folder, key: str, state: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{key}.json").write_text(json.dumps(state))


def _stale(port: int = 7000, **more: object) -> dict:
    return {"status": "running", "pid": dead_pid(), "port": port, **more}


def _meta(service: str, **more: object) -> dict:
    return {"service": service, "cluster": "loc", "mode": "rw", "project": "p", **more}


def test_without_services_there_is_the_header(site):
    assert site.done("ps").out == HEADER + "\n"
    assert site.done("ps", "--json").out == ""


def test_client_view_needs_no_configuration(site):
    site.write_project("nonsense")
    site.write_clusters("nonsense: [")
    client = {"hostname": "localhost", "port": 60001, "tunneled-host": "far-ssh", "tunneled-port": 7000}
    _write(site.world.client, "database-far-ro-q--a--b--STAGE-sSUBSTAGE-t", client)
    _write(site.world.client, "hashserver-loc-rw-p", {**client, "status": "stale"})
    _write(site.world.client, "my-own", {"hostname": "h", "port": 1})
    assert site.done("ps").lines == [
        HEADER,
        "database q:a/b s:t client 60001 - -",
        "hashserver p - stale 60001 - -",
        "my-own - - client 1 - -",
    ]
    (row,) = site.done("ps", "--client --cluster far --json").rows
    assert row == {
        "cluster": "far",
        "host": "far-ssh",
        "key": "database-far-ro-q--a--b--STAGE-sSUBSTAGE-t",
        "mode": "ro",
        "persistent": None,
        "pid": None,
        "port": 60001,
        "process": "client",
        "project": "q",
        "queue": None,
        "service": "database",
        "size": None,
        "stage": "s",
        "subproject": "a/b",
        "substage": "t",
    }


def test_server_view_takes_the_selected_cluster(site):
    with service_process("x") as process:
        _write(
            site.world.server, "hashserver-loc-rw-p", state_of(process, port=7001, meta=_meta("hashserver"))
        )
        _write(site.world.server, "hashserver-other-rw-p", state_of(process, port=7002))
        _write(site.world.server, "jobserver-loc-rw-p", {"status": "failed", "meta": _meta("jobserver")})
        _write(site.world.server, "database-loc-rw-p", _stale())
        expected = [
            HEADER,
            "database p - stale 7000 - -",
            "hashserver p - running 7001 - -",
            "jobserver p - failed - - -",
        ]
        assert site.done("ps", "--server").lines == expected
        assert site.done("ps", "--all-clusters").lines == expected


def test_reference_states_without_meta_are_read_by_their_key(site):
    _write(site.world.server, "daskserver-loc-rw-p--sub--STAGE-sSUBSTAGE-t", _stale())
    _write(site.world.server, "pure-daskserver-loc-my-queue", _stale(port="7003"))
    first, second = site.done("ps", "--server --json").rows
    assert (first["project"], first["subproject"], first["stage"], first["substage"]) == (
        "p",
        "sub",
        "s",
        "t",
    )
    assert (second["service"], second["queue"], second["port"]) == ("pure-daskserver", "my-queue", 7003)


@pytest.mark.invariant("I-242")
def test_processes_that_share_project_and_stage_are_all_shown_with_their_data(site):
    site.add_buffers("p", n=3)
    for mode in ("rw", "ro"):
        meta = {**_meta("hashserver"), "mode": mode}
        _write(site.world.server, f"hashserver-loc-{mode}-p", _stale(meta=meta))
    for queue in ("a", "b"):
        meta = {**_meta("pure-daskserver"), "project": None, "queue": queue}
        _write(site.world.server, f"pure-daskserver-loc-{queue}", _stale(meta=meta))
    assert site.done("ps", "--cluster loc").lines == [
        HEADER,
        "hashserver p - stale 7000 populated 300 B",
        "hashserver p - stale 7000 populated 300 B",
        "pure-daskserver - - stale 7000 n/a -",
        "pure-daskserver - - stale 7000 n/a -",
    ]
    rows = site.done("ps", "--cluster loc --json").rows
    assert [row["mode"] for row in rows[:2]] == ["ro", "rw"]
    assert [row["queue"] for row in rows[2:]] == ["a", "b"]
    assert {row["path"] for row in rows[:2]} == {str(site.root / "buffers" / "p")}


def test_data_without_process_are_absent_however_deep(site):
    site.add_buffers("p", "a", "b", "c", "d", "STAGE-s", n=2)
    site.add_buffers("q", n=0)
    site.add_database("p", "a", "STAGE-s", size_bytes=42_000_000)
    assert site.done("ps", "--cluster loc").lines == [
        HEADER,
        "database p:a s absent - populated 42 MB",
        "hashserver p:a/b/c/d s absent - populated 200 B",
        "hashserver q - absent - populated 0 B",
    ]
    assert site.done("ps", "--cluster loc --project q --service hashserver").lines[1:] == [
        "hashserver q - absent - populated 0 B"
    ]
    assert site.done("ps", "--cluster loc --status absent --stage s --project p:a").lines[1:] == [
        "database p:a s absent - populated 42 MB"
    ]
    (row,) = site.done("ps", "--cluster loc --json --service database").rows
    assert (row["size"], row["path"]) == (42_000_000, str(site.root / "db" / "p" / "a" / "STAGE-s"))


def test_client_view_with_data_is_of_the_selected_project(site):
    site.add_buffers("p", "STAGE-s", n=1)
    site.add_buffers("other", n=1)
    site.add_database("p", "STAGE-s")
    _write(site.world.client, "hashserver-loc-rw-p--STAGE-s", {"hostname": "localhost", "port": 7})
    assert site.done("ps", "--persistent").lines == [
        HEADER,
        "hashserver p s client 7 populated 100 B",
        "database p s absent - populated 3 kB",
    ]


def test_client_view_with_data_but_no_project_says_so_on_one_line(site):
    site.write_project("- cluster: loc\n")
    found = site.done("ps", "--persistent")
    assert found.lines == [HEADER]
    assert found.err.startswith("seamless-service-ps: no data are shown: no project is selected")
    assert found.err.count("\n") == 1


def test_directory_of_a_process_is_looked_at_though_nothing_marks_it(site):
    folder = site.root / "buffers" / "p"
    folder.mkdir(parents=True)
    _write(site.world.server, "hashserver-loc-rw-p", _stale(workdir=str(folder)))
    _write(site.world.server, "database-loc-rw-p", _stale(workdir=str(site.root / "db" / "p")))
    assert site.done("ps", "--cluster loc").lines[1:] == [
        "database p - stale 7000 absent -",
        "hashserver p - stale 7000 empty -",
    ]


def test_status_chooses_rows(site):
    _write(site.world.server, "hashserver-loc-rw-p", _stale())
    _write(site.world.server, "jobserver-loc-rw-p", {"status": "failed", "meta": _meta("jobserver")})
    site.add_database("p")
    assert site.done("ps", "--cluster loc --status failed").lines[1:] == ["jobserver p - failed - - -"]
    assert site.done("ps", "--server --persistent --status absent").lines[1:] == [
        "database p - absent - populated 3 kB"
    ]


def test_malformed_state_is_a_row_and_hides_none(site):
    _write(site.world.server, "hashserver-loc-rw-p", _stale())
    (site.world.server / "database-loc-rw-p.json").write_text("{")
    found = site.done("ps", "--server")
    assert found.lines[1:] == ["database p - malformed - - -", "hashserver p - stale 7000 - -"]
    assert found.err.startswith("seamless-service-ps: malformed JSON in ")


def test_wide_table_has_more_columns(site):
    state = _stale(meta={**_meta("jobserver"), "subproject": "a", "stage": "s", "substage": "t"})
    _write(site.world.server, "jobserver-loc-rw-p--a--STAGE-sSUBSTAGE-t", state)
    header, row = site.done("ps", "--server --wide").lines
    assert header == f"{HEADER} HOST KEY CLUSTER MODE SUBPROJECT SUBSTAGE QUEUE PID TUNNEL NOTE"
    key = "jobserver-loc-rw-p--a--STAGE-sSUBSTAGE-t"
    assert row == f"jobserver p s stale 7000 - - local {key} loc rw a t - {state['pid']} - -"


def test_failure_of_a_start_is_the_note(site):
    error = {"message": "The port is taken.\nMore.", "kind": "failed"}
    _write(site.world.server, "hashserver-loc-rw-p", {"status": "failed", "error": error})
    assert site.done("ps", "--server --wide").lines[1].endswith("The port is taken.")
    assert site.done("ps", "--server --json").rows[0]["error"] == "The port is taken.\nMore."


def test_cache_directory_is_shown_under_its_own_name(site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEAMLESS_CACHE", str(site.root / "buffers"))
    site.add_buffers("__TOPLEVEL__", n=1)
    (site.root / "buffers" / "__TOPLEVEL__" / "seamless.db").write_bytes(b"x" * 10)
    assert site.done("ps", "--server --persistent").lines == [
        HEADER,
        "database SEAMLESS_CACHE - absent - populated 10 B",
        "hashserver SEAMLESS_CACHE - absent - populated 110 B",
    ]
    assert (
        site.done("ps", "--persistent --project SEAMLESS_CACHE --service database --json").rows[0]["project"]
        == "__TOPLEVEL__"
    )


@pytest.mark.parametrize(
    "words",
    [
        "--client --server",
        "--server --all-clusters",
        "--service web",
        "--mode x",
        "--status",
        "--clust loc",
        "extra",
    ],
)
def test_wrong_usage_is_code_2(site, words):
    found = site.run("ps", words)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: ")
    assert found.err.endswith("hint:  seamless-service-ps --help\n")


def test_wrong_configuration_is_code_1(site):
    assert site.run("ps", "--cluster nope").code == 1
    site.write_project("- cluster: loc\n  project: p\n")
    found = site.run("ps", "--server")
    assert (found.code, found.out) == (1, "")
    assert "seamless.yaml, line 2" in found.err


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (9_949, "9.9 kB"),
        (42_000_000, "42 MB"),
        (10**19, "10000 PB"),
    ],
)
def test_sizes_are_for_people(n_bytes, text):
    assert human_size(n_bytes) == text
