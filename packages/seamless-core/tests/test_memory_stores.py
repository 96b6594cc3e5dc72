"""The ports in memory pass their contracts."""

from __future__ import annotations

import pytest
from seamless.buffer_cache import BufferCache
from seamless.memory_stores import MemoryBufferStore, MemoryResultCache
from seamless.testing.port_contracts import BufferStoreContract, ResultCacheContract


class TestMemoryBufferStore(BufferStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryBufferStore(BufferCache())


class TestMemoryResultCache(ResultCacheContract):
    @pytest.fixture
    def results(self):
        return MemoryResultCache(MemoryBufferStore(BufferCache()))
