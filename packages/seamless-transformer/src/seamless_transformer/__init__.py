"""Define steps, identify them, look them up, drive a graph of them, record what ran."""
