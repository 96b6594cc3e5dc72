"""Dask, SLURM and OAR execution will live here."""
