"""Whatever the bytes of a request, it is answered, and never by an error of the server."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seamless_database.request_types import REQUEST_TYPES

HEX = ["ab" * 32, "CD" * 32, "00" * 32]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=130)
    | st.sampled_from(
        [*HEX, "ab", "", "node", "mixed", "python", "\ud800", "{}", "[]", '{"schema_version": 1}']
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.builds(
    lambda tf, result, more: {"schema_version": 1, "tf_checksum": tf, "result_checksum": result, **more},
    st.sampled_from(HEX),
    st.sampled_from(HEX),
    st.dictionaries(st.text(max_size=12), VALUES, max_size=3),
)
MEMBERS = {
    "checksum": st.sampled_from(HEX) | VALUES,
    "value": st.sampled_from(HEX) | RECORDS | VALUES | st.lists(st.sampled_from(HEX), max_size=3),
    "result": st.sampled_from(HEX) | VALUES,
    "record": RECORDS | VALUES,
    "rows": st.lists(
        st.tuples(st.sampled_from(HEX) | VALUES, st.sampled_from(HEX) | VALUES, RECORDS | VALUES)
    ),
    "checksums": st.lists(st.sampled_from(HEX), max_size=5) | VALUES,
    "celltype": st.sampled_from(["mixed", "plain", "text"]) | VALUES,
    "subcelltype": SCALARS,
    "target_celltype": st.sampled_from(["int"]) | VALUES,
    "path": st.lists(SCALARS, max_size=3) | VALUES,
    "bucket_kind": st.sampled_from(["node", "queue"]) | VALUES,
    "label": SCALARS,
    "bucket_checksum": st.sampled_from(HEX) | VALUES,
    "freshness_tokens": st.dictionaries(st.text(max_size=5), VALUES, max_size=2) | VALUES,
    "captured_at": SCALARS,
}
REQUESTS = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(REQUEST_TYPES)) | VALUES}, optional=MEMBERS
).map(lambda request: json.dumps(request).encode())


@pytest.mark.invariant("I-146")
@given(method=st.sampled_from(["GET", "PUT", "HEAD"]), body=REQUESTS | st.binary(max_size=200))
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@pytest.mark.timeout(180)
def test_no_request_makes_the_server_fail(shared, method, body):
    status, text = shared.ask(method, body)
    assert status in (200, 400, 404, 409), text
    assert "Traceback" not in text


def test_the_server_still_answers_afterwards(shared):
    assert shared.get("protocol") == (200, '["seamless", "database", "2.2"]')
