"""Benchmarks: the cost budget of Seamless, measured side by side with its peers. See README.md."""
