"""Start, reuse, tunnel and stop a process anywhere; the rhl-* helpers and rhl-guard will live here."""
