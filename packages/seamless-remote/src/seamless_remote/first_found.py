"""Ask several clients in order for what the former ones did not have."""

from __future__ import annotations

from .errors import RemoteError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    C = TypeVar("C")
    K = TypeVar("K")
    T = TypeVar("T")

__all__ = ("first_found",)


def first_found(
    clients: Iterable[C], keys: Sequence[K], ask: Callable[[C, list[K]], Sequence[T | None]]
) -> list[T | None]:
    """Return for each key the first answer that is not None.

    A client that fails is passed over; its error is raised at the end if a key is still without an answer, because
    nobody can tell then whether there is one.
    """
    found: list[T | None] = [None] * len(keys)
    missing = list(range(len(keys)))
    error: RemoteError | None = None
    for client in clients:
        if not missing:
            break
        try:
            answers = ask(client, [keys[index] for index in missing])
        except RemoteError as exc:
            error = error or exc
            continue
        for index, answer in zip(missing, answers, strict=True):
            found[index] = answer
        missing = [index for index in missing if found[index] is None]
    if missing and error is not None:
        raise error
    return found
