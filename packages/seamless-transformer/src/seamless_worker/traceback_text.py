"""Show a failure of a step the way its author would see it: the step's frames, none of the machinery's."""

from __future__ import annotations

from types import FrameType, TracebackType

__all__ = ("format_failure", "trim_failure")

_MACHINERY = frozenset(
    {"seamless", "seamless_store", "seamless_transformer", "seamless_worker", "seamless_remote"}
    | {"seamless_command", "seamless_config", "seamless_dask", "seamless_jobserver", "seamless_shell"}
    | {"importlib._bootstrap", "importlib._bootstrap_external"}
)
_MAX_LINES = 400  # of a traceback; a mutual recursion would fill thousands
_KEPT_HEAD_LINES = 100


def trim_failure(exception: BaseException, *, outside: BaseException | None = None) -> None:
    """Take the machinery's frames out of the exception and of those it came from, in place.

    outside: the exception that was being handled when the step began; it is none of the step's, so the
        implicit link to it is cut.
    """
    seen: set[int] = set()
    pending: list[BaseException] = [exception]
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = _user_frames(current.__traceback__)
        if current.__context__ is outside:
            current.__context__ = None
        pending.extend(e for e in (current.__cause__, current.__context__) if e is not None)
        pending.extend(_members(current))


def format_failure(exception: BaseException) -> str:
    """Return the traceback text of a trimmed exception; ends with a newline."""
    import traceback

    lines = "".join(
        traceback.TracebackException(type(exception), exception, exception.__traceback__).format()
    ).splitlines(keepends=True)
    if len(lines) > _MAX_LINES:
        n_left_out = len(lines) - _MAX_LINES
        lines[_KEPT_HEAD_LINES : _KEPT_HEAD_LINES + n_left_out] = [
            f"  [... {n_left_out} lines left out ...]\n"
        ]
    return "".join(lines)


def _user_frames(link: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while link is not None:
        if not _is_machinery(link.tb_frame):
            kept.append(link)
        link = link.tb_next
    chain: TracebackType | None = None
    for link in reversed(kept):
        chain = TracebackType(chain, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return chain


def _is_machinery(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and (name in _MACHINERY or name.partition(".")[0] in _MACHINERY)


def _members(exception: BaseException) -> list[BaseException]:
    """Return the exceptions of an ExceptionGroup; known by its attribute, for Python 3.10 has none built in."""
    members = getattr(exception, "exceptions", None)
    return [e for e in members if isinstance(e, BaseException)] if isinstance(members, tuple) else []
