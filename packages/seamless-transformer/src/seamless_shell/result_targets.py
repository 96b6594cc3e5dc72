"""The results of a command: its standard output, or named files and directories; and the code that gathers them.

The text of the code is part of the step's identity: contracts/seamless-run.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from seamless_command.errors import ShellError

from .bash_quotes import quote_word

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .bash_tree import ParsedCommand, Redirect

__all__ = ("STDOUT_TARGET", "bash_code", "redirect_target", "result_targets")

STDOUT_TARGET = "STDOUT"
_NOT_FILES = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/", "/proc/self/fd/")


def result_targets(
    interface: Mapping[str, str], captures: Sequence[str], redirect: str | None
) -> dict[str, str]:
    """Return `{target in the working directory: name outside}`, in the order in which they are gathered.

    interface: of an interface file. captures: `FILE`, `FILE:LOCAL` or `:LOCAL` (standard output). redirect: of the
    last command. Empty: standard output is the result, and is shown. Raises ShellError.
    """
    targets: dict[str, str] = {}
    for target, local in interface.items():
        _add(targets, target, local, f"result {target!r} of the interface file")
    for capture in captures:
        target, colon, local = capture.partition(":")
        if not (target or local) or (colon and not local):
            raise ShellError(f"--capture {capture!r}: expected FILE, FILE:LOCAL or :LOCAL")
        _add(targets, target or STDOUT_TARGET, local or target, f"--capture {capture!r}")
    if redirect is not None and not _is_gathered(os.path.normpath(redirect), targets):
        _add(targets, redirect, redirect, f"the redirect to {redirect!r}")
    return targets


def _is_gathered(target: str, targets: Mapping[str, str]) -> bool:
    """Whether the file is a target already, or lies in a directory that is one."""
    return any((target + "/").startswith(other + "/") for other in targets)


def _add(targets: dict[str, str], target: str, local: str, what: str) -> None:
    clean = os.path.normpath(target)
    if clean.startswith(("/", "../")) or clean in (".", "..", "RESULT") or clean.startswith("RESULT/"):
        raise ShellError(
            f"{what} does not lie below the working directory of the command, so it cannot be a result.",
            hint="let the command write a file of its working directory; FILE:LOCAL puts it anywhere outside",
        )
    if "\0" in clean or "\n" in clean:
        raise ShellError(f"{what}: the name of a result must be one line")
    if clean in targets and targets[clean] != os.path.normpath(local):
        raise ShellError(f"{what} has two names outside: {targets[clean]!r} and {local!r}")
    targets[clean] = os.path.normpath(local)


def redirect_target(parsed: ParsedCommand) -> Redirect | None:
    """Return the redirect of the last command whose file is the result, if any.

    One of file descriptor 1 wins; of others, a single one, but never standard error. Raises ShellError for several.
    """
    redirects = [each for each in parsed.result_redirects() if not _is_no_file(each)]
    chosen = [each for each in redirects if each.output_fd == 1] or [
        each for each in redirects if each.output_fd not in (1, 2)
    ]
    if not chosen:
        return None
    if len(chosen) > 1:
        raise ShellError(
            "Multiple redirects in the last command",
            hint="keep one of them, and name the other files with -cp",
        )
    if chosen[0].target.literal is None:
        text = parsed.text[chosen[0].target.start : chosen[0].target.end]
        raise ShellError(
            f"the last command writes to {text}, a name that is not known before it runs.",
            hint="write to a plain name, and give it another one outside with -cp FILE:LOCAL",
        )
    return chosen[0]


def _is_no_file(redirect: Redirect) -> bool:
    literal = redirect.target.literal
    return literal is not None and (
        literal in _NOT_FILES or literal.startswith(("/dev/fd/", "/proc/self/fd/"))
    )


def bash_code(
    command: str,
    *,
    targets: Iterable[str],
    executables: Sequence[str] = (),
    metavariables: Iterable[str] = (),
    directories: Iterable[str] = (),
) -> str:
    """Return the code of the step.

    command: with its prologues, words already mapped. executables: pins to be made executable, in order of appearance.
    directories: made before the command runs, for a redirect into a directory that no input brings.
    """
    lines = []
    if executables:
        if any("/" not in name for name in executables):
            lines.append("export PATH=./:$PATH")
        lines.append("chmod +x " + " ".join(map(_quoted, executables)))
    lines += [f'export {name}="${{META__{name}}}"' for name in sorted(metavariables)]
    targets = list(targets)
    if not targets:
        return "\n".join([*lines, "(", command, ") > RESULT"]) + "\n"
    folders = dict.fromkeys(_folder(target) for target in targets)
    lines.append("mkdir -p " + " ".join(map(quote_word, folders)))
    lines += [f"mkdir -p {quote_word(directory)}" for directory in directories]
    if STDOUT_TARGET in targets:
        lines += ["(", command, f") > {STDOUT_TARGET}"]
    else:
        lines.append(command)
    lines += [f"mv {_operand(target)} {quote_word(_folder(target))}" for target in targets]
    return "\n".join(lines) + "\n"


def _folder(target: str) -> str:
    return f"RESULT/{os.path.dirname(target)}"


def _operand(name: str) -> str:
    return quote_word(f"./{name}" if name.startswith("-") else name)


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "'\"'\"'") + "'"
