"""What the repository needs to look after itself; never installed."""
