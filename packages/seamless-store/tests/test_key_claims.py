"""Claims on keys between sets, threads and processes."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import time

import pytest
from seamless_store.database_errors import DatabaseLocked
from seamless_store.key_claims import KeyClaims

KEY, OTHER = (hashlib.sha256(label).digest() for label in (b"key", b"other"))

HOLDER = """
import sys
from seamless_store.key_claims import KeyClaims
claims = KeyClaims(sys.argv[1]).open()
assert claims.try_claim(bytes.fromhex(sys.argv[2]))
print("claimed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def claims(tmp_path):
    return KeyClaims(tmp_path / "seamless.db")


def test_a_key_belongs_to_one_set(claims):
    with claims.open() as mine, claims.open() as yours:
        assert mine.try_claim(KEY)
        assert mine.try_claim(KEY)
        assert not yours.try_claim(KEY)
        assert yours.try_claim(OTHER)
        mine.drop(KEY)
        assert yours.try_claim(KEY)


def test_closing_drops_all_claims(claims):
    mine, yours = claims.open(), claims.open()
    assert mine.try_claim(KEY)
    assert mine.try_claim(OTHER)
    mine.close()
    mine.close()
    assert yours.try_claim(KEY)
    assert yours.try_claim(OTHER)
    yours.close()


def test_waiting_for_a_claim_ends_at_the_deadline(claims):
    with claims.open() as mine, claims.open() as yours:
        assert mine.try_claim(KEY)
        with pytest.raises(DatabaseLocked, match=KEY.hex()):
            yours.claim(KEY, time.monotonic() + 0.01)


def test_a_killed_process_loses_its_claims(claims, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "seamless.db"), KEY.hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "claimed\n"
    with claims.open() as mine:
        assert not mine.try_claim(KEY)
        assert mine.try_claim(OTHER)
        process.kill()
        process.communicate()
        mine.claim(KEY, time.monotonic() + 20)


def test_a_removed_file_is_noticed(claims, tmp_path):
    with claims.open() as mine:
        assert mine.is_current()
        (tmp_path / ".seamless.db.claims").unlink()
        assert not mine.is_current()


def test_the_file_stays_empty(claims, tmp_path):
    assert claims.supported
    with claims.open() as mine:
        assert mine.try_claim(KEY)
        assert (tmp_path / ".seamless.db.claims").stat().st_size == 0


def test_a_platform_without_such_locks_is_noticed(claims, monkeypatch):
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    assert not claims.supported


def test_all_keys_can_be_claimed_at_once_unless_another_set_has_one(claims):
    with claims.open() as mine, claims.open() as yours:
        assert yours.try_claim(KEY)
        assert not mine.try_claim_all()
        assert mine.try_claim(OTHER)
        yours.drop(KEY)
        assert mine.try_claim_all()
        assert not yours.try_claim(KEY)
        assert not yours.try_claim_all()
