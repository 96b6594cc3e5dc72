"""The HTTP face of a buffer directory: buffers by checksum, over the wire. See contracts/hashserver-protocol.md."""
