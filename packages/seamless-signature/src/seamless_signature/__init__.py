"""The schema of a compiled step and its C header will live here."""
