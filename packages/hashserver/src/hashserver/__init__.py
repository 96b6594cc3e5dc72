"""The HTTP face of a buffer directory will live here."""
