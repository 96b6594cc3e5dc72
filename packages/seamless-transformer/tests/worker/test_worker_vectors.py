"""Every golden vector of a Python or bash step gives the recorded result."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from seamless.buffer import Buffer
from seamless.checksum import Checksum
from seamless.errors import StepError
from seamless.step import StepRequest
from seamless_worker import run_step

_VECTORS = json.loads((Path(__file__).parents[4] / "contracts" / "vectors" / "identity.json").read_text())
_STEPS = [v for v in _VECTORS["transformations"] if v["kind"] in ("python", "bash")]
_WITH_RESULT = [v for v in _STEPS if v.get("result_checksum")]
_BY_NAME = {v["name"]: v for v in _STEPS}

# Where we differ from the reference, which fails on all of these.
_OUR_RESULTS = {
    "t23_none_arg": b"2\n",  # a null pin binds the name to None
    "t24_none_result": b"null\n",  # None is a result
    "t72_package_from_file": b"11\n",  # an import cycle inside a package is no error
    "t73_globals_merge_module": b"11\n",  # a `from __future__` in the middle of a joined module is no error
}
_OUR_FAILURES = {
    "t11_closure_fails": "name 'k' is not defined",
    "t12_module_global_fails": "name 'K' is not defined",
    "t20_async_def": "async def",
    "t65_bash_failing": "Return code 3",
}


def _request(bench, vector):
    for content in vector["pin_buffers_base64"].values():
        bench.keep(Buffer(base64.b64decode(content or "")))
    for text in (b"xx", b"data"):  # behind the folder vectors
        bench.keep(Buffer(text))
    transformation = json.loads(vector["transformation_dict"])
    return StepRequest(Checksum(vector["tf_checksum"]), transformation, bench.read)


@pytest.mark.parametrize("vector", _WITH_RESULT, ids=lambda v: v["name"])
def test_result_of_vector(bench, vector):
    outcome = run_step(_request(bench, vector))
    assert outcome.result.get_checksum().hex() == vector["result_checksum"]


@pytest.mark.parametrize("name", sorted(_OUR_RESULTS))
def test_vector_that_fails_in_the_reference_only(bench, name):
    outcome = run_step(_request(bench, _BY_NAME[name]))
    assert outcome.result.content == _OUR_RESULTS[name]


@pytest.mark.provokes("StepError")
@pytest.mark.parametrize("name", sorted(_OUR_FAILURES))
def test_vector_that_fails(bench, name):
    with pytest.raises(StepError) as caught:
        run_step(_request(bench, _BY_NAME[name]))
    assert _OUR_FAILURES[name] in str(caught.value.exception)


def test_every_vector_that_runs_is_covered():
    not_run = {v["name"] for v in _STEPS if v.get("norun") or v.get("call_error")}
    with_result = {v["name"] for v in _WITH_RESULT}
    assert with_result | _OUR_RESULTS.keys() | _OUR_FAILURES.keys() | not_run == _BY_NAME.keys()
    assert len(with_result) > 50
