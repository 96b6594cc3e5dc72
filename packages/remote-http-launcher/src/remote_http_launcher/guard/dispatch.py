"""Decide whether a command runs, and run the helper's own code in this process.

The helper is found in a table by its exact name, and is a module of this package. No program is looked for,
neither beside the guard nor on PATH; the guard is not in the table.
"""

from __future__ import annotations

import sys

from .options import FORMS, check_first, parse, words_of
from .policy import Policy
from .refusal import Refused
from .roles import check_role
from .service_words import launch_words
from .words import drop_assignments, split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .paths import ResolvedDirectory

__all__ = ("Call", "decide", "run_helper")

PACKAGE = "remote_http_launcher.helpers"
MODULES = {name: f"{PACKAGE}.{name[4:].replace('-', '_')}" for name in FORMS}


class Call:
    """A command that may run: the helper, and the words for it, directories resolved."""

    def __init__(self, helper: str, words: list[str], directories: Sequence[ResolvedDirectory] = ()) -> None:
        self.helper = helper
        self.words = words
        self.directories = list(directories)
        self.added: list[str] = []  # words of the policy

    @property
    def changes(self) -> bool:
        """Whether the helper changes anything."""
        return FORMS[self.helper].changes

    def close(self) -> None:
        """Give the descriptors back."""
        for directory in self.directories:
            directory.close()
        self.directories = []


def decide(
    text: str,
    policy: Policy,
    *,
    home: str,
    server_directory: str,
    conda_cache: str,
    addresses: Callable[[str], Sequence[str]] | None = None,
) -> Call:
    """Return what the command of the client may run; the caller closes it. Raises Refused.

    addresses: how a host name is looked up; the system's way if None.
    """
    words = split_words(text)
    if not words:
        raise Refused("empty command (interactive session not allowed)")
    words = drop_assignments(words)
    if not words:
        raise Refused("empty command after stripping variable assignments")
    helper = words[0]
    if helper not in FORMS:
        raise Refused("command not in whitelist", about=helper)
    if any(not word.isprintable() for word in words):
        raise Refused("the command holds characters that cannot be printed").of(helper)
    try:
        return _decide(helper, words[1:], policy, home, server_directory, conda_cache, addresses)
    except Refused as exc:
        raise exc.of(helper) from exc.__cause__


def _decide(
    helper: str,
    words: list[str],
    policy: Policy,
    home: str,
    server_directory: str,
    conda_cache: str,
    addresses: Callable[[str], Sequence[str]] | None,
) -> Call:
    form = FORMS[helper]
    check_role(policy.role, form.role)
    if helper == "rhl-launch-service":
        made, directories = launch_words(
            words,
            policy=policy,
            home=home,
            server_directory=server_directory,
            conda_cache=conda_cache,
            addresses=addresses,
        )
        return Call(helper, made, directories)
    if form.directories:
        policy.require()
    items = parse(helper, words)
    for item in items:
        if item.option in form.roles_of_options:
            check_role(policy.role, form.roles_of_options[item.option])
    check_first(form, items, addresses)
    call = Call(helper, [])
    if form.directories:
        try:
            for item in items:
                if not item.option and item.value is not None:
                    directory = policy.data_directory(item.value, home)
                    call.directories.append(directory)
                    item.value = directory
        except BaseException:
            call.close()
            raise
    call.words = words_of(items)
    if helper == "rhl-clear" and policy.only_seamless_data and not any(i.option == "--only" for i in items):
        call.added = ["--only", "seamless"]
    return call


def run_helper(call: Call) -> int:
    """Run the helper in this process; return its exit code. Raises Refused if this version has not got it."""
    import importlib

    name = MODULES[call.helper]
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name != name:
            raise
        raise Refused(f"this version of remote-http-launcher has not got {call.helper}") from exc
    words = [*call.words, *call.added]
    sys.argv = [call.helper, *words]
    try:
        code = module.main(words)
    except SystemExit as exc:
        code = exc.code
    return code if isinstance(code, int) else 0 if code is None else 1
