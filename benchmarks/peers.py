"""The loader's peers: other common ways to load a CSV file into Postgres.

    python peers.py NAME FILE        (NAME: a key of PEERS)

Each peer runs in a separate process and imports its libraries inside its function, so that it pays
only for its own imports. libpq's environment variables name the warehouse. The rows go to a new
table: `peer.transactions` for dlt, `public.transactions` for the others. No peer stores a key, a
load log or rejected lines.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

TABLE = "transactions"
BATCH_ROWS = 50_000


def address() -> str:
    """Return the URL of the warehouse, for libraries that ignore libpq's environment."""
    login = quote(os.environ["PGUSER"]) + ":" + quote(os.environ["PGPASSWORD"], safe="")
    database = f"{os.environ['PGHOST']}:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"
    return f"postgresql://{login}@{database}"


def pandas_to_sql(file: Path) -> None:
    """Load with `to_sql`, as popular demos of such stacks do: pandas guesses types and INSERTs."""
    import pandas as pd
    from sqlalchemy import create_engine

    frame = pd.read_csv(file).drop_duplicates()
    frame.to_sql(TABLE, create_engine("postgresql+psycopg2://"), if_exists="append", index=False)


def pandas_adbc(file: Path) -> None:
    """Read the whole file as text with pandas and load it with one COPY of Arrow data."""
    import adbc_driver_postgresql.dbapi as adbc
    import pandas as pd
    import pyarrow as pa

    frame = pd.read_csv(file, dtype="string[pyarrow]", keep_default_na=False).drop_duplicates()
    with adbc.connect(address()) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(TABLE, pa.Table.from_pandas(frame, preserve_index=False))
        connection.commit()


def polars_whole(file: Path) -> None:
    """Read the whole file as text with polars and load it with one COPY of Arrow data."""
    import polars as pl

    frame = pl.read_csv(file, infer_schema=False).unique()
    frame.write_database(TABLE, address(), engine="adbc")


def polars_batches(file: Path) -> None:
    """Stream batches through one COPY, which needs little memory but keeps duplicates."""
    import adbc_driver_postgresql.dbapi as adbc
    import polars as pl
    import pyarrow as pa

    lines = pl.scan_csv(file, infer_schema=False)
    schema = lines.head(0).collect().to_arrow().schema
    batches = (
        batch
        for frame in lines.collect_batches(chunk_size=BATCH_ROWS)
        for batch in frame.to_arrow().to_batches()
    )
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    with adbc.connect(address()) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(TABLE, reader)
        connection.commit()


def _run_dlt(source, **options) -> None:
    """Run a dlt pipeline whose working folder is temporary."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            pipeline_name="benchmark",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(address()),
            dataset_name="peer",
        )
        pipeline.run(source, table_name=TABLE, **options)


def _arrow_batches(file: Path) -> Iterator:
    """Yield Arrow tables of text. dlt forwards such tables without handling single rows."""
    import pyarrow as pa
    from pyarrow import csv

    with file.open() as lines:
        names = next(lines).rstrip("\n").split(",")
    types = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    blocks = csv.ReadOptions(block_size=16 << 20)
    yield from csv.open_csv(file, read_options=blocks, convert_options=types)


def dlt_parquet(file: Path) -> None:
    """Load Arrow tables through Parquet files and ADBC, dlt's fastest way into Postgres."""
    _run_dlt(_arrow_batches(file), loader_file_format="parquet")


def dlt_csv(file: Path) -> None:
    """Load Arrow tables through CSV files and COPY."""
    _run_dlt(_arrow_batches(file), loader_file_format="csv")


def dlt_default(file: Path) -> None:
    """Load with dlt's own CSV reader and its default way of loading."""
    from dlt.sources.filesystem import readers

    lines = readers(bucket_url=file.parent.as_uri(), file_glob=file.name)
    _run_dlt(lines.read_csv(dtype="str", keep_default_na=False))


PEERS: dict[str, Callable[[Path], None]] = {
    function.__name__: function
    for function in (
        *(polars_batches, polars_whole, pandas_adbc, pandas_to_sql),
        *(dlt_parquet, dlt_csv, dlt_default),
    )
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](Path(sys.argv[2]))
