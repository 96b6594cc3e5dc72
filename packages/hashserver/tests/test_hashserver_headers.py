from __future__ import annotations

import pytest
from hashserver.conditions import etag_of, is_current, is_known_to_client
from hashserver.negotiation import form_of_upload, preference_of
from hashserver.ranges import MAX_RANGES, RangeMalformed, RangeNotSatisfiable, ranges_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ("", (None, "zst", "gz")),
        ("gzip, deflate", ("gz", None, "zst")),
        ("gzip, zstd", ("gz", "zst", None)),
        ("gzip;q=0.2, zstd;q=0.9", ("zst", "gz", None)),
        ("x-zstd", ("zst", None, "gz")),
        ("identity;q=1, *;q=0", (None, "zst", "gz")),
        ("*", (None, "zst", "gz")),
        ("*;q=0.5, gzip", ("gz", None, "zst")),
        ("gzip;q=0.1, *", (None, "zst", "gz")),
        ("gzip;q=0, zstd;q=x", (None, "zst", "gz")),
        ("GZIP ; q=1.0", ("gz", None, "zst")),
    ],
)
def test_order_of_forms(header, order):
    assert preference_of(header) == order


@given(st.text(max_size=100))
def test_every_form_is_reachable_whatever_is_accepted(header):
    assert sorted(preference_of(header), key=str) == [None, "gz", "zst"]


@pytest.mark.parametrize(
    ("header", "form"),
    [("", None), ("zstd", "zst"), (" GZIP ", "gz"), ("x-gzip", None), ("br", None), ("identity", None)],
)
def test_form_of_upload(header, form):
    assert form_of_upload(header) == form


@given(
    st.integers(1, 40), st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5)
)
def test_ranges_cover_exactly_what_was_asked_for(size, pairs):
    pairs = [(min(pair), max(pair)) for pair in pairs]
    wanted = {i for first, last in pairs for i in range(first, last + 1) if i < size}
    header = "bytes=" + ",".join(f"{first}-{last}" for first, last in pairs)
    if not wanted:
        with pytest.raises(RangeNotSatisfiable):
            ranges_of(header, size)
        return
    found = ranges_of(header, size)
    assert {i for first, behind in found for i in range(first, behind)} == wanted
    assert found == sorted(found)
    assert sum(behind - first for first, behind in found) == len(wanted)


@pytest.mark.provokes("RangeMalformed")
@pytest.mark.parametrize(
    "header", ["", "bytes", "lines=0-1", "bytes=a-b", "bytes=-", "bytes=5-2", "bytes=--1"]
)
def test_ranges_that_cannot_be_read(header):
    with pytest.raises(RangeMalformed):
        ranges_of(header, 10)


@pytest.mark.provokes("RangeNotSatisfiable")
@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0", "bytes=10-20,30-"])
def test_ranges_outside_the_file(header):
    with pytest.raises(RangeNotSatisfiable):
        ranges_of(header, 10)


def test_too_many_ranges_give_everything():
    assert ranges_of("bytes=" + ",".join(["0-0"] * (MAX_RANGES + 1)), 10) is None


def test_tags():
    assert etag_of("ab", None) == '"ab"'
    assert etag_of("ab", "gz") == '"ab-gz"'
    assert is_known_to_client('"x", "ab"', '"ab"')
    assert not is_known_to_client('"ab-gz"', '"ab"')
    assert not is_known_to_client("ab", '"ab"')
    assert is_current(None, '"ab"', "date")
    assert is_current("date", '"ab"', "date")
    assert not is_current('W/"ab"', '"ab"', "date")
