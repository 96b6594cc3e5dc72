"""The exact form of each helper's command line: what is not in the table here is refused.

No option may be shortened or given twice. What the helper is handed is made anew from what was understood
(`--name=value` becomes two words), so that guard and helper cannot read one command in two ways. Directories
become `ResolvedDirectory`.
"""

from __future__ import annotations

from .addresses import check_host, host_of_url
from .refusal import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ("FORMS", "Form", "Item", "check_first", "check_number", "check_plain", "parse", "words_of")

POSITIONALS_MAX = 1000
NUMBER_LENGTH_MAX = 12
PLAIN_LENGTH_MAX = 256


class Form:
    """What the command line of one helper may hold.

    role: what the key needs. flags: options alone. values: options with a value, and what checks it. directories:
    whether the other words are directories. first: what the first other word must be, `host` or `url` of this
    machine. changes: whether it changes anything; then it runs only if the decision could be written down.
    """

    def __init__(
        self,
        role: str,
        *,
        flags: str = "",
        values: Mapping[str, Callable[[str], None]] | None = None,
        directories: bool = False,
        first: str = "",
        help_too: bool = True,
        roles_of_options: Mapping[str, str] | None = None,
    ) -> None:
        self.role = role
        self.flags = frozenset(flags.split()) | {"--version"}
        if help_too:
            self.flags |= {"--help", "-h"}
        self.values = dict(values or {})
        self.directories = directories
        self.first = first
        self.roles_of_options = dict(roles_of_options or {})

    @property
    def changes(self) -> bool:
        """Whether the helper changes anything."""
        return self.role != "observe"


class Item:
    """One option or other word. option: its name, empty for another word; value: None for a flag."""

    def __init__(self, option: str, value: str | None) -> None:
        self.option = option
        self.value = value


def check_number(text: str) -> None:
    """Raise Refused unless the text is a decimal number, perhaps negative, perhaps with a fraction."""
    digits = text[1:] if text.startswith("-") else text
    whole, point, fraction = digits.partition(".")
    good = whole.isdigit() and (fraction.isdigit() if point else True)
    if not good or not text.isascii() or len(text) > NUMBER_LENGTH_MAX:
        raise Refused("this option takes a number", about=text)


def check_plain(text: str) -> None:
    """Raise Refused unless the text is one printable word, short, and does not look like an option."""
    if not text or len(text) > PLAIN_LENGTH_MAX or text.startswith("-") or not text.isprintable():
        raise Refused("this option takes a plain word", about=text)


def _check_file_name(text: str) -> None:
    check_plain(text)
    if "/" in text or text in (".", ".."):
        raise Refused("this option takes a simple file name", about=text)


def _check_url_path(text: str) -> None:
    check_plain(text)
    if not text.startswith("/") or text.startswith("//") or not text.isascii() or " " in text:
        raise Refused("this option takes the path of a URL", about=text)


FORMS: dict[str, Form] = {
    "rhl-cache-conda": Form("operate"),
    "rhl-clear": Form(
        "clear",
        flags="--dry-run --force --recursive",
        values={"--only": check_plain},
        directories=True,
        help_too=False,
    ),
    "rhl-conda-info": Form("observe"),
    "rhl-handshake": Form("observe", flags="--json", values={"--timeout": check_number}, first="url"),
    "rhl-inspect": Form("observe", flags="--with-mtime"),
    "rhl-launch-service": Form(
        "operate", help_too=False
    ),  # its words have a module of their own, service_words
    "rhl-logs": Form("observe", flags="--follow --previous", values={"--tail": check_number}),
    "rhl-look": Form(
        "observe",
        flags="--no-handshake --with-token",
        values={
            "--wait": check_number,
            "--want": check_plain,
            "--handshake": _check_url_path,
            "--port-name": check_plain,
            "--tail": check_number,
        },
        roles_of_options={"--with-token": "operate"},  # with the token a key could do what the service can
    ),
    "rhl-pid-alive": Form("observe"),
    "rhl-ps": Form(
        "observe",
        flags="--client --key --no-status --json --wide --tunnels",
        values={"--host": check_plain, "--status": check_plain},
    ),
    "rhl-ps-persistent": Form(
        "observe",
        flags="--json --sizes",
        values={"--level": check_number, "--file": _check_file_name, "--marker": _check_file_name},
        directories=True,
    ),
    "rhl-rm": Form("operate", flags="--client --server"),
    "rhl-stop": Form("operate", flags="--dry-run", values={"--grace": check_number}),
    "rhl-verify-port": Form("observe", values={"--tries": check_number}, first="host"),
}


def parse(helper: str, words: Sequence[str]) -> list[Item]:
    """Return what the words after the helper's name say. Raises Refused for anything that its form has not."""
    form = FORMS[helper]
    items: list[Item] = []
    seen: set[str] = set()
    n_others = 0
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-") or word == "-":
            n_others += 1
            items.append(Item("", word))
            continue
        option, equals, value = word.partition("=")
        if option in seen:
            raise Refused(
                f"{helper} {option} is given twice" if _is_known(form, option) else "unknown option"
            )
        seen.add(option)
        if option in form.flags and not equals:
            items.append(Item(option, None))
        elif option in form.values:
            if not equals:
                if at == len(words):
                    raise Refused(f"{helper} {option} requires a value")
                value = words[at]
                at += 1
            form.values[option](value)
            items.append(Item(option, value))
        else:
            raise Refused(f"{helper} has no such option here", about=word)
    if n_others > POSITIONALS_MAX:
        raise Refused(f"{helper} is given too many words")
    return items


def words_of(items: Sequence[Item]) -> list[str]:
    """Return the words to hand to the helper."""
    words: list[str] = []
    for item in items:
        if item.option:
            words.append(item.option)
        if item.value is not None:
            words.append(item.value)
    return words


def check_first(form: Form, items: Sequence[Item], addresses: Callable[[str], Sequence[str]] | None) -> None:
    """Raise Refused if the first other word is a host, or names one, that is not this machine."""
    first = next((item.value for item in items if not item.option and item.value is not None), None)
    if form.first and first is not None:
        check_host(host_of_url(first) if form.first == "url" else first, addresses)


def _is_known(form: Form, option: str) -> bool:
    return option in form.flags or option in form.values
