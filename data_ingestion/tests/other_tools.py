"""What other tools make of a file: each function gives its columns' names and its rows of text.

All of them read every column as text, so that only damage can change a value, and are otherwise
used with what they do by default. An error or a warning is raised.
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

from data_ingestion.contract import CONTRACTS, normalise

Table = tuple[Sequence[str], list[tuple]]


def with_pandas(path: Path, on_bad_lines: str = "error") -> Table:
    """`pandas.read_csv`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, on_bad_lines=on_bad_lines)
    return list(frame.columns), list(frame.itertuples(index=False, name=None))


def with_duckdb(path: Path) -> Table:
    """DuckDB's `read_csv`, which finds out the dialect by itself."""
    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute("select * from read_csv(?, all_varchar = true)", [str(path)])
        return [column[0] for column in found.description], found.fetchall()


def with_copy(path: Path, warehouse: Warehouse) -> Table:
    r"""What psql's `\copy … csv header` sends, into a table of text columns in the file's order."""
    columns = ", ".join(f"c{place} text" for place in range(len(NAMES)))
    with warehouse.loader, warehouse.loader.cursor() as cursor:
        cursor.execute(f"create temporary table copied ({columns}) on commit drop")
        with path.open("rb") as file:
            cursor.copy_expert("copy copied from stdin (format csv, header)", file)
        cursor.execute("select * from copied")
        return NAMES, cursor.fetchall()


def other_tools(warehouse: Warehouse) -> dict:
    """Name of each tool -> its function of a path."""
    return {
        "pandas": with_pandas,
        "pandas, on_bad_lines='skip'": partial(with_pandas, on_bad_lines="skip"),
        "DuckDB": with_duckdb,
        r"\copy": partial(with_copy, warehouse=warehouse),
    }


def rows_of(tool, path: Path) -> list[Values] | None:
    """The rows of the transactions' columns, a null as an empty text; None: it refused the file.

    Columns that are not there count as refused: whoever reads the table next would fail.
    """
    try:
        names, rows = tool(path)
    except (ValueError, OverflowError, Warning, duckdb.Error, psycopg2.Error):
        return None
    places = {normalise(str(name)): place for place, name in enumerate(names)}
    if not places.keys() >= set(CONTRACTS["transactions"].columns):
        return None
    order = [places[name] for name in CONTRACTS["transactions"].columns]
    return [tuple("" if row[place] is None else str(row[place]) for place in order) for row in rows]
