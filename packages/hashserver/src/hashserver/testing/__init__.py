"""For tests of and with the hashserver."""
