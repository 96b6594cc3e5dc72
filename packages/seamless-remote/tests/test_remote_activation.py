"""The lists of clients in use: definitions, order, failures, launches and forwarding."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
import seamless_remote
from seamless.buffer import Buffer
from seamless_remote import buffer_remote, database_remote, errors, forwarding, launched
from seamless_remote.tokens import Token

CONTENT = Buffer(b"content")
NAME = CONTENT.get_checksum()
OTHER = Buffer(b"other").get_checksum()
SELECTED = ("alps", "folding", "", "one")


def use_buffers(*urls: str, readonly: bool = False, folders: tuple[Path, ...] = ()) -> None:
    names = []
    for number, folder in enumerate(folders):
        buffer_remote.define_extern_client(f"f{number}", "bufferfolder", directory=folder)
        names.append(f"f{number}")
    for number, url in enumerate(urls):
        buffer_remote.define_extern_client(f"s{number}", "hashserver", url=url, readonly=readonly)
        names.append(f"s{number}")
    buffer_remote.activate(no_main=True, extern_clients=names)


def use_databases(*urls: str, readonly: bool = False) -> None:
    for number, url in enumerate(urls):
        database_remote.define_extern_client(f"d{number}", "database", url=url, readonly=readonly)
    database_remote.activate(no_main=True, extern_clients=[f"d{number}" for number in range(len(urls))])


# --- buffers


def test_nothing_is_active_at_first():
    assert not buffer_remote.has_read_server()
    assert not buffer_remote.has_write_server()
    assert asyncio.run(buffer_remote.get_buffer(NAME)) is None
    assert asyncio.run(buffer_remote.write_buffer(NAME, CONTENT)) is False


def test_folders_come_before_servers_and_the_first_that_has_it_wins(hashserver, tmp_path: Path):
    first, second = hashserver(), hashserver()
    second.buffers[NAME.hex()] = b"content"
    use_buffers(first.url, second.url, folders=(tmp_path,))
    assert asyncio.run(buffer_remote.get_buffer(NAME)) == CONTENT
    assert (len(first.requests), len(second.requests)) == (1, 1)
    (tmp_path / NAME.hex()).write_bytes(b"content")
    assert asyncio.run(buffer_remote.get_buffer(NAME)) == CONTENT
    assert (len(first.requests), len(second.requests)) == (1, 1)


def test_every_writable_server_is_written_and_no_other(hashserver, tmp_path: Path):
    first, second, third = hashserver(), hashserver(), hashserver()
    use_buffers(first.url, second.url, folders=(tmp_path,))
    buffer_remote.define_extern_client("r", "hashserver", url=third.url)
    buffer_remote.activate(no_main=True, extern_clients=["f0", "s0", "s1", "r"])
    assert asyncio.run(buffer_remote.write_buffer(NAME, CONTENT)) is True
    asyncio.run(buffer_remote.promise(OTHER))
    assert [NAME.hex() in server.buffers for server in (first, second, third)] == [True, True, False]
    assert [server.promises for server in (first, second, third)] == [{OTHER.hex()}, {OTHER.hex()}, set()]


@pytest.mark.invariant("I-166")
def test_server_that_fails_is_passed_over_and_reported_only_when_nobody_has_it(hashserver):
    broken, good = hashserver(), hashserver()
    good.buffers[NAME.hex()] = b"content"
    broken.interfere = lambda method, path, body: (500, b"broken", {})
    use_buffers(broken.url, good.url)
    assert asyncio.run(buffer_remote.get_buffer(NAME)) == CONTENT
    with pytest.raises(errors.RequestFailed, match="broken"):
        asyncio.run(buffer_remote.get_buffer(OTHER))
    with pytest.raises(errors.RequestFailed, match="broken"):
        asyncio.run(buffer_remote.write_buffer(OTHER, Buffer(b"other")))
    assert OTHER.hex() in good.buffers


def test_damaged_buffer_is_taken_from_the_next_server(hashserver):
    bad, good = hashserver(), hashserver()
    bad.served[NAME.hex()] = (b"lie", "")
    good.buffers[NAME.hex()] = b"content"
    use_buffers(bad.url, good.url)
    with pytest.warns(errors.DamagedBufferWarning):
        assert asyncio.run(buffer_remote.get_buffer(NAME)) == CONTENT


def test_lengths_come_from_whoever_knows(hashserver, tmp_path: Path):
    broken, good = hashserver(), hashserver()
    broken.interfere = lambda method, path, body: (500, b"broken", {})
    good.buffers[NAME.hex()] = b"content"
    (tmp_path / OTHER.hex()).write_bytes(b"other")
    use_buffers(broken.url, good.url, folders=(tmp_path,))
    absent = Buffer(b"absent").get_checksum()
    assert asyncio.run(buffer_remote.get_buffer_lengths([NAME, OTHER, absent, NAME])) == [7, 5, None, 7]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"type_": "hashserver"}, errors.ClientMisconfigured),
        ({"type_": "hashserver", "url": "http://h", "directory": "d"}, errors.ClientMisconfigured),
        ({"type_": "bufferfolder", "directory": "d", "readonly": False}, errors.ClientMisconfigured),
        ({"type_": "bufferfolder", "url": "http://h"}, errors.ClientMisconfigured),
        ({"type_": "urlmap", "url": "http://h"}, NotImplementedError),
        ({"type_": "foldermap"}, NotImplementedError),
        ({"type_": "git-lfs-server"}, NotImplementedError),
        ({"type_": "ftp"}, TypeError),
    ],
)
def test_definition_that_makes_no_sense_is_refused(arguments: dict, error: type[Exception]):
    with pytest.raises(error):
        buffer_remote.define_extern_client("x", **arguments)
    assert buffer_remote.inspect_extern_clients() == []


def test_get_filename_is_not_offered():
    with pytest.raises(NotImplementedError, match="get_buffer"):
        asyncio.run(buffer_remote.get_filename(NAME))


# --- the database


def test_first_database_that_knows_wins(database):
    first, second = database(), database()
    second.results[NAME.hex()] = OTHER.hex()
    second.records[NAME.hex()] = {"a": 1}
    use_databases(first.url, second.url)
    assert asyncio.run(database_remote.get_transformation_result(NAME)) == OTHER
    assert asyncio.run(database_remote.get_rev_transformations(OTHER)) == [NAME]
    assert asyncio.run(database_remote.get_execution_record(NAME)) == {"a": 1}
    assert asyncio.run(database_remote.get_irreproducible_records(NAME)) is None
    assert asyncio.run(database_remote.get_transformation_result(OTHER)) is None


def test_every_writable_database_is_written_and_the_answer_is_true(database):
    first, second = database(), database()
    use_databases(first.url, second.url)
    assert database_remote.has_write_server()
    assert asyncio.run(database_remote.set_transformation_result(NAME, OTHER)) is True
    assert asyncio.run(database_remote.set_execution_record(NAME, OTHER, {"a": 1})) is True
    second.records[NAME.hex()] = {"b": 1}
    assert asyncio.run(database_remote.set_execution_record(NAME, OTHER, {"a": 1})) is True
    first.records[NAME.hex()] = {"b": 1}
    assert asyncio.run(database_remote.set_execution_record(NAME, OTHER, {"a": 1})) is False
    assert [server.results for server in (first, second)] == [{NAME.hex(): OTHER.hex()}] * 2
    assert asyncio.run(database_remote.undo_transformation_result(NAME, OTHER)) is True
    assert first.results == {}


def test_without_a_writable_database_nothing_is_written_and_the_answer_is_false(database):
    use_databases(database().url, readonly=True)
    assert (database_remote.has_read_server(), database_remote.has_write_server()) == (True, False)
    assert asyncio.run(database_remote.set_transformation_result(NAME, OTHER)) is False


def test_database_that_fails_is_passed_over_and_reported_only_when_nobody_knows(database):
    broken, good = database(), database()
    good.results[NAME.hex()] = OTHER.hex()
    broken.interfere = lambda method, path, body: (500, b"broken", {})
    use_databases(broken.url, good.url)
    assert asyncio.run(database_remote.get_transformation_result(NAME)) == OTHER
    with pytest.raises(errors.RequestFailed):
        asyncio.run(database_remote.get_transformation_result(OTHER))
    with pytest.raises(errors.RequestFailed):
        asyncio.run(database_remote.set_transformation_result(OTHER, NAME))
    assert good.results[OTHER.hex()] == NAME.hex()


def test_bucket_probes(database):
    server = database()
    server.interfere = lambda method, path, body: (200, b'{"label": "l"}', {})
    use_databases(server.url)
    assert asyncio.run(database_remote.set_bucket_probe("node", "l", NAME, {}, "now")) is True
    assert asyncio.run(database_remote.get_bucket_probe("node", "l")) == {"label": "l"}


def test_type_of_database_client_is_checked():
    with pytest.raises(TypeError, match="use 'database'"):
        database_remote.define_extern_client("x", "sqlite", url="http://h")


# --- activation and launches


@pytest.mark.provokes("ActivationError")
@pytest.mark.parametrize("module", [buffer_remote, database_remote])
def test_what_cannot_be_activated_is_named(module):
    with pytest.raises(errors.ActivationError, match="no extern client 'x'"):
        module.activate(no_main=True, extern_clients=["x"])
    with pytest.raises(errors.ActivationError, match="needs a cluster and a project"):
        module.define_launched_client(True)
    launched.set_selection(lambda: SELECTED)
    with pytest.raises(errors.ActivationError, match="twice"):
        module.activate(extra_launched_clients=[{"readonly": False}])
    with pytest.raises(errors.ActivationError, match="unknown fields"):
        module.activate(extra_launched_clients=[{"clusster": "x"}])
    assert not module.has_read_server()


@pytest.mark.parametrize("module", [buffer_remote, database_remote])
def test_disabled_module_activates_nothing(module, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DISABLED", True)
    module.activate(extern_clients=["x"])
    assert not module.has_read_server()


def test_activation_launches_nothing_and_the_first_use_does_once(hashserver, capsys, tmp_path: Path):
    server = hashserver()
    server.token = "s3cret"
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "buffers").mkdir()
    calls: list[launched.PreparedLaunch] = []

    def launcher(prepared):
        calls.append(prepared)
        files = {"token_file": str(tmp_path / "token"), "directory": str(tmp_path / "buffers")}
        return {"hostname": "127.0.0.1", "port": server.port, **files}

    launched.set_launcher(launcher)
    launched.set_selection(lambda: SELECTED)
    buffer_remote.activate(extra_launched_clients=[{"stage": "two"}])
    assert (calls, buffer_remote.has_write_server()) == ([], True)
    assert asyncio.run(buffer_remote.write_buffer(NAME, CONTENT)) is True
    buffer_remote.activate()
    (client,) = buffer_remote.active_clients().read
    client.restart()
    assert asyncio.run(buffer_remote.get_buffer(NAME)) == CONTENT
    assert calls == [launched.PreparedLaunch("hashserver", False, SELECTED)]
    assert capsys.readouterr().err == "Launch hashserver...\n"
    scope = {"cluster": "alps", "project": "folding", "subproject": ""}
    assert buffer_remote.inspect_launched_clients() == [
        {
            **scope,
            "stage": "one",
            "readonly": False,
            "url": server.url,
            "directory": str(tmp_path / "buffers"),
        },
        {**scope, "stage": "two", "readonly": True, "url": None, "directory": None},
    ]
    (tmp_path / "buffers" / OTHER.hex()).write_bytes(b"other")
    assert asyncio.run(buffer_remote.get_buffer(OTHER)).content == b"other"


@pytest.mark.provokes("LauncherMissing")
def test_without_launcher_the_error_says_who_provides_it():
    launched.set_selection(lambda: SELECTED)
    database_remote.activate()
    with pytest.raises(errors.LauncherMissing, match="seamless-config provides it"):
        asyncio.run(database_remote.get_transformation_result(NAME))


def test_launched_client_needs_its_scope():
    with pytest.raises(errors.ActivationError, match="before config"):
        launched.DatabaseLaunchedClient(True).ensure_initialized_sync()


def test_launched_service_that_is_gone_is_diagnosed(database, no_waits):
    server = database()
    launched.set_launcher(
        lambda *key: {"hostname": "127.0.0.1", "port": server.port},
        diagnose=lambda prepared: f"Its last words: {prepared.readonly, prepared.scope[0]}.",
    )
    client = launched.DatabaseLaunchedClient(True)
    client.config(*SELECTED)
    client.ensure_initialized_sync()
    server.end()
    with pytest.raises(errors.ServiceUnreachable, match=r"Its last words: \(True, 'alps'\)"):
        client.get_transformation_result_sync(NAME)


def test_launched_service_that_ended_is_launched_again(database, no_waits):
    first, second = database(), database()
    second.results[NAME.hex()] = OTHER.hex()
    ports = [first.port, second.port]
    launched.set_launcher(lambda *key: {"hostname": "127.0.0.1", "port": ports.pop(0)})
    client = launched.DatabaseLaunchedClient(True)
    client.config(*SELECTED)
    assert client.get_transformation_result_sync(NAME) is None
    first.end()
    assert client.get_transformation_result_sync(NAME) == OTHER
    assert client.url == second.url


def test_diagnosis_that_fails_does_not_hide_the_failure(database, no_waits):
    server = database()
    launched.set_launcher(
        lambda *key: {"hostname": "127.0.0.1", "port": server.port}, diagnose=lambda *key: 1 / 0
    )
    client = launched.DatabaseLaunchedClient(True)
    client.config(*SELECTED)
    client.ensure_initialized_sync(skip_healthcheck=True)
    server.end()
    with pytest.raises(errors.ServiceUnreachable, match="could not be asked"):
        client.get_transformation_result_sync(NAME)


def test_launches_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launched, "REMEMBERED", 2)
    calls: list[str] = []
    launched.set_launcher(lambda prepared: calls.append(prepared.scope[0]) or {"n": prepared.scope[0]})

    def launch(cluster: str) -> None:
        launched.launch(launched.prepare_launch("hashserver", True, (cluster, "p", "", "")))

    for cluster in ("a", "b", "a", "c", "a", "b"):
        launch(cluster)
    assert calls == ["a", "b", "c", "b"]
    launched.forget_launches()
    launch("a")
    assert calls[-1] == "a"


def test_threads_that_need_one_service_at_once_launch_it_once(capsys):
    calls: list[launched.PreparedLaunch] = []
    began = threading.Event()

    def launcher(prepared):
        calls.append(prepared)
        began.wait(10)
        return {"hostname": "h", "port": 1}

    launched.set_launcher(launcher)
    prepared = launched.prepare_launch("database", False, SELECTED)
    threads = [threading.Thread(target=launched.launch, args=(prepared,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    began.set()
    for thread in threads:
        thread.join()
    assert calls == [prepared]
    assert capsys.readouterr().err == "Launch database server...\n"


@pytest.mark.invariant("I-262")
def test_client_keeps_the_launch_it_was_configured_with(database):
    old, new = database(), database()
    ports = {"old": old.port, "new": new.port}
    wanted = ["old"]

    def prepare(kind, readonly, *scope):
        return launched.PreparedLaunch(kind, readonly, scope, {"directory": wanted[0]})

    launched.set_launcher(
        lambda prepared: {"hostname": "127.0.0.1", "port": ports[prepared.parameters["directory"]]},
        prepare=prepare,
    )
    launched.set_selection(lambda: SELECTED)
    database_remote.activate()
    (before,) = database_remote.active_clients().read
    wanted[0] = "new"
    database_remote.activate()
    (after,) = database_remote.active_clients().read
    after.ensure_initialized_sync()
    before.ensure_initialized_sync()
    assert (before.url, after.url) == (old.url, new.url)


def test_client_of_a_selection_that_was_left_is_defined_no_more(database):
    launched.set_selection(lambda: SELECTED)
    database_remote.activate()
    launched.set_selection(lambda: (*SELECTED[:3], "two"))
    database_remote.activate()
    assert [found["stage"] for found in database_remote.inspect_launched_clients()] == ["two"]
    database_remote.deactivate()
    assert database_remote.inspect_launched_clients() == []


def test_all_defined_clients_are_greeted(hashserver, database):
    one, two = hashserver(), database()
    use_buffers(one.url)
    use_databases(two.url)
    buffer_remote.ensure_initialized()
    database_remote.ensure_initialized()
    assert (one.healthchecks, two.healthchecks) == (1, 1)


# --- forwarding


def test_collected_clients_are_those_that_another_process_uses(
    hashserver, database, tmp_path: Path, monkeypatch
):
    buffers, results = hashserver(), database()
    (tmp_path / "token").write_text("s3cret")
    use_buffers(buffers.url, folders=(tmp_path,))
    buffer_remote.active_clients().write[0].token = Token(file=tmp_path / "token")
    use_databases(results.url, readonly=True)
    collected = seamless_remote.collect_remote_clients("alps")
    token_file = str(tmp_path / "token")
    assert collected == {
        "database": [{"readonly": True, "url": results.url, "remote_url": results.url}],
        "buffer": [
            {"readonly": True, "directory": str(tmp_path), "remote_directory": str(tmp_path)},
            {"readonly": False, "url": buffers.url, "remote_url": buffers.url, "token_file": token_file},
        ],
    }
    text = json.dumps(collected)
    assert "s3cret" not in text
    for module in (buffer_remote, database_remote):
        module.deactivate()
        module._extern_clients.clear()
    monkeypatch.setenv("SEAMLESS_REMOTE_CLIENTS", text)
    assert forwarding.set_remote_clients_from_environment()
    assert buffer_remote.inspect_extern_clients() == [
        {"name": "extern-buffer-0", "readonly": True, "url": None, "directory": str(tmp_path)},
        {"name": "extern-buffer-1", "readonly": False, "url": buffers.url, "directory": None},
    ]
    assert database_remote.inspect_extern_clients() == [
        {"name": "extern-db-0", "readonly": True, "url": results.url, "directory": None}
    ]
    assert asyncio.run(buffer_remote.write_buffer(NAME, CONTENT)) is True
    assert not database_remote.has_write_server()
    assert seamless_remote.collect_remote_clients() == collected


def test_launched_clients_are_forwarded_as_their_workers_see_them(hashserver):
    server = hashserver()
    remote = {"remote_url": "http://node:7", "remote_directory": "~/b"}
    launched.set_launcher(lambda *key: {"hostname": "127.0.0.1", "port": server.port, **remote})
    launched.set_selection(lambda: SELECTED)
    buffer_remote.activate()
    (entry,) = forwarding.collect_remote_clients("alps")["buffer"]
    assert entry == {"readonly": False, "url": server.url, **remote}
    assert forwarding.collect_remote_clients("other") == {"database": [], "buffer": []}
    forwarding.set_remote_clients({"buffer": [entry]}, in_remote=True)
    folder = str(Path("~/b").expanduser())
    assert buffer_remote.inspect_extern_clients() == [
        {"name": "extern-buffer-0-folder", "readonly": True, "url": None, "directory": folder},
        {"name": "extern-buffer-0-server", "readonly": False, "url": "http://node:7", "directory": None},
    ]
    forwarding.set_remote_clients({"buffer": [entry]})
    assert [client.url for client in buffer_remote.active_clients().read] == [server.url]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"buffers": []}',
        '{"buffer": {}}',
        '{"buffer": [{"readonly": true, "url": "http://h"}]}',
        '{"buffer": [{"readonly": true}]}',
        '{"buffer": [{"readonly": true, "url": 3}]}',
        '{"buffer": [{"readonly": true, "url": "http://h", "x": 1}]}',
        '{"database": [{"readonly": true, "directory": "d"}]}',
    ],
)
@pytest.mark.provokes("ForwardedClientsInvalid")
def test_list_that_cannot_be_used_is_refused_and_changes_nothing(text: str):
    with pytest.raises(errors.ForwardedClientsInvalid, match="SEAMLESS_REMOTE_CLIENTS"):
        forwarding.set_remote_clients_from_environment({"SEAMLESS_REMOTE_CLIENTS": text})
    assert not buffer_remote.has_read_server()
    assert not database_remote.has_read_server()


@pytest.mark.parametrize(
    "environ", [{}, {"SEAMLESS_REMOTE_CLIENTS": " "}, {"SEAMLESS_REMOTE_CLIENTS": "{", "SEAMLESS_CACHE": "c"}]
)
def test_without_a_list_nothing_changes(environ: dict[str, str]):
    assert forwarding.set_remote_clients_from_environment(environ) is False


def test_public_names_are_loaded_when_they_are_used():
    assert set(seamless_remote.__all__) <= set(dir(seamless_remote))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        seamless_remote.nothing
