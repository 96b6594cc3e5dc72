"""A deterministic world to try the storage engines in. For tests; nothing of the engines imports it."""
