"""The commands that show, check and write configuration."""
