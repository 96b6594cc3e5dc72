"""Write a Python value as indented JSON, to the rules of a dialect.

What the two dialects share: two spaces a level, `": "` after a key, one item a line, sorted keys, `[]`
and `{}` for empty containers. A dialect supplies how scalars look, which keys it takes, what it makes of
other types, and how deep it goes. Homogeneous lists are written at C speed. Nothing but the standard
library is imported, so small values cost microseconds even in a process that just started.

The source of both dialects: `contracts/dialect-p.md` and `contracts/dialect-m.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

__all__ = ("JsonWriter", "Members", "is_cyclic")


class Members(list[tuple[str, object]]):
    """The members of an object in the order in which they are written: never sorted again."""


class _Refused(Exception):
    """Internal: a value that the dialect cannot write. Callers turn it into TypeError or ValueError."""

    def __init__(self, reason: str, *, too_deep: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.too_deep = too_deep
        self.path: list[object] = []  # innermost first

    def where(self) -> str:
        """Return the place of the offending value as subscripts, for example `value['a'][3]`."""
        keys = list(reversed(self.path))
        text = "".join(f"[{key!r}]" for key in keys[:8])
        return "value" + text + ("[...]" if len(keys) > 8 else "")


class JsonWriter:
    """The writer of one dialect.

    scalars: exact type -> function from the value to its JSON text.
    quote: str (and subclasses) -> JSON text.
    key_text: a key that is not exactly a str -> its text, or raises _Refused; None refuses them all.
    other: a value of any other type -> its JSON text, or a dict, list, tuple or Members to write instead;
        raises _Refused.
    max_depth: containers inside one another, at most.
    """

    def __init__(
        self,
        *,
        scalars: dict[type, Callable[[Any], str]],
        quote: Callable[[str], str],
        key_text: Callable[[object], str] | None,
        other: Callable[[Any], Any],
        max_depth: int,
    ) -> None:
        self._scalars = scalars
        self._scalar_types = frozenset(scalars)
        self._quote = quote
        self._key_text = key_text
        self._other = other
        self._max_depth = max_depth

    def text(self, value: Any) -> str:
        """Return the JSON text of `value`, without a final newline. Raises _Refused."""
        scalar = self._scalars.get(type(value))
        if scalar is not None:
            return scalar(value)
        out: list[str] = []
        try:
            self._emit(value, "\n", 1, out.append)
        except RecursionError:
            raise _Refused(
                "it is nested too deeply for what is left of Python's stack", too_deep=True
            ) from None
        return "".join(out)

    def _emit(self, value: Any, newline: str, level: int, out: Callable[[str], None]) -> None:
        cls = type(value)
        if cls is not dict and cls is not list and cls is not tuple:
            scalar = self._scalars.get(cls)
            if scalar is not None:
                out(scalar(value))
                return
            value = self._other(value)
            if type(value) is str:
                out(value)
                return
        if level > self._max_depth:
            raise _Refused(f"it is nested deeper than {self._max_depth} levels", too_deep=True)
        if not value:
            out("{}" if isinstance(value, (dict, Members)) else "[]")
            return
        # one frame of Python's stack for each level, so objects and arrays are written right here
        scalars, quote = self._scalars, self._quote
        inner = newline + "  "
        following = "," + inner
        if isinstance(value, (dict, Members)):
            members = self._members(value)
            separator = "{" + inner
            key: object = None
            try:
                for key, item in members:
                    scalar = scalars.get(type(item))
                    if scalar is not None:
                        out(f"{separator}{quote(key)}: {scalar(item)}")
                    else:
                        out(f"{separator}{quote(key)}: ")
                        self._emit(item, inner, level + 1, out)
                    separator = following
            except _Refused as refused:
                refused.path.append(key)
                raise
            out(newline + "}")
            return
        separator = "[" + inner
        types = set(map(type, value))
        if types <= self._scalar_types:
            out(separator)
            out(following.join(self._scalar_texts(value, types)))
        else:
            index = 0
            try:
                for index, item in enumerate(value):  # noqa: B007 (the error names the index)
                    out(separator)
                    self._emit(item, inner, level + 1, out)
                    separator = following
            except _Refused as refused:
                refused.path.append(index)
                raise
        out(newline + "]")

    def _scalar_texts(self, value: Sequence[Any], types: set[type]) -> list[str]:
        scalars = self._scalars
        try:
            if len(types) == 1:
                return list(map(scalars[types.pop()], value))
            return [scalars[type(item)](item) for item in value]
        except _Refused as refused:
            refused.path.append(self._first_refused(value))
            raise

    def _members(self, value: dict[Any, Any] | Members) -> Iterable[tuple[str, Any]]:
        if isinstance(value, Members):
            return value
        types = set(map(type, value))
        if types != {str} and self._key_text is None:
            key = next(key for key in value if type(key) is not str)
            raise _Refused(
                f"its key {key!r} is of type {type(key).__name__}; keys must be str: convert it with str()"
            )
        try:
            keys = sorted(value)
        except TypeError as exc:
            raise _Refused(
                f"its keys cannot be sorted ({exc}); give all keys one type, for example str"
            ) from None
        if types == {str} or self._key_text is None:
            return [(key, value[key]) for key in keys]
        return [(key if type(key) is str else self._key_text(key), value[key]) for key in keys]

    def _first_refused(self, value: Iterable[Any]) -> int:
        for index, item in enumerate(value):
            try:
                self._scalars[type(item)](item)
            except _Refused:
                return index
        return -1


def is_cyclic(value: Any) -> bool:
    """Return whether a container holds itself, at any depth (through dict, list and tuple)."""
    open_ids: set[int] = set()
    stack: list[tuple[Any, bool]] = [(value, False)]
    done: set[int] = set()
    while stack:
        item, leaving = stack.pop()
        if leaving:
            open_ids.discard(id(item))
            done.add(id(item))
            continue
        if id(item) in open_ids:
            return True
        if id(item) in done or not isinstance(item, (dict, list, tuple)):
            continue
        open_ids.add(id(item))
        stack.append((item, True))
        stack.extend((child, False) for child in (item.values() if isinstance(item, dict) else item))
    return False
