"""The HTTP face of a results database will live here."""
