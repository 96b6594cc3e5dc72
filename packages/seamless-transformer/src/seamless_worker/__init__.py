"""Run one step on this machine: Python or bash code, its inputs, its output, its cost."""
