"""The HTTP face of a worker pool will live here."""
