"""Which stored form of a buffer a client gets: what `Accept-Encoding` prefers, and every form in the end.

The server sends files as they are, so a client that accepts only plain bytes still gets a compressed form if there
is no other; `Content-Encoding` tells. Pure functions.
"""

from __future__ import annotations

import functools

from seamless_store.layout import Form
from seamless_store.served_directory import PLAIN_FIRST

__all__ = ("ENCODING_OF_FORM", "form_of_upload", "preference_of")

ENCODING_OF_FORM: dict[Form, str] = {"zst": "zstd", "gz": "gzip"}
_FORMS: dict[str, Form | None] = {"gzip": "gz", "zstd": "zst", "x-zstd": "zst", "identity": None}
_MAX_TOKENS = 32


@functools.lru_cache(maxsize=256)
def preference_of(accept_encoding: str) -> tuple[Form | None, ...]:
    """Return all three forms, in the order in which the client wants them.

    >>> preference_of("gzip;q=0.2, zstd;q=0.9")
    ('zst', 'gz', None)
    """
    weighted: list[tuple[float, list[Form | None]]] = []
    tokens = [token.split(";") for token in accept_encoding.lower().split(",")[:_MAX_TOKENS]]
    named = {_FORMS[token[0].strip()] for token in tokens if token[0].strip() in _FORMS}
    for name, *parameters in tokens:
        name = name.strip()
        quality = _quality(parameters)
        if quality <= 0:
            continue
        if name == "*":
            weighted.append((quality, [form for form in PLAIN_FIRST if form not in named]))
        elif name in _FORMS:
            weighted.append((quality, [_FORMS[name]]))
    weighted.sort(key=lambda entry: -entry[0])  # stable: by position where equal
    wanted = [form for _, forms in weighted for form in forms]
    return tuple(dict.fromkeys([*wanted, *PLAIN_FIRST]))


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def form_of_upload(content_encoding: str) -> Form | None:
    """Return in which form an upload comes; an encoding that is not known here is none."""
    name = content_encoding.strip().lower()
    return "zst" if name == "zstd" else "gz" if name == "gzip" else None
