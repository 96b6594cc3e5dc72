"""Import aiohttp without the certificates that its client half reads.

`import aiohttp` makes two TLS contexts for clients and reads the certificates of all authorities for each: 80 ms of a
service's 350 until it listens. A service that is no client of anybody has no use for them.
"""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("without_certificates",)

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@contextlib.contextmanager
def without_certificates() -> Iterator[None]:
    """Have TLS contexts that are made inside trust nobody. For the start of a process that makes no TLS connections.

    By the variables of OpenSSL, so not beside other threads.
    """
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
