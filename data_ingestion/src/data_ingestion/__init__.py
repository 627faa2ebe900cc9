"""Loads CSV files, untouched and without duplicates, into a Postgres warehouse."""
