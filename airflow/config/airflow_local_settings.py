"""Imported by every process of Airflow as it starts (its own hook for local settings)."""

import gc

# Importing Airflow makes millions of objects that stay, and the collector, by default, looks
# through them again and again: a quarter of the time until the api-server answers.
gc.set_threshold(50_000, 20, 20)
