"""Who may ask."""

from __future__ import annotations

import json
import urllib.error

import pytest
from seamless_service.access import Access, decide_access
from seamless_service.failures import StartFailed
from seamless_service.options import ServiceOptions
from seamless_service.status_file import StatusFile

TOKEN = "a-token-of-some-length-0123456789"


def _status(tmp_path, state=None, token=None, mode=0o600):
    path = tmp_path / "key.json"
    if token is not None:
        token_path = tmp_path / "key.token"
        token_path.write_text(token)
        token_path.chmod(mode)
    if state is None:
        return StatusFile(None)
    path.write_text(json.dumps(state))
    status = StatusFile(path)
    status.wait()
    return status


OURS = {"schema": 1, "status": "starting"}
OLDER = {"status": "starting"}


def test_loopback_without_token_is_open_and_says_nothing(tmp_path):
    access = decide_access(ServiceOptions(), _status(tmp_path), {})

    assert access.token is None
    assert access.note == ""
    assert access.refusal(None) is None


@pytest.mark.invariant("I-112")
@pytest.mark.parametrize("state", [None, OURS])
def test_another_address_without_token_is_refused_and_the_way_out_is_named(tmp_path, state):
    with pytest.raises(StartFailed, match=r"0\.0\.0\.0 without a token") as caught:
        decide_access(ServiceOptions(host="0.0.0.0"), _status(tmp_path, state), {})

    assert "--auth none" in caught.value.hint


def test_auth_none_opens_another_address_and_logs_it(tmp_path):
    access = decide_access(ServiceOptions(host="0.0.0.0", auth="none"), _status(tmp_path, OURS, TOKEN), {})

    assert access.token is None
    assert "--auth none" in access.note


def test_a_launcher_of_ours_may_open_another_address_in_its_state(tmp_path):
    access = decide_access(ServiceOptions(host="0.0.0.0"), _status(tmp_path, {**OURS, "auth": "none"}), {})

    assert access.token is None
    assert "auth: none of the launcher" in access.note


def test_the_command_line_wins_over_the_launchers_state(tmp_path):
    status = _status(tmp_path, {**OURS, "auth": "none"}, TOKEN)

    assert decide_access(ServiceOptions(auth="token"), status, {}).token == TOKEN.encode()


def test_a_launcher_that_knows_no_tokens_gets_an_open_service_and_a_line_in_the_log(tmp_path):
    access = decide_access(ServiceOptions(host="0.0.0.0"), _status(tmp_path, OLDER), {})

    assert access.token is None
    assert "knows no tokens" in access.note


def test_under_such_a_launcher_the_variable_decides(tmp_path):
    status = _status(tmp_path, OLDER, TOKEN)

    access = decide_access(ServiceOptions(host="0.0.0.0"), status, {"SEAMLESS_AUTH": "token"})

    assert access.token == TOKEN.encode()


def test_under_such_a_launcher_a_wrong_variable_is_an_error(tmp_path):
    with pytest.raises(StartFailed, match="SEAMLESS_AUTH is 'nonne'"):
        decide_access(ServiceOptions(), _status(tmp_path, OLDER), {"SEAMLESS_AUTH": "nonne"})


def test_the_variable_says_nothing_under_a_launcher_of_ours(tmp_path):
    with pytest.raises(StartFailed, match="without a token"):
        decide_access(ServiceOptions(host="0.0.0.0"), _status(tmp_path, OURS), {"SEAMLESS_AUTH": "none"})


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_token_beside_the_status_file_is_demanded_on_any_address(tmp_path, host):
    access = decide_access(ServiceOptions(host=host), _status(tmp_path, OURS, TOKEN + "\n"), {})

    assert access.token == TOKEN.encode()
    assert TOKEN not in repr(access)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        ("Basic dXNlcjpwYXNz", 401),
        (TOKEN, 401),
        ("Bearer", 403),
        ("Bearer wrong", 403),
        (f"Bearer {TOKEN}x", 403),
        (f"Bearer {TOKEN[:-1]}", 403),
        (f"Bearer {TOKEN.upper()}", 403),
        ("Bearer \udcff", 403),
    ],
)
def test_only_the_very_token_passes(header, status):
    refusal = Access(token=TOKEN.encode()).refusal(header)

    assert refusal is not None
    assert refusal[0] == status
    assert TOKEN not in refusal[1]


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_token_passes_in_every_form_of_the_header(header):
    assert Access(token=TOKEN.encode()).refusal(header) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602, 0o666])
def test_a_token_that_others_may_read_or_change_is_refused(tmp_path, mode):
    with pytest.raises(StartFailed, match="others may read or change") as caught:
        decide_access(ServiceOptions(auth="token"), _status(tmp_path, OURS, TOKEN, mode), {})

    assert "chmod 0600" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "state"),
    [(ServiceOptions(auth="group"), OURS), (ServiceOptions(), {**OURS, "auth": "group"})],
)
def test_a_group_may_share_a_token_file(tmp_path, options, state):
    access = decide_access(options, _status(tmp_path, state, TOKEN, 0o640), {})

    assert access.token == TOKEN.encode()


def test_a_shared_token_file_may_still_not_be_open_to_the_world(tmp_path):
    with pytest.raises(StartFailed, match="0644"):
        decide_access(ServiceOptions(auth="group"), _status(tmp_path, OURS, TOKEN, 0o644), {})


@pytest.mark.parametrize(
    "text", ["", "short", "two words in the token file", "a" * 5000, "zwölfzwölfzwölfzwölf"]
)
def test_a_token_that_is_not_one_long_word_is_refused(tmp_path, text):
    with pytest.raises(StartFailed, match="not one word") as caught:
        decide_access(ServiceOptions(), _status(tmp_path, OURS, text), {})

    assert not text or text not in str(caught.value)


def test_a_named_token_file_that_is_missing_is_an_error(tmp_path):
    options = ServiceOptions(token_file=str(tmp_path / "none"))

    with pytest.raises(StartFailed, match="cannot be read"):
        decide_access(options, _status(tmp_path), {})


def test_a_named_token_file_wins_over_the_one_beside_the_status_file(tmp_path):
    named = tmp_path / "mine"
    named.write_text("another-token-0123456789")
    named.chmod(0o600)

    access = decide_access(ServiceOptions(token_file=str(named)), _status(tmp_path, OURS, TOKEN), {})

    assert access.token == b"another-token-0123456789"


def test_auth_token_without_any_file_is_an_error(tmp_path):
    with pytest.raises(StartFailed, match="no token file"):
        decide_access(ServiceOptions(auth="token"), _status(tmp_path), {})


def test_a_running_service_refuses_without_token_and_answers_with_it(launch):
    service = launch(token=TOKEN)

    for path, header, status, error in (
        ("/state", "", 401, "token_missing"),
        ("/state", "Bearer nonsense", 403, "token_refused"),
        ("/metrics", "", 401, "token_missing"),
        ("/nowhere", "", 401, "token_missing"),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            service.get(path, Authorization=header)
        body = json.loads(caught.value.read())
        assert (caught.value.code, body["error"]) == (status, error)
        assert "token file" in body["hint"]
    assert service.get("/state")[0] == 200
    assert service.get("/healthcheck", Authorization="")[1] == b"OK"
    assert service.stop() == 0
    assert TOKEN not in service.log()
    assert TOKEN not in service.status_path.read_text()
