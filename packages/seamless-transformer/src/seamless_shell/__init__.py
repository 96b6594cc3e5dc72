"""The shell face, seamless-run and its companions, will live here."""
