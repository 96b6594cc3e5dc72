"""Run the code of a Python step with its inputs, in a fresh namespace."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seamless.errors import StepError
from seamless.step import StepOutcome

from .errors import StepResultError
from .pins import PinValueError, code_text, input_pins, pin_path, pin_value
from .python_code import Parameters, PythonCode, cached_code, compile_code
from .python_result import result_buffer
from .running import PACKAGE_NAME
from .usage import UsageMeter

if TYPE_CHECKING:
    from seamless.step import StepRequest

    from .running import RunningStep

__all__ = ("run_python",)


def run_python(request: StepRequest, step: RunningStep) -> StepOutcome:
    """Run the step on this thread; the contract is `run_step`'s."""
    meter = UsageMeter(step)
    outside = sys.exc_info()[1]
    transformation = request.transformation
    celltype: str = transformation["__output__"][1]
    code_checksum: str = transformation["code"][2]
    code = cached_code(code_checksum, request.location)
    text = code_text(request, code_checksum) if code is None else ""
    failure: BaseException
    try:
        inputs = _read_inputs(request)
    except PinValueError as exc:
        failure = exc
    else:
        try:
            if code is None:
                code = compile_code(code_checksum, request.location, text)
            value = _execute(code, inputs, celltype, step)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # SystemExit, GeneratorExit and the like too: the step has failed
            failure = exc
        else:
            owned = sys.getrefcount(value) == 2  # this name and the argument of getrefcount
            try:
                result, attachments = result_buffer(value, celltype, owned=owned)
            except StepResultError as exc:
                failure = exc
            else:
                return StepOutcome(result, meter.stop(), attachments)
    raise _step_error(failure, step, outside) from None


class _Inputs:
    """What a step finds in its namespace."""

    __slots__ = ("filesystem", "module_definitions", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.filesystem: dict[str, dict[str, Any]] = {}
        self.module_definitions: dict[str, tuple[str, Any]] = {}  # name -> checksum, definition


def _read_inputs(request: StepRequest) -> _Inputs:
    inputs = _Inputs()
    for pin in input_pins(request.transformation):
        if pin.subcelltype == "module":
            if pin.checksum is None:
                raise PinValueError(f"module {pin.name!r} has no definition: its pin holds no checksum")
            inputs.module_definitions[pin.name] = (pin.checksum.hex(), pin_value(pin, request))
            continue
        if pin.filesystem_mode is not None:
            path = pin_path(pin, request)
            inputs.filesystem[pin.name] = {"mode": pin.filesystem_mode, "filesystem": path is not None}
            if path is not None:
                inputs.values[pin.name] = str(path)
                continue
        inputs.values[pin.name] = pin_value(pin, request)
    return inputs


def _execute(code: PythonCode, inputs: _Inputs, celltype: str, step: RunningStep) -> Any:
    """Return what the step's code gives: Any, because it is the user's."""
    values = inputs.values
    namespace: dict[str, Any] = {"__name__": PACKAGE_NAME, "__package__": PACKAGE_NAME}
    step.namespace = namespace
    if inputs.module_definitions:
        from .modules import StepModules

        modules = StepModules(inputs.module_definitions, step)
        namespace["__builtins__"] = modules.builtins
        namespace.update(modules.loaded_names())
    namespace.update(values)
    namespace["PINS"] = values
    namespace["OUTPUTPIN"] = celltype
    namespace["FILESYSTEM"] = inputs.filesystem
    value = _evaluate(code, namespace, values)
    # Functions of the step keep the namespace alive until the next garbage collection; not so its inputs.
    for name in values:
        namespace.pop(name, None)
    del namespace["PINS"]
    return value


def _evaluate(code: PythonCode, namespace: dict[str, Any], values: Mapping[str, Any]) -> Any:
    """Execute the step's code: `exec` and `eval` of what the user wrote is what running a Python step means."""
    if code.mode == "function":
        exec(code.code, namespace)
        assert code.function_name is not None
        function = namespace[code.function_name]
    elif code.mode == "block":
        exec(code.code, namespace)
        if "result" not in namespace:
            raise RuntimeError(
                "Output variable name 'result' undefined: code that is more than one function or expression "
                "must assign its result to the name `result`"
            )
        return namespace.pop("result")
    else:
        function = eval(code.code, namespace)
        if code.mode == "expression":
            return function
    assert code.parameters is not None
    positional, keywords = _arguments(code.parameters, values)
    return function(*positional, **keywords)


def _arguments(parameters: Parameters, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the call's arguments: pins by keyword, as far as the signature lets them."""
    keywords = {
        name: value
        for name, value in values.items()
        if name in parameters.names or not (name.endswith("_SCHEMA") or name.startswith("META__"))
    }
    if parameters.by_keyword_only:
        return [], keywords
    more_positional: list[Any] = []
    more_keywords: dict[str, Any] = {}
    if parameters.var_positional in keywords:
        more_positional = list(keywords.pop(parameters.var_positional))
    if parameters.var_keyword in keywords:
        packed = keywords.pop(parameters.var_keyword)
        if not isinstance(packed, dict):
            raise TypeError(
                f"argument {parameters.var_keyword!r} holds the keyword arguments of "
                f"**{parameters.var_keyword} and must be a dict, not a {type(packed).__name__}"
            )
        more_keywords = packed
    n_positional = len(parameters.positional) if more_positional else parameters.n_positional_only
    positional = []
    for name in parameters.positional[:n_positional]:
        if name not in keywords:
            break  # a default; Python says so if there is none
        positional.append(keywords.pop(name))
    if more_positional and len(positional) < n_positional:
        missing = parameters.positional[len(positional)]
        raise TypeError(
            f"argument {missing!r} is missing: the values of *{parameters.var_positional} can only follow it"
        )
    return [*positional, *more_positional], {**keywords, **more_keywords}


def _step_error(failure: BaseException, step: RunningStep, outside: BaseException | None) -> StepError:
    from .traceback_text import format_failure, trim_failure

    trim_failure(failure, outside=outside)
    if isinstance(failure, NameError) and not isinstance(failure, UnboundLocalError):
        _add_remedy(failure)
    if isinstance(failure, StepResultError | PinValueError):
        failure.__cause__ = failure.__context__ = None
    return StepError(
        failure, format_failure(failure), stdout=step.printed("stdout"), stderr=step.printed("stderr")
    )


def _add_remedy(failure: NameError) -> None:
    name = failure.name
    if name is None or len(failure.args) != 1 or failure.args[0] != f"name {name!r} is not defined":
        return  # not raised by the interpreter
    failure.args = (
        f"{failure.args[0]}. A step sees only its arguments, what it imports itself and what travels "
        f"with it: pass {name} as an argument, import it inside the step, or hand it over with "
        f"`STEP.globals.{name} = {name}` (a module: `STEP.modules.{name} = {name}`).",
    )
