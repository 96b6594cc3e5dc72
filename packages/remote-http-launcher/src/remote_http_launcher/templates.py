"""Evaluate the templates of `key` and `command`: a small language of expressions, never code.

A template is text with fields in braces, `{expression!conversion:format}`; `{{` and `}}` stand for braces.

| in an expression | allowed |
|---|---|
| values | names of the namespace, text, numbers, `None`, `True`, `False` |
| `x[...]` | items of a mapping by name, items and slices of text and lists by number |
| `a if c else b`, `and`, `or`, `not` | yes |
| `==` `!=` `<` `<=` `>` `>=` `is` `is not` `in` `not in` | yes |
| `+`, `-` | text + text, numbers |
| methods of text | those of `TEXT_METHODS` |
| methods of a mapping | `get` |

Everything else is a TemplateError that names the template and the place: other attributes, calls, literals of lists,
comprehensions. Values are plain ones (text, number, truth value, None, list, mapping), so there is no way to an object
of the interpreter. The interpreter's parser reads an expression; nothing is compiled or run. Sizes are bounded.
"""

from __future__ import annotations

import operator
import re

from .launch_errors import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, NoReturn

__all__ = ("evaluate", "substitute")

TEXT_METHODS = frozenset(
    {
        "capitalize",
        "endswith",
        "format",
        "join",
        "lower",
        "lstrip",
        "removeprefix",
        "removesuffix",
        "replace",
        "rstrip",
        "split",
        "startswith",
        "strip",
        "title",
        "upper",
    }
)
MAX_EXPRESSION = 4096  # characters
MAX_TEXT = 64 * 1024  # characters of any text on the way, and of the result
MAX_WIDTH = 1024  # the largest number in a format
_ONLY_PARSE = 0x400  # ast.PyCF_ONLY_AST; importing ast takes 5 ms
_PLAIN = (str, int, float, bool, type(None), list, tuple, dict)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": lambda a, b: a in b,
    "NotIn": lambda a, b: a not in b,
}
_CONVERSIONS: dict[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}
_DOLLAR = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_UNSAFE = re.compile(r"""["'{}\\\x00-\x1f\x7f]""")


def evaluate(template: str, namespace: Mapping[str, object], *, name: str = "template") -> str:
    """Return the text that the template stands for. name: the field that holds it, for messages.

    Raises TemplateError.

    >>> evaluate("hashserver-{x.strip('/').replace('/', '--')}", {"x": "/a/b"})
    'hashserver-a--b'
    """
    return _Evaluation(template, namespace, name).text()


def substitute(template: str, table: Mapping[str, str], *, name: str = "template") -> str:
    """Replace each `$NAME` by its text. The result is still a template for `evaluate`, so no text may hold
    quotes, braces, backslashes or control characters: it would change what the template says.

    Raises TemplateError: an unknown name, or such a text.

    >>> substitute("$BUFFERDIR/x", {"BUFFERDIR": "/data"})
    '/data/x'
    """

    def replacement(match: re.Match[str]) -> str:
        key = match[1]
        if key not in table:
            raise _error(name, template, match.start(), f"${key} is unknown; known are {_known(table)}")
        text = table[key]
        if unsafe := _UNSAFE.search(text):
            raise _error(
                name, template, match.start(), f"${key} is {text!r}, in which {unsafe[0]!r} is not allowed"
            )
        return text

    return _DOLLAR.sub(replacement, template)


def _known(table: Mapping[str, object]) -> str:
    return ", ".join(sorted(table)) or "none"


def _error(name: str, template: str, place: int, cause: str) -> TemplateError:
    shown = template if len(template) <= 200 else template[:200] + "..."
    return TemplateError(
        f"The template {name!r} is wrong at character {place + 1}: {cause}. It is {shown!r}.",
        hint="templates know names, text, numbers, conditions and a few methods of text: see the reference page of "
        "remote-http-launcher",
    )


class _Evaluation:
    """One template on its way to text."""

    def __init__(self, template: str, namespace: Mapping[str, object], name: str) -> None:
        self.template = template
        self.namespace = namespace
        self.name = name
        self.place = 0  # of the field that is evaluated

    def text(self) -> str:
        pieces: list[str] = []
        size = 0
        for piece in self._pieces(self.template, 0, is_format=False):
            size += len(piece)
            if size > MAX_TEXT:
                self._fail(f"the result has more than {MAX_TEXT} characters")
            pieces.append(piece)
        return "".join(pieces)

    def _fail(self, cause: str) -> NoReturn:
        raise _error(self.name, self.template, self.place, cause)

    # ---- fields

    def _pieces(self, text: str, offset: int, *, is_format: bool) -> Iterator[str]:
        at = 0
        while at < len(text):
            letter = text[at]
            self.place = offset + at
            if letter in "{}" and text[at : at + 2] == letter * 2 and not is_format:
                yield letter
                at += 2
            elif letter == "}":
                self._fail("a '}' without '{'; write '}}' for the character itself")
            elif letter == "{":
                end = self._end_of_field(text, at + 1, offset)
                yield self._field(text[at + 1 : end], offset + at + 1, is_nested=is_format)
                at = end + 1
            else:
                end = at
                while end < len(text) and text[end] not in "{}":
                    end += 1
                yield text[at:end]
                at = end

    def _end_of_field(self, text: str, at: int, offset: int) -> int:
        """Return where the '}' of the field stands."""
        depth = 0
        for index, letter in _outside_quotes(text, at):
            if letter in "([{":
                depth += 1
            elif letter in ")]}":
                if letter == "}" and depth == 0:
                    return index
                depth -= 1
        self.place = offset + at - 1
        self._fail("a '{' without '}'; write '{{' for the character itself")

    def _field(self, field: str, offset: int, *, is_nested: bool) -> str:
        self.place = offset
        end, depth = len(field), 0
        for index, letter in _outside_quotes(field, 0):
            if letter in "([{":
                depth += 1
            elif letter in ")]}":
                depth -= 1
            elif depth == 0 and (letter == ":" or (letter == "!" and field[index + 1 : index + 2] != "=")):
                end = index
                break
        value = self._expression(field[:end])
        rest = field[end:]
        if rest.startswith("!"):
            convert = _CONVERSIONS.get(rest[1:2])
            if convert is None or rest[2:3] not in ("", ":"):
                self._fail(f"{rest[:3]!r} is no conversion; expected !r, !s or !a")
            value, rest = self._guarded(lambda: convert(value)), rest[2:]
        form = rest[1:]
        if form and is_nested:
            self._fail("a format inside a format")
        if form:
            form = "".join(self._pieces(form, offset + len(field) - len(form), is_format=True))
        self.place = offset
        return self._formatted(value, form)

    def _formatted(self, value: object, form: str) -> str:
        if len(form) > 64 or any(
            int(number) > MAX_WIDTH for number in re.findall(r"\d+", form)
        ):  # \d: of any script
            self._fail(f"a format with a number above {MAX_WIDTH}, or longer than 64 characters")
        return str(self._guarded(lambda: format(value, form)))

    # ---- expressions

    def _expression(self, text: str) -> Any:  # a plain value
        if not text.strip():
            self._fail("an empty field")
        if len(text) > MAX_EXPRESSION:
            self._fail(f"a field with more than {MAX_EXPRESSION} characters")
        try:
            tree: Any = compile(f"({text}\n)", "<template>", "eval", _ONLY_PARSE, True)
            return self._value(tree.body)
        except SyntaxError as exc:
            self._fail(f"{text!r} is no expression ({exc.msg})")
        except (RecursionError, MemoryError, ValueError):
            self._fail(f"{text[:60]!r} is nested too deeply, or no text")

    def _value(self, node: Any) -> Any:  # nodes have attributes by kind
        kind = type(node).__name__
        method = getattr(self, f"_on_{kind}", None)
        if method is None:
            self._fail(f"{_KINDS.get(kind, kind)} is not allowed")
        return self._plain(method(node))

    def _plain(self, value: object) -> object:
        if not isinstance(value, _PLAIN):
            self._fail(f"a value of type {type(value).__name__}")
        if isinstance(value, (str, list, tuple)) and len(value) > MAX_TEXT:
            self._fail(f"a text or list longer than {MAX_TEXT}")
        return value

    def _guarded(self, function: Callable[[], object]) -> Any:  # a plain value
        try:
            return self._plain(function())
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as exc:
            self._fail(f"{type(exc).__name__}: {exc}")

    def _on_Constant(self, node: Any) -> object:  # noqa: N802
        return node.value

    def _on_Name(self, node: Any) -> object:  # noqa: N802
        if node.id not in self.namespace:
            self._fail(f"{node.id!r} is unknown; known are {_known(self.namespace)}")
        return self.namespace[node.id]

    def _on_IfExp(self, node: Any) -> object:  # noqa: N802
        return self._value(node.body if self._value(node.test) else node.orelse)

    def _on_BoolOp(self, node: Any) -> object:  # noqa: N802
        stops_at = type(node.op).__name__ == "Or"
        value: object = None
        for part in node.values:
            value = self._value(part)
            if bool(value) is stops_at:
                break
        return value

    def _on_UnaryOp(self, node: Any) -> object:  # noqa: N802
        value = self._value(node.operand)
        kind = type(node.op).__name__
        if kind == "Not":
            return not value
        if kind == "USub" and isinstance(value, (int, float)):
            return -value
        self._fail("this operator is not allowed")

    def _on_BinOp(self, node: Any) -> object:  # noqa: N802
        left, right = self._value(node.left), self._value(node.right)
        kind = type(node.op).__name__
        both_numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if kind == "Add" and (both_numbers or (isinstance(left, str) and isinstance(right, str))):
            return self._guarded(lambda: left + right)
        if kind == "Sub" and both_numbers:
            return self._guarded(lambda: left - right)
        self._fail("this operator is not allowed between these values")

    def _on_Compare(self, node: Any) -> object:  # noqa: N802
        left = self._value(node.left)
        for comparison, part in zip(node.ops, node.comparators, strict=True):
            right = self._value(part)
            compare = _COMPARISONS[type(comparison).__name__]
            if not self._guarded(lambda c=compare, a=left, b=right: bool(c(a, b))):  # type: ignore[misc]
                return False
            left = right
        return True

    def _on_Subscript(self, node: Any) -> object:  # noqa: N802
        value = self._value(node.value)
        if not isinstance(value, (str, list, tuple, dict)):
            self._fail("only text, lists and mappings have items")
        if type(node.slice).__name__ != "Slice":
            return self._guarded(lambda: value[self._value(node.slice)])
        bounds = [
            None if part is None else self._value(part)
            for part in (node.slice.lower, node.slice.upper, node.slice.step)
        ]
        return self._guarded(lambda: value[slice(*bounds)])

    def _on_Call(self, node: Any) -> object:  # noqa: N802
        if type(node.func).__name__ != "Attribute":
            self._fail("only methods of text, and get() of a mapping, can be called")
        target, method = self._value(node.func.value), node.func.attr
        arguments = [self._value(argument) for argument in node.args]  # a star is a kind of its own: refused
        named = {word.arg: self._value(word.value) for word in node.keywords}
        if None in named:
            self._fail("'**' is not allowed")
        if isinstance(target, dict) and method == "get" and not named:
            return self._guarded(lambda: target.get(*arguments))
        if not isinstance(target, str) or method not in TEXT_METHODS:
            self._fail(f"the method {method!r} of a {type(target).__name__} is not allowed")
        if method == "format":
            return self._format(target, arguments, named)
        if method == "replace" and all(isinstance(argument, str) for argument in arguments[:2]):
            if target.count(arguments[0]) * len("".join(arguments[1:2])) > MAX_TEXT:
                self._fail(f"a text longer than {MAX_TEXT}")
        elif method == "join" and arguments and len(target) * len(arguments[0]) > MAX_TEXT:
            self._fail(f"a text longer than {MAX_TEXT}")
        return self._guarded(lambda: getattr(target, method)(*arguments, **named))

    def _format(self, form: str, arguments: list[Any], named: dict[Any, Any]) -> str:
        """Do what `form.format(...)` does, without its way to attributes and items."""
        from string import Formatter

        pieces, size, following = [], 0, 0
        for literal, field, spec, conversion in self._guarded(lambda: list(Formatter().parse(form))):
            pieces.append(literal)
            if field is not None:
                if field == "":
                    field, following = str(following), following + 1
                if "{" in (spec or "") or conversion not in (None, "", "r", "s", "a"):
                    self._fail("format() with a nested field or an unknown conversion")
                if field.isdecimal() and len(field) < 4 and int(field) < len(arguments):
                    value = arguments[int(field)]
                elif field in named:
                    value = named[field]
                else:
                    self._fail(f"format() has no argument for {{{field}}}")
                if conversion:
                    value = _CONVERSIONS[conversion](value)
                pieces.append(self._formatted(value, spec or ""))
            size += sum(len(piece) for piece in pieces[-2:])
            if size > MAX_TEXT:
                self._fail(f"a text longer than {MAX_TEXT}")
        return "".join(pieces)


_KINDS = {
    "Attribute": "an attribute",
    "DictComp": "a comprehension",
    "GeneratorExp": "a comprehension",
    "JoinedStr": "a text with fields of its own",
    "Lambda": "a function",
    "ListComp": "a comprehension",
    "NamedExpr": "':='",
    "SetComp": "a comprehension",
    "Starred": "'*'",
}


def _outside_quotes(text: str, at: int) -> Iterator[tuple[int, str]]:
    """Yield (place, character) from `at` on, but not what stands inside quotes."""
    quote = ""
    while at < len(text):
        letter = text[at]
        if quote:
            if letter == "\\":
                at += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'":
            quote = letter
        else:
            yield at, letter
        at += 1
