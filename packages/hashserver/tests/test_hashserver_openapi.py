"""The OpenAPI document: it is served, it is valid, and the server keeps to it whatever the requests are."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import schemathesis
from hashserver.service import HashserverService
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from seamless_service.testing.service_process import ServiceProcess

DOCUMENT = json.loads(files("hashserver").joinpath("openapi.json").read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
FRAMED = {
    "PUT /{checksum}",
    "POST /buffers",
    "POST /buffers/get",
}  # what a body must be JSON Schema cannot tell


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Return one server for all requests of the module."""
    folder = tmp_path_factory.mktemp("buffers")
    command = [sys.executable, "-m", "hashserver", str(folder), "--writable"]
    with ServiceProcess(command, tmp_path_factory.mktemp("launch")) as process:
        yield process


@pytest.mark.slow
@pytest.mark.timeout(300)
@SCHEMA.parametrize()
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_names(case: Any, server: ServiceProcess) -> None:
    excluded = [positive_data_acceptance] if case.operation.label in FRAMED else []

    case.call_and_validate(base_url=server.url, excluded_checks=excluded)


def test_the_document_is_served(serve):
    client = serve()

    status, body, headers = client.ask("GET", "/openapi.json")

    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == DOCUMENT


def test_the_document_names_every_capability_and_the_protocol():
    assert DOCUMENT["info"]["version"] == HashserverService.protocol
    assert {"/buffers", "/buffers/get", "/has", "/has-now", "/buffer-length"} <= set(DOCUMENT["paths"])
