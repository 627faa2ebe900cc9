"""The data that the tasks read and write, as assets, so that Airflow shows how they follow.

OpenLineage's events have each file, table and column; see docs/lineage.md.
"""

from airflow.sdk import Asset

FILES = Asset("files")  # the bank's files in the data folder
RAW = Asset("raw.transactions")
STAGING = Asset("staging.transactions")
MARTS = Asset("marts")
# It has the name of dbt's exposure. An update says that the dashboard shows tested data.
DASHBOARD = Asset("monitoring_dashboard")
