from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless_transformer.definition_errors import PinNameError, UnknownDunderKey
from seamless_transformer.identity import (
    DERIVED_KEYS,
    LOAD_BEARING_KEYS,
    ORTHOGONAL_KEYS,
    IdentityTemplate,
    identity_text,
    is_load_bearing,
    tf_checksum,
    transformation_dict,
)

HEX = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
OTHER_HEX = "53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3"

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: not name.startswith("__")
)
hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
entries = st.tuples(
    st.sampled_from(["mixed", "plain", "deepcell"]), st.sampled_from([None, "module"]), st.none() | hexes
)


def simple_step() -> dict[str, object]:
    return transformation_dict(
        "python", "mixed", {"code": ["python", "transformer", HEX], "a": ["mixed", None, HEX]}
    )


@pytest.mark.invariant("I-66")
@given(
    pins=st.dictionaries(names, entries, max_size=6),
    fixed=st.dictionaries(names, entries, max_size=3),
    formats=st.none() | st.dictionaries(names, st.just({"filesystem": {"mode": "directory"}}), max_size=2),
    renames=st.none() | st.dictionaries(names, names, max_size=2),
)
def test_template_writes_what_the_slow_path_writes(pins, fixed, formats, renames):
    fixed = {name: entry for name, entry in fixed.items() if name not in pins}
    slow = transformation_dict("python", "plain", {**fixed, **pins}, formats=formats, renames=renames)

    template = IdentityTemplate(
        "python",
        "plain",
        pins={name: (celltype, subcelltype) for name, (celltype, subcelltype, _) in pins.items()},
        fixed=fixed,
        formats=formats,
        renames=renames,
    )
    pin_hexes = [entry[2] for entry in pins.values()]

    assert template.text(pin_hexes) == identity_text(slow)
    assert template.digest(pin_hexes) == tf_checksum(slow)


@pytest.mark.invariant("I-67")
@given(name=names, entry=entries, changed=entries)
def test_any_change_of_a_hashed_pin_changes_the_identity(name, entry, changed):
    before = transformation_dict("python", "mixed", {name: entry})
    after = transformation_dict("python", "mixed", {name: changed})

    is_same = entry == changed or name.startswith("META__")
    assert (tf_checksum(before) == tf_checksum(after)) == is_same


@pytest.mark.invariant("I-67")
@given(
    key=st.sampled_from(sorted(ORTHOGONAL_KEYS | DERIVED_KEYS)) | names.map(lambda name: "META__" + name),
    value=st.none() | st.text() | st.dictionaries(st.text(), st.integers()),
)
def test_no_carried_key_changes_the_identity(key, value):
    assert tf_checksum({**simple_step(), key: value}) == tf_checksum(simple_step())


@pytest.mark.invariant("I-67")
@pytest.mark.parametrize("key", sorted(LOAD_BEARING_KEYS - {"__language__", "__output__"}))
def test_an_empty_load_bearing_key_counts(key):
    assert tf_checksum({**simple_step(), key: {}}) != tf_checksum(simple_step())


@pytest.mark.parametrize(
    ("key", "value"), [("__language__", "bash"), ("__output__", ["result", "plain", None])]
)
def test_language_and_result_celltype_count(key, value):
    assert tf_checksum({**simple_step(), key: value}) != tf_checksum(simple_step())


def test_order_of_pins_does_not_count():
    pins = {"b": ["mixed", None, HEX], "a": ["mixed", None, OTHER_HEX], "é": ["mixed", None, HEX]}

    forward = transformation_dict("python", "mixed", pins)
    backward = transformation_dict("python", "mixed", dict(reversed(pins.items())))

    assert identity_text(forward) == identity_text(backward)


def test_pins_are_sorted_by_code_point():
    pins = dict.fromkeys(("😀", "\uffff", "a", "B"), ("mixed", None, HEX))

    text = identity_text(transformation_dict("python", "mixed", pins)).decode()

    assert [text.index(f'"{name}"') for name in ("B", "a", "\uffff", "\U0001f600")] == sorted(
        text.index(f'"{name}"') for name in pins
    )


def test_checksum_is_written_as_it_is_given():
    upper = transformation_dict("python", "mixed", {"a": ["mixed", None, HEX.upper()]})

    assert HEX.upper().encode() in identity_text(upper)


def test_digest_is_that_of_the_text():
    assert tf_checksum(simple_step()) == hashlib.sha256(identity_text(simple_step())).digest()


@pytest.mark.provokes("UnknownDunderKey")
@pytest.mark.parametrize("key", ["__x", "__meta", "__Meta__"])
def test_unknown_dunder_key_is_refused(key):
    with pytest.raises(UnknownDunderKey, match=f"^Unknown transformation dunder key: {key}$") as caught:
        tf_checksum({**simple_step(), key: 1})

    assert isinstance(caught.value, ValueError)
    assert caught.value.key == key


def test_metavariables_are_carried_but_not_hashed():
    assert not is_load_bearing("META__N")
    assert is_load_bearing("META_N")


def test_template_skips_the_place_of_a_metavariable():
    pins = {"META__N": ("str", None), "b": ("mixed", None), "a": ("mixed", None)}
    template = IdentityTemplate("bash", "bytes", pins=pins, fixed={})
    slow = transformation_dict("bash", "bytes", {"a": ("mixed", None, OTHER_HEX), "b": ("mixed", None, None)})

    assert template.text([HEX, None, OTHER_HEX]) == identity_text(slow)


def test_pin_given_as_input_and_as_fixed_is_refused():
    with pytest.raises(PinNameError, match="'a' is given twice"):
        IdentityTemplate("python", "mixed", pins={"a": ("mixed", None)}, fixed={"a": ["mixed", None, HEX]})


def test_dunder_pin_is_refused():
    with pytest.raises(PinNameError, match="'__x__'"):
        transformation_dict("python", "mixed", {"__x__": ["mixed", None, HEX]})


@pytest.mark.parametrize("key", ["__schema__", "a"])
def test_hashed_key_cannot_be_carried(key):
    with pytest.raises(ValueError, match="part of the identity"):
        transformation_dict("python", "mixed", {}, carried={key: HEX})


def test_unknown_carried_key_is_refused():
    with pytest.raises(UnknownDunderKey):
        transformation_dict("python", "mixed", {}, carried={"__nope__": 1})
