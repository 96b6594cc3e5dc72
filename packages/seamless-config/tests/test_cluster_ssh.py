"""Steps over the services of a cluster that ssh reaches: plain key, guarded key, tunnel; shared by several homes."""

from __future__ import annotations

import json
import os
import signal

import pytest
from cluster_world import ssh_cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
PROCESS = {"execution": "process"}
KEYS = ["database-far-rw-p", "hashserver-far-rw-p"]
WAYS = {
    "plain": ("tb-host", {}),
    "guarded": ("tb-guarded", {}),
    "tunnel": ("tb-host", {"tunnel": True}),
}


def far(clusters, ssh_hostname: str = "tb-host", **more):
    clusters.define(ssh_cluster(ssh_hostname, **more))
    clusters.configure({"project": "p"}, {"cluster": "far"}, PROCESS)
    return clusters


@pytest.mark.invariant("I-260")
@pytest.mark.parametrize("way", WAYS)
def test_another_home_shares_the_servers_and_finds_the_result(clusters, ssh_host, way):
    ssh_hostname, more = WAYS[way]
    user = far(clusters, ssh_hostname, **more)
    assert user.step()[:2] == ("42", "1")
    states = user.states(ssh_host.server)
    assert sorted(states) == KEYS
    assert {state["status"] for state in states.values()} == {"running"}
    assert user.states() == {}
    other = user.other_home()
    assert user.step(home=other)[:2] == ("42", "0")
    assert user.states(ssh_host.server) == states
    assert sorted(path.name for path in ssh_host.home.glob("buffers/p/*"))
    assert (ssh_host.home / "databases/p/seamless.db").exists()


def test_warm_client_makes_no_ssh_call(clusters, ssh_host):
    user = far(clusters)
    assert user.step()[1] == "1"
    calls = ssh_host.calls()
    assert user.step()[1] == "0"
    assert user.answer("seamless-run", "-c", "echo x") == "x\n"
    assert ssh_host.calls() == calls


def test_services_of_one_host_are_started_over_one_handshake(clusters, ssh_host):
    user = far(clusters)
    done = user.run("seamless-init")
    assert done.returncode == 0, done.stderr
    assert ssh_host.handshakes() == 1
    assert ssh_host.calls() == 4  # look and launch, twice
    assert sorted(user.states(ssh_host.server)) == KEYS


@pytest.mark.invariant("I-264")
def test_server_that_is_killed_is_started_again(clusters, ssh_host):
    user = far(clusters)
    assert user.step()[1] == "1"
    killed = [state["pid"] for state in user.states(ssh_host.server).values()]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert user.step()[:2] == ("42", "0")
    assert user.answer("seamless-run", "-c", "echo x") == "x\n"
    assert {state["pid"] for state in user.states(ssh_host.server).values()}.isdisjoint(killed)


def test_host_that_cannot_be_reached_is_named_with_layer_and_remedy(clusters, ssh_host):
    user = far(clusters, "tb-refused")
    done = user.run("seamless-run", "-c", "echo x")
    assert done.returncode == 1
    assert "the database of cluster 'far', project 'p', does not run on tb-refused (ssh)" in done.stderr
    assert "seamless-service-logs --service database --cluster far --project p" in done.stderr
    assert "Traceback" not in done.stderr


def test_collected_clients_name_the_services_as_the_cluster_sees_them(clusters, ssh_host):
    user = far(clusters, tunnel=True)
    code = """
        import json, seamless.config
        seamless.config.init()
        print(json.dumps(seamless.config.collect_remote_clients("far")))
    """
    collected = json.loads(user.python(code))
    (buffer,), (database,) = collected["buffer"], collected["database"]
    states = user.states(ssh_host.server)
    assert buffer["remote_url"] == f"http://localhost:{states['hashserver-far-rw-p']['port']}"
    assert database["remote_url"] == f"http://localhost:{states['database-far-rw-p']['port']}"
    assert buffer["url"] != buffer["remote_url"]
    assert "directory" not in buffer
    assert buffer["remote_directory"] == "~/buffers/p"


@pytest.mark.invariant("I-265")
def test_interrupt_during_a_launch_leaves_nothing_running_there(clusters, ssh_host):
    from remote_http_launcher.processes import group_members

    user = far(clusters)
    for name in ("hashserver", "seamless-database"):
        script = user.launches.programs / name
        script.write_text("#!/bin/sh\nsleep 1000\n")
        script.chmod(0o700)
    process = user.start("seamless-init")
    user.launches.wait_until(
        lambda: [state.get("status") for state in user.states(ssh_host.server).values()] == ["starting"] * 2
    )
    pids = [state["pid"] for state in user.states(ssh_host.server).values()]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    user.launches.wait_until(lambda: not any(group_members(pid) for pid in pids))
