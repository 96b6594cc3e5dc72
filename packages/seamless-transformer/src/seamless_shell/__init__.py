"""The shell face: seamless-run and its companions. Imported by nobody but their console scripts."""
