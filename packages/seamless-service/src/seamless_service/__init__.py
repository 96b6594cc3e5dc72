"""Port choice, status-file handshake, tokens, drain and metrics of every launched HTTP service will live here."""
