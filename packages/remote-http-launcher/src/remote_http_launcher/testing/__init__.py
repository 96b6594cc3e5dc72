"""For tests of what builds on the launcher."""
