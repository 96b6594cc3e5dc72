"""From the options and words of seamless-run to the step: what is run, on which inputs, for which results."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping

from seamless_command.errors import ShellError

from .bash_quotes import quote_word, quote_words
from .bash_syntax import parse_bash
from .input_contents import InputContent, read_inputs
from .input_mapping import InputMapping, map_inputs
from .input_words import Argument, InputPath, explicit_input, type_words
from .result_targets import bash_code, redirect_target, result_targets

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .bash_tree import ParsedCommand, Redirect, SimpleCommand, Word
    from .canonical_commands import CanonicalCommand
    from .interface_files import Interface

__all__ = ("PreparedStep", "prepare_step")


class PreparedStep:
    """A step that is ready to be looked up.

    command: as it runs, words mapped. code: what bash gets. transformation: the dictionary, with the keys that are
    carried beside the identity. text: what is hashed; its SHA-256 is `digest`.
    inputs: what the pins of files and directories hold. small: the other buffers, by digest.
    targets: `{result in the working directory: name outside}`; empty when standard output is the result.
    """

    __slots__ = (
        "code",
        "command",
        "digest",
        "environment",
        "inputs",
        "small",
        "targets",
        "text",
        "transformation",
    )

    def __init__(
        self,
        command: str,
        code: str,
        transformation: dict[str, Any],
        inputs: list[InputContent],
        small: dict[bytes, bytes],
        targets: dict[str, str],
        environment: dict[str, Any] | None,
    ) -> None:
        from seamless_transformer.identity import identity_text

        self.command = command
        self.code = code
        self.transformation = transformation
        self.text = identity_text(transformation)
        self.digest = hashlib.sha256(self.text).digest()
        self.inputs = inputs
        self.small = small
        self.targets = targets
        self.environment = environment


def prepare_step(
    options: argparse.Namespace, *, wait_for_future: Callable[[str], None], say: Callable[[int, str], None]
) -> PreparedStep:
    """Analyse the command line and read its inputs. Raises ShellError.

    options: of `parse_run_options`. wait_for_future: called for each path that another command may be making.
    """
    text = _command_text(options)
    parsed = parse_bash(text)
    try:
        pipeline = parsed.primary_pipeline(options.primary)
    except IndexError:
        n_commands = len(parsed.named_commands)
        raise ShellError(
            f"--primary {options.primary}: the command line has {n_commands} command{'s' * (n_commands != 1)}"
            if n_commands
            else f"there is no command in {text!r}",
        ) from None
    directory = _argtyping_directory(options.directory)
    words = _words_of(pipeline)
    say(1, "First command: " + " ".join(parsed.text[word.start : word.end] for word, _ in words))
    interface, tool = _interface([word.literal for word, _ in words], say)
    canonical = _canonical(interface, parsed, words)
    if canonical is not None and canonical.dummy_command is not None:
        stand_in = parse_bash(canonical.dummy_command)
        words = _words_of(stand_in.primary_pipeline())
    arguments = type_words(
        words,
        rule1=not options.g1 and not (interface and interface.is_complete),
        rule2=not options.g2 and not (interface and interface.is_complete),
        search_path=os.environ.get("PATH", os.defpath),
        wait_for_future=wait_for_future,
        known=interface.types if interface else None,
    )
    if interface and interface.shim is not None and canonical is None:
        arguments[tool].input = explicit_input(interface.shim, interface.shim, "file")
    redirects = _input_redirects(parsed, options.primary)
    extra = [found for _, found in redirects] + _extra_inputs(options)
    if interface:
        extra += [explicit_input(path, path, kind) for path, kind in interface.extra_inputs(arguments)]
    mapping = map_inputs(arguments, extra, options.mapping, directory)
    executables = _executables(arguments, mapping)
    if canonical is None:
        command = _mapped_text(parsed, arguments, redirects, mapping)
    else:
        command = canonical.code(mapping)
        executables += [mapping.pin_of[path] for path in canonical.executables if path in mapping.pin_of]
    redirect = redirect_target(parsed)
    target = None if redirect is None else redirect.target.literal
    targets = result_targets(interface.results if interface else {}, options.captures, target)
    if not targets and not options.dry and (options.no_download or options.scratch):
        raise ShellError(
            "Download disabled. Refuse to print output to screen.",
            hint="give the output a file: -c 'COMMAND > FILE', or -cp :FILE",
        )
    inputs = read_inputs(mapping.inputs)
    code = bash_code(
        "".join(f"{prologue}; " for prologue in options.prologues) + command,
        targets=targets,
        executables=list(dict.fromkeys(executables)),
        metavariables=options.metavariables,
        directories=_directories_to_make(target, parsed, inputs),
    )
    environment = _environment(options, interface)
    transformation, small = _transformation(options, code, inputs, environment, targets, canonical, mapping)
    return PreparedStep(command, code, transformation, inputs, small, targets, environment)


def _command_text(options: argparse.Namespace) -> str:
    words: list[str] = options.command
    if options.line:
        if len(words) != 1:
            raise ShellError(
                f"Unquote (-c) requires a single argument, the whole command line; it got {len(words)}",
                hint="quote it: seamless-run -c 'cat a.txt | wc -l'",
            )
        return words[0]
    return quote_words(words)


def _argtyping_directory(option: str | None) -> str:
    directory = os.path.normpath(os.path.abspath(os.path.expanduser(option or ".")))
    if option is not None and not os.path.isdir(directory):
        raise ShellError(f"-w {option!r} is no directory")
    return directory


def _words_of(commands: Iterable[SimpleCommand]) -> list[tuple[Word, bool]]:
    """Return all words, each with whether it is the name of a command."""
    return [(word, index == 0) for command in commands for index, word in enumerate(command.words)]


def _interface(words: list[str | None], say: Callable[[int, str], None]) -> tuple[Interface | None, int]:
    """Return what an interface file says, and the position of its tool; the module is loaded only for one.

    The tool is the command word or, if that has no suffix, the first word after it that has one and is no option.
    """
    for index, word in enumerate(words):
        if not word or (index and word.startswith("-")):
            continue
        stem, suffix = os.path.splitext(word)
        bases = (word, stem) if suffix else (word,)
        if any(os.path.isfile(base + kind) for base in bases for kind in (".SEAMLESS.yaml", ".SEAMLESS.py")):
            from .interface_files import read_interface

            return read_interface(words, index, say), index
        if suffix:
            break
    return None, 0


def _canonical(
    interface: Interface | None, parsed: ParsedCommand, words: list[tuple[Word, bool]]
) -> CanonicalCommand | None:
    """Return the canonical command of the interface file that the line is; a line with more in it is none."""
    if interface is None:
        return None
    from .canonical_commands import is_plain_command

    return interface.canonical_of([word.literal for word, _ in words]) if is_plain_command(parsed) else None


def _extra_inputs(options: argparse.Namespace) -> list[InputPath]:
    found = [explicit_input(path, path) for path in options.inputs]
    for name in options.input_files:
        if not os.path.isfile(name):
            raise ShellError(f"--input-file {name!r} is not a file")
        with open(name, encoding="utf-8") as file:
            lines = [line.rstrip("\r\n") for line in file]
        folder = os.path.dirname(name)
        found += [
            explicit_input(path, path)
            for line in lines
            if line.strip()
            for path in [os.path.join(folder, line)]
        ]
    return found


def _input_redirects(parsed: ParsedCommand, primary: int) -> list[tuple[Redirect, InputPath]]:
    """Return the files that the command reads by `<`; each is an input."""
    found = []
    for redirect in parsed.input_redirects(primary):
        name = redirect.target.literal
        if not name or name.startswith(("/dev/", "/proc/")):
            continue  # known when the command runs, or no file
        if primary > 1 and not os.path.exists(name):
            continue  # an earlier command may make it
        found.append((redirect, explicit_input(name, name)))
    return found


def _mapped_text(
    parsed: ParsedCommand,
    arguments: list[Argument],
    redirects: list[tuple[Redirect, InputPath]],
    mapping: InputMapping,
) -> str:
    """Return the command with the words of inputs replaced by the names that these have where it runs."""
    words = [(argument.word, argument.input) for argument in arguments if argument.input is not None]
    words += [(redirect.target, found) for redirect, found in redirects]
    text = parsed.text
    for word, found in sorted(words, key=lambda pair: pair[0].start, reverse=True):
        pin = mapping.pin_of[found.path]
        if pin != word.literal or word.tilde:
            text = text[: word.start] + _as_operand(pin, word.literal) + text[word.end :]
    return text


def _as_operand(pin: str, literal: str | None) -> str:
    """Quote a pin for the command line; one that looks like an option stays a path."""
    if pin.startswith("-") and not (literal or "").startswith("-"):
        pin = f"./{pin}"
    return quote_word(pin)


def _executables(arguments: list[Argument], mapping: InputMapping) -> list[str]:
    return [
        mapping.pin_of[argument.input.path]
        for argument in arguments
        if argument.is_command and argument.input is not None and argument.input.kind == "file"
    ]


def _directories_to_make(target: str | None, parsed: ParsedCommand, inputs: list[InputContent]) -> list[str]:
    """Return the directory of the redirect's target, unless an input brings it or the command makes it itself."""
    folder = os.path.dirname(os.path.normpath(target)) if target else ""
    if not folder:
        return []
    top = folder.partition("/")[0]
    for content in inputs:
        if content.kind == "file" and content.pin.startswith(folder + "/"):
            return []
        if content.kind == "directory" and (folder + "/").startswith(content.pin + "/"):
            inner = folder[len(content.pin) + 1 :]
            if not inner or any(name.startswith(inner + "/") for name in _names(content)):
                return []
    for command in parsed.before_last():
        for word in command.words:
            if word.literal and os.path.normpath(word.literal).partition("/")[0] == top:
                return []
    return [folder]


def _names(content: InputContent) -> list[str]:
    import json

    return list(json.loads(content.index_content or b"{}"))


def _overlap(path: str, other: str) -> bool:
    """Whether one of two paths is, or lies in, the other."""
    return f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")


def _environment(options: argparse.Namespace, interface: Interface | None) -> dict[str, Any] | None:
    conda, docker = options.conda, options.docker
    if interface is not None:
        conda = conda or interface.conda_environment
        docker = docker or interface.docker_image
    environment: dict[str, Any] = {}
    if conda:
        environment["conda_environment"] = conda
    if docker:
        environment["docker"] = {"name": docker}
    return environment or None


def _transformation(
    options: argparse.Namespace,
    code: str,
    inputs: list[InputContent],
    environment: dict[str, Any] | None,
    targets: Mapping[str, str],
    canonical: CanonicalCommand | None,
    mapping: InputMapping,
) -> tuple[dict[str, Any], dict[bytes, bytes]]:
    """Return the transformation dictionary, and the small buffers that it refers to."""
    from seamless.dialect_p import dumps
    from seamless_transformer.identity import transformation_dict

    small: dict[bytes, bytes] = {}

    def keep(content: bytes) -> str:
        digest = hashlib.sha256(content).digest()
        small[digest] = content
        return digest.hex()

    try:
        pins: dict[str, list[str | None]] = {"code": ["text", None, keep(code.encode())]}
    except UnicodeEncodeError as exc:
        raise ShellError(f"the command holds bytes that are no UTF-8: {exc}") from None
    formats: dict[str, Any] = {}
    for content in inputs:
        formats[content.pin] = {"filesystem": {"mode": content.kind, "optional": True}}
        if content.kind == "directory":
            formats[content.pin]["celltype"] = "deepfolder"
            assert content.index_content is not None
            small[content.digest] = content.index_content
        pins[content.pin] = ["bytes" if content.kind == "file" else "mixed", None, content.digest.hex()]
    variables = options.variables | {f"META__{name}": value for name, value in options.metavariables.items()}
    try:
        typed = [(name, "str", dumps(value)) for name, value in variables.items()]
    except (TypeError, ValueError) as exc:
        raise ShellError(f"the value of a variable is no text in UTF-8: {exc}") from None
    if canonical is not None:
        typed += canonical.pins(mapping)
    for name, celltype, buffer in typed:
        if name in pins:
            raise ShellError(
                f"the variable {name!r} has the name of an input of the command", hint="rename it"
            )
        pins[name] = [celltype, None, keep(buffer)]
    carried: dict[str, Any] = {}
    if environment is not None:
        carried["__env__"] = keep(dumps(environment))
    meta: dict[str, Any] = {}
    if options.direct_print:
        meta["__direct_print__"] = True
    rewritten = [
        content.pin for content in inputs if any(_overlap(content.pin, target) for target in targets)
    ]
    if rewritten:
        meta["writable_inputs"] = rewritten
    if meta:
        carried["__meta__"] = meta
    transformation = transformation_dict(
        "bash",
        "deepfolder" if targets else "bytes",
        pins,
        formats=formats or None,
        carried=carried,
    )
    return transformation, small
