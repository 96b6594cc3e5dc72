"""Choose where steps run and where results are kept."""
