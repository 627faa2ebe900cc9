"""Read files of transactions with other tools and naive casts. Run by the benchmarks' Python.

    python meaning_peers.py < files.json > found.json

The input is a list of [files, delimiter], one for each attempt. The output has a list for each
tool, with an item for each attempt: the rows as texts, in the order of the table, or the error.
Both tools load into Postgres as their documentation shows. Then a query casts the texts, like a
script that trusts its data. libpq's environment variables name the database.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import dlt
import pandas as pd
import psycopg2
from sqlalchemy import create_engine

# The columns have other names in each tool, but begin alike.
BEGINNINGS = ("account", "date", "value", "withdrawal", "deposit", "balance", "transaction")
NAIVE_CASTS = """
    select rtrim({account}::text, ''''), {date}::text::date, {value}::text::date,
           coalesce(replace(nullif(trim({withdrawal}::text), ''), ',', '')::numeric(18, 2), 0),
           coalesce(replace(nullif(trim({deposit}::text), ''), ',', '')::numeric(18, 2), 0),
           replace(nullif(trim({balance}::text), ''), ',', '')::numeric(18, 2),
           trim({transaction}::text)
    from {table} order by ctid
"""


def frame(file: Path, delimiter: str, **options) -> pd.DataFrame:
    """Read a file as pandas does."""
    if file.suffix == ".xlsx":
        return pd.read_excel(file, **options)
    return pd.read_csv(file, sep=delimiter, **options)


def with_pandas(files: list[Path], delimiter: str, name: str) -> str:
    """Load with `to_sql`, with the types that pandas guesses. Return the name of the table."""
    engine = create_engine("postgresql+psycopg2://")
    for file in files:
        frame(file, delimiter).to_sql(name, engine, if_exists="append", index=False)
    return f"public.{name}"


def with_dlt(files: list[Path], delimiter: str, name: str) -> str:
    """Load the texts of a file with dlt. Return the name of the table."""
    login = quote(os.environ["PGUSER"]) + ":" + quote(os.environ["PGPASSWORD"], safe="")
    server = f"{os.environ['PGHOST']}:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            pipeline = dlt.pipeline(
                pipeline_name=name, pipelines_dir=folder, dataset_name=name,
                destination=dlt.destinations.postgres(f"postgresql://{login}@{server}"),
            )  # fmt: skip
            rows = frame(file, delimiter, dtype=str, keep_default_na=False)
            pipeline.run(rows.to_dict(orient="records"), table_name="transactions")
    return f"{name}.transactions"


TOOLS: dict[str, Callable[[list[Path], str, str], str]] = {"dlt": with_dlt, "pandas": with_pandas}


def cast(table: str) -> list[list[str | None]]:
    """Return the rows of a table after naive casts."""
    connection = psycopg2.connect("")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"select * from {table} limit 0")
            names = [column.name for column in cursor.description]
            columns = {
                beginning: f'"{name}"'
                for beginning in BEGINNINGS
                for name in names
                if name.strip(" _").lower().startswith(beginning)
            }
            cursor.execute(NAIVE_CASTS.format(table=table, **columns))
            rows = cursor.fetchall()
    finally:
        connection.close()
    return [[None if value is None else str(value) for value in row] for row in rows]


def main() -> None:
    """Try each tool with all files."""
    warnings.simplefilter("ignore")
    attempts = json.load(sys.stdin)
    found: dict[str, list] = {tool: [] for tool in TOOLS}
    for tool, load in TOOLS.items():
        for number, (files, delimiter) in enumerate(attempts):
            try:
                table = load([Path(file) for file in files], delimiter, f"{tool}_{number}")
                found[tool].append(cast(table))
            except Exception as error:  # whatever stops a tool tells a person
                found[tool].append(f"{type(error).__name__}: {error}".splitlines()[0])
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    main()
