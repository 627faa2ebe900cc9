"""Read a CSV file with other tools. Each reader returns column names and rows of text.

All readers use the tool's defaults, except that they read every column as text, so that only damage
can change a value. A reader raises the errors of its tool. It also raises warnings as errors.
"""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd
import psycopg2
from conftest import Warehouse
from torture_table import NAMES, Values

from data_ingestion.contracts import normalise
from data_ingestion.declarations import declared

Table = tuple[Sequence[str], list[tuple]]


def with_pandas(path: Path, on_bad_lines: str = "error") -> Table:
    """Read with `pandas.read_csv`, with empty texts in place of nulls."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, on_bad_lines=on_bad_lines)
    return list(frame.columns), list(frame.itertuples(index=False, name=None))


def with_duckdb(path: Path) -> Table:
    """Read with DuckDB's `read_csv`, which detects the dialect."""
    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute("select * from read_csv(?, all_varchar = true)", [str(path)])
        return [column[0] for column in found.description], found.fetchall()


def with_copy(path: Path, warehouse: Warehouse) -> Table:
    r"""Read as psql's `\copy … csv header` does, into text columns in the file's order."""
    columns = ", ".join(f"c{position} text" for position in range(len(NAMES)))
    with warehouse.loader, warehouse.loader.cursor() as cursor:
        cursor.execute(f"create temporary table copied ({columns}) on commit drop")
        with path.open("rb") as file:
            cursor.copy_expert("copy copied from stdin (format csv, header)", file)
        cursor.execute("select * from copied")
        return NAMES, cursor.fetchall()


def other_tools(warehouse: Warehouse) -> dict:
    """Return the readers by name of the tool."""
    return {
        "pandas": with_pandas,
        "pandas, on_bad_lines='skip'": partial(with_pandas, on_bad_lines="skip"),
        "DuckDB": with_duckdb,
        r"\copy": partial(with_copy, warehouse=warehouse),
    }


def rows_of(tool, path: Path) -> list[Values] | None:
    """Return the rows with the contract's columns, or None if the tool refused the file.

    Nulls become empty texts. A missing column counts as a refusal, because the next program that
    reads the table would fail.
    """
    try:
        names, rows = tool(path)
    except (ValueError, OverflowError, Warning, duckdb.Error, psycopg2.Error):
        return None
    positions = {normalise(str(name)): position for position, name in enumerate(names)}
    if not positions.keys() >= set(declared()["transactions"].columns):
        return None
    order = [positions[name] for name in declared()["transactions"].columns]
    return [tuple("" if row[i] is None else str(row[i]) for i in order) for row in rows]
