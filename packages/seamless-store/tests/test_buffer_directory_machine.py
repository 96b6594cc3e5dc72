"""A buffer directory against a plain dict, on the real and on the simulated file system."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tempfile

import zstandard
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.testing.simulated_filesystem import SimulatedFileSystem, SimulatedWorld

CONTENTS = [b"", b"a", b"bb" * 100, b"c" * 70_000, b"d" * 1_100_000, *(b"%d" % n for n in range(10))]


def _content(number: int) -> bytes:
    return CONTENTS[number]


contents = st.integers(0, len(CONTENTS) - 1).map(_content)  # by number: failures stay readable
COMPRESS = {"zst": zstandard.compress, "gz": gzip.compress}


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


class _BufferDirectoryMachine(RuleBasedStateMachine):
    directory: BufferDirectory
    model: dict[bytes, bytes]

    def open(self) -> BufferDirectory:
        raise NotImplementedError

    @rule(batch=st.lists(contents, max_size=12), verified=st.booleans())
    def publish(self, batch, verified):
        self.directory.publish([(_digest(c), [c[:1], c[1:]]) for c in batch], verified=verified)
        self.model.update({_digest(c): c for c in batch})

    @rule(content=contents, form=st.sampled_from(["zst", "gz"]), size=st.integers(1, 100_000))
    def put_compressed(self, content, form, size):
        stream = COMPRESS[form](content)
        chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
        self.directory.put_compressed(_digest(content), form, chunks)
        self.model[_digest(content)] = content

    @rule(content=contents, commits=st.booleans())
    def stream(self, content, commits):
        with self.directory.writer(_digest(content)) as writer:
            writer.write(content)
            for _ in range(commits):
                writer.commit()
                self.model[_digest(content)] = content

    @rule(content=contents)
    def read(self, content):
        digest = _digest(content)
        expected = self.model.get(digest)
        assert self.directory.get(digest) == expected
        assert self.directory.has(digest) == (digest in self.model)
        assert self.directory.length(digest) == (None if expected is None else len(expected))
        assert self.directory.verify(digest) == (digest in self.model)

    @rule()
    def reopen(self):
        self.directory.close()
        self.directory = self.open()

    @rule()
    def sweep(self):
        assert self.directory.sweep(0.0) == 0

    @invariant()
    def lists_exactly_what_was_stored(self):
        assert list(self.directory.iterate()) == sorted(self.model)
        assert self.directory.quarantined() == []


class OnTheRealFileSystem(_BufferDirectoryMachine):
    @initialize(layout=st.sampled_from(["prefix", "flat"]))
    def start(self, layout):
        self.folder = tempfile.mkdtemp(prefix="buffer-directory-machine-")
        self.layout = layout
        self.model = {}
        self.directory = self.open()

    def open(self) -> BufferDirectory:
        return BufferDirectory(self.folder, layout=self.layout)

    def teardown(self):
        shutil.rmtree(getattr(self, "folder", "/nonexistent"), ignore_errors=True)


class OnTheSimulatedFileSystem(_BufferDirectoryMachine):
    """The same, with power cuts: all that was stored was acknowledged, so it must survive."""

    process: SimulatedFileSystem

    @initialize(layout=st.sampled_from(["prefix", "flat"]))
    def start(self, layout):
        self.layout = layout
        self.process = SimulatedWorld().process()
        self.model = {}
        self.directory = self.open()

    def open(self) -> BufferDirectory:
        clock = self.process.world.clock
        return BufferDirectory("/store", layout=self.layout, filesystem=self.process, clock=clock)

    @rule(seed=st.integers(0, 1000))
    def cut_the_power(self, seed):
        self.process = self.process.world.after_power_cut(seed).process()
        self.directory = self.open()
        self.directory.sweep(0.0)  # the marker's temporary file may be left


_settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOnTheRealFileSystem = OnTheRealFileSystem.TestCase
TestOnTheRealFileSystem.settings = _settings
TestOnTheSimulatedFileSystem = OnTheSimulatedFileSystem.TestCase
TestOnTheSimulatedFileSystem.settings = _settings
