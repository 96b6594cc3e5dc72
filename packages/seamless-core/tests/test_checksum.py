"""The class Checksum: construction, comparison, files, and the way to its buffer."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless import Buffer, CacheMissError, Checksum
from seamless.checksum import is_checksum_text

A64 = "a" * 64


@given(st.binary(min_size=32, max_size=32))
def test_all_three_forms_are_the_same_checksum(digest):
    forms = [
        Checksum(digest),
        Checksum(digest.hex()),
        Checksum(Checksum(digest)),
        Checksum._from_digest(digest),
    ]
    assert {form.hex() for form in forms} == {digest.hex()}
    assert {form.bytes() for form in forms} == {digest}
    assert len(set(forms)) == 1


def test_case_and_blanks_are_tolerated_and_normalised():
    assert Checksum("AB " * 32).hex() == "ab" * 32
    assert str(Checksum("AB" * 32)) == "ab" * 32
    assert repr(Checksum("AB" * 32)) == repr("ab" * 32)


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "a" * 63, "a" * 65, "a" * 66, "x" * 1000])
def test_malformed_text_is_a_value_error_that_shows_it(text):
    with pytest.raises(ValueError, match=rf"64 hexadecimal digits.*\({len(text)} characters\)"):
        Checksum(text)


def test_wrong_number_of_bytes_is_a_value_error():
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        Checksum(b"x" * 31)


@pytest.mark.parametrize("value", [None, 3, 1.5, [A64], bytearray(32)])
def test_other_types_are_type_errors(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        Checksum(value)


def test_equality_with_text_and_bytes():
    checksum = Checksum(A64)
    assert checksum == A64
    assert checksum == A64.upper()
    assert checksum == bytes.fromhex(A64)
    assert checksum != "b" * 64
    assert checksum != Checksum("b" * 64)
    assert (checksum == 5) is False
    assert (checksum == True) is True  # noqa: E712 (a bool compares truth)
    assert (checksum == False) is False  # noqa: E712


def test_comparing_with_none_is_an_error():
    with pytest.raises(TypeError, match="is None"):
        _ = Checksum(A64) == None  # noqa: E711


@pytest.mark.parametrize("malformed", ["abc", b"abc"])
def test_comparing_with_malformed_text_is_an_error(malformed):
    with pytest.raises(ValueError, match=r"abc|32 bytes"):
        _ = Checksum(A64) == malformed


def test_order_is_that_of_the_bytes():
    low, high = Checksum("0a" * 32), Checksum("b0" * 32)
    assert low < high
    assert high > low
    assert low < "b0" * 32
    assert high > bytes.fromhex("0a" * 32)
    assert sorted([high, low]) == [low, high]


def test_order_with_other_types_is_not_implemented():
    with pytest.raises(NotImplementedError, match="int"):
        _ = Checksum(A64) < 3


def test_less_or_equal_is_not_offered():
    with pytest.raises(TypeError, match="<="):
        _ = Checksum(A64) <= Checksum(A64)


def test_checksum_is_truthy_hashable_and_without_dict():
    checksum = Checksum("00" * 32)
    assert checksum
    assert {checksum: 1}[Checksum("00" * 32)] == 1
    assert not hasattr(checksum, "__dict__")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_keeps_it(protocol):
    checksum = Checksum(A64)
    assert pickle.loads(pickle.dumps(checksum, protocol)) == checksum
    assert copy.deepcopy(checksum) is checksum
    assert copy.copy(checksum) is checksum


@pytest.mark.parametrize("name", ["result", "result.CHECKSUM"])
def test_save_and_load(tmp_path, name):
    Checksum(A64).save(tmp_path / name)
    assert (tmp_path / "result.CHECKSUM").read_bytes() == A64.encode() + b"\n"
    assert Checksum.load(tmp_path / name) == A64
    assert [path.name for path in tmp_path.iterdir()] == ["result.CHECKSUM"]


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\xff" * 64, b"a" * 63 + b"\n"])
def test_loading_other_content_is_a_value_error(tmp_path, content):
    (tmp_path / "x.CHECKSUM").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.CHECKSUM does not hold a checksum"):
        Checksum.load(tmp_path / "x")


def test_loading_a_missing_file_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.CHECKSUM"):
        Checksum.load(tmp_path / "missing")


def test_only_64_lower_case_digits_are_a_checksum_text():
    assert is_checksum_text("0123456789abcdef" * 4)
    assert not is_checksum_text("A" * 64)
    assert not is_checksum_text("g" * 64)
    assert not is_checksum_text("a" * 63)
    assert not is_checksum_text("a" * 63 + "\n")
    assert not is_checksum_text("\u0661" * 64)  # digits of another script


def test_resolve_gives_buffer_or_value_while_somebody_holds_it():
    buffer = Buffer({"resolve": "me"}, "plain")
    checksum = buffer.get_checksum()
    assert checksum.resolve() is buffer
    assert checksum.resolve("plain") == {"resolve": "me"}
    assert checksum.fingertip_sync("plain") == {"resolve": "me"}


@pytest.mark.provokes("CacheMissError")
def test_unknown_checksum_is_a_cache_miss():
    with pytest.raises(CacheMissError, match="123412341234"):
        Checksum("1234" * 16).resolve()


def test_async_forms_agree():
    import asyncio

    buffer = Buffer([1, 2, "async"], "plain")

    async def both():
        checksum = buffer.get_checksum()
        return await checksum.resolution("plain"), await checksum.fingertip("plain")

    assert asyncio.run(both()) == ([1, 2, "async"], [1, 2, "async"])


def test_incref_keeps_a_buffer_that_nobody_holds():
    buffer = Buffer(b"kept by a reference")
    checksum = buffer.get_checksum()
    checksum.incref(scratch=True)
    del buffer
    assert checksum.resolve().content == b"kept by a reference"
    checksum.decref()


def test_tempref_can_be_cleared():
    from seamless.buffer_cache import get_buffer_cache

    buffer = Buffer(b"kept for a while")
    reference = buffer.get_checksum().tempref(scratch=True)
    assert get_buffer_cache().refcount(buffer.get_checksum().bytes()) == 1
    reference.clear()
    assert get_buffer_cache().refcount(buffer.get_checksum().bytes()) == 0


def test_find_says_what_to_use():
    with pytest.raises(NotImplementedError, match="resolve"):
        Checksum(A64).find()
