"""The frame of every command: parser, messages, errors, progress, files that appear whole, and the scope."""
