"""Clients of hashserver and seamless-database will live here."""
