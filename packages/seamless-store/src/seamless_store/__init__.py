"""Durable storage engines: a directory of buffers and a database of results."""
