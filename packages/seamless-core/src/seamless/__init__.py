"""Checksum, Buffer, celltypes, serialization, and the ports that stores and executors fill."""
