"""A service that is no client reads no certificates of authorities while it starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from seamless_service.certificates import without_certificates

COUNT = """
import gc, os, ssl
print(sum(found.cert_store_stats()["x509"] for found in gc.get_objects() if isinstance(found, ssl.SSLContext)))
print(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
"""
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBmDCCAT+gAwIBAgIUFDJCwGovfxcEI332Vj//eHaYubMwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWYW4gYXV0aG9yaXR5IGZvciB0ZXN0czAgFw0yNjExMjYxNDIw
NDRaGA8yMTI2MTEwMjE0MjA0NFowITEfMB0GA1UEAwwWYW4gYXV0aG9yaXR5IGZv
ciB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCvdOZd6lws+zbyHWkSC
wJBabygHT5zvXmPjsAFqo/OQ+kuqbMYcnUB0GPChVIJj03SCXdEso2FyyBkHRn2K
wR2jUzBRMB0GA1UdDgQWBBR49qexwQK2hFM4FikocuY4PmBktjAfBgNVHSMEGDAW
gBR49qexwQK2hFM4FikocuY4PmBktjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49
BAMCA0cAMEQCIEkHKVKCyml16YoXrMN+fejuaxokF8UKLmsF7MRaWjprAiAPuLhx
jcuXJvkyvUE6D0F2kGVn9UczBt+uVtHkRU6zXw==
-----END CERTIFICATE-----
"""


@pytest.fixture
def certificates(tmp_path) -> str:
    """A file with the certificate of one authority."""
    path = tmp_path / "authority.pem"
    path.write_text(AUTHORITY)
    return str(path)


def _counted(statements: str, **variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{COUNT}"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "statements",
    [
        "from seamless_service.certificates import without_certificates\n"
        "with without_certificates():\n    from seamless_service.run import run_service\n",
        "from hashserver.cli import main\ntry:\n    main(['/nowhere/at/all'])\nexcept SystemExit:\n    pass\n",
        "from seamless_database.command_line import main\nmain(['/nowhere/at/all/seamless.db'])\n",
    ],
)
def test_service_starts_without_certificates(statements, certificates):
    assert _counted("import aiohttp", SSL_CERT_FILE=certificates)[0] == "2"  # what it is about
    *_, n_certificates, variables = _counted(statements, SSL_CERT_FILE=certificates, SSL_CERT_DIR="/x")
    assert n_certificates == "0"
    assert variables == f"{certificates} /x"


def test_variables_are_as_before_whatever_happens(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "mine")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    inside = []

    def fail() -> None:
        with without_certificates():
            inside.extend([os.environ["SSL_CERT_FILE"], os.environ["SSL_CERT_DIR"]])
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert inside == [os.devnull, os.devnull]
    assert os.environ["SSL_CERT_FILE"] == "mine"
    assert "SSL_CERT_DIR" not in os.environ
