"""Build step requests from values, and run them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from seamless.buffer import Buffer
from seamless.checksum import Checksum
from seamless.errors import CacheMissError, StepError
from seamless.step import SourceLocation, StepOutcome, StepOutput, StepRequest
from seamless_worker import run_step

VECTORS_FILE = Path(__file__).parents[4] / "contracts" / "vectors" / "identity.json"


class Bench:
    """Buffers in a dict, and the requests that refer to them."""

    def __init__(self, tmp_path: Path) -> None:
        self.buffers: dict[Checksum, Buffer] = {}
        self.n_reads = 0
        self._tmp_path = tmp_path
        self._paths: dict[Checksum, Path] = {}

    def put(self, value: Any, celltype: str = "mixed") -> str:
        return self.keep(Buffer(value, celltype))

    def keep(self, buffer: Buffer) -> str:
        checksum = buffer.get_checksum()
        self.buffers[checksum] = buffer
        return checksum.hex()

    def store_file(self, content: bytes) -> tuple[str, Path]:
        """Put a buffer that also exists as a file of a buffer directory."""
        checksum = self.put(content, "bytes")
        path = self._tmp_path / "store" / checksum
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self._paths[Checksum(checksum)] = path
        return checksum, path

    def read(self, checksum: Checksum) -> Buffer:
        self.n_reads += 1
        try:
            return self.buffers[checksum]
        except KeyError:
            raise CacheMissError(checksum) from None

    def request(
        self,
        code: str,
        pins: Mapping[str, Any] | None = None,
        *,
        language: str = "python",
        result: str = "mixed",
        celltypes: Mapping[str, str] | None = None,
        entries: Mapping[str, Any] | None = None,
        location: SourceLocation | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        output: StepOutput | None = None,
    ) -> StepRequest:
        """pins: values by name; entries: parts of the dictionary as they are."""
        celltype_of_code = "python" if language == "python" else "text"
        transformation: dict[str, Any] = {
            "__language__": language,
            "__output__": ["result", result, None],
            "code": [celltype_of_code, "transformer", self.put(code, "text")],
        }
        for name, value in (pins or {}).items():
            celltype = (celltypes or {}).get(name, "mixed")
            checksum = None if value is None else self.put(value, celltype)
            transformation[name] = [celltype, None, checksum]
        transformation.update(entries or {})
        return StepRequest(
            Checksum("ab" * 32), transformation, self.read, self._paths.get, location, cancelled, output
        )

    def run(self, code: str, pins: Mapping[str, Any] | None = None, **options: Any) -> StepOutcome:
        return run_step(self.request(code, pins, **options))

    def value(self, code: str, pins: Mapping[str, Any] | None = None, **options: Any) -> Any:
        celltype = options.get("result", "mixed")
        return self.run(code, pins, **options).result.get_value(celltype)

    def bash(self, code: str, pins: Mapping[str, Any] | None = None, **options: Any) -> bytes:
        options.setdefault("result", "bytes")
        return self.run(code, pins, language="bash", **options).result.content

    def module(self, code: Any) -> list[Any]:
        """Return the pin entry of a module: text of a file, or a dict of texts for a package."""
        if isinstance(code, dict):
            members = {
                name: {"code": text, "dependencies": [], "language": "python"} for name, text in code.items()
            }
            definition = {"code": members, "language": "python", "type": "interpreted"}
        else:
            definition = {"code": code, "language": "python", "type": "interpreted"}
        return ["plain", "module", self.put(definition, "plain")]

    def failure(self, code: str, pins: Mapping[str, Any] | None = None, **options: Any) -> StepError:
        with pytest.raises(StepError) as caught:
            self.run(code, pins, **options)
        return caught.value


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory below which steps make their working directories, empty at first."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, "the awaited condition did not come"
            time.sleep(0.005)

    return wait


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """Call functions at the same time, one thread each; return their values or exceptions."""

    def call_all(*functions: Callable[[], Any]) -> list[Any]:
        answers: list[Any] = [None] * len(functions)

        def call(position: int) -> None:
            try:
                answers[position] = functions[position]()
            except Exception as exc:
                answers[position] = exc

        threads = [threading.Thread(target=call, args=(n,), daemon=True) for n in range(len(functions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        return answers

    return call_all


@pytest.fixture(scope="session")
def transformation_vectors() -> dict[str, dict[str, Any]]:
    vectors = json.loads(VECTORS_FILE.read_text())["transformations"]
    return {vector["name"]: vector for vector in vectors}
