"""What is measured: `\\copy`, the loader, its peers, each in an empty warehouse of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from peers import PEERS

PROJECT = Path(__file__).resolve().parents[1]
LOADER = PROJECT / "data_ingestion" / ".venv" / "bin" / "data-ingestion"
# Data and what a try came to; `make demo-reset` forgets it.
FOLDER = PROJECT / ".state" / "benchmarks"
COPY = r"psql \copy"
FIRST = "first load"
AGAIN = "the same file again"
COLUMNS = (
    "account_no", "date", "details", "chq_no", "value_date",
    "withdrawal", "deposit", "balance", "nothing",
)  # fmt: skip
NAMES = {
    "polars_batches": "polars in batches, ADBC",
    "polars_whole": "polars whole, ADBC",
    "pandas_adbc": "pandas, ADBC",
    "pandas_to_sql": "pandas to_sql, as the known demo",
    "dlt_parquet": "dlt, parquet",
    "dlt_csv": "dlt, CSV",
    "dlt_default": "dlt, default",
}
DEDUPLICATES = {"polars_whole", "pandas_adbc", "pandas_to_sql"}
SMALL = 10_000
LARGE_FROM = 10_000_000  # rows from which a file of a tenth of them is loaded on top, too


@dataclass(frozen=True)
class Sample:
    """A file, how many rows it has, and how many of them differ from each other."""

    path: Path
    rows: int
    distinct: int


@dataclass(frozen=True)
class Step:
    """One process that is measured, and the number of rows that `table` has to have after it."""

    name: str
    command: tuple[str | Path, ...]
    table: str
    rows: int
    role: str | None = None
    setup: str = ""


def sample(rows: int, seed: int) -> Sample:
    """The file of that size and seed, made when it is not in FOLDER yet."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"transactions_{rows}_{seed}.csv"
    truth = path.with_suffix(".truth.json")
    if not truth.exists():
        print(f"making {rows:,} rows", file=sys.stderr)
        size = ("--rows", str(rows), "--seed", str(seed))
        subprocess.run(
            [LOADER, "sample", *size, "--out", path], check=True, stdout=subprocess.DEVNULL
        )
    told = json.loads(truth.read_text())
    return Sample(path, told["rows"], told["distinct_rows"])


def half_known(whole: Sample, rows: int, seed: int) -> Sample:
    """A file whose first half is the first lines of `whole`; the other half is of another seed."""
    fresh = sample(rows // 2, seed)
    path = whole.path.with_name(f"half_of_{rows}_{whole.path.name}")
    with whole.path.open() as known, fresh.path.open() as new, path.open("w") as mixed:
        mixed.writelines(islice(known, 1 + rows // 2))
        mixed.writelines(islice(new, 1, None))
    return Sample(path, rows, _new_lines(path))


def _new_lines(file: Path, *before: Path) -> int:
    """How many lines of a file, the header aside, differ from each other and from those before.

    Counted by a process of its own: the memory of this one would stand in the peak of each
    process that it starts.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_count_new_lines, file, *before).result()


def _count_new_lines(file: Path, *before: Path) -> int:
    with file.open() as lines:
        header = next(lines)
        new = set(lines) - {header}
    for path in before:
        with path.open() as lines:
            new.difference_update(lines)
    return len(new)


def groups(whole: Sample, seed: int, with_peers: bool) -> list[list[Step]]:
    """The steps of one round; those of a group share a warehouse, one after the other."""
    small = half_known(whole, SMALL, seed + 1)
    rows = whole.distinct + _new_lines(small.path, whole.path)
    ours = [
        _load(FIRST, whole, whole.distinct),
        _load(AGAIN, whole, whole.distinct),
        _load(_mixed_name(SMALL), small, rows),
    ]
    if whole.rows >= LARGE_FROM:
        large = half_known(whole, whole.rows // 10, seed + 2)
        rows += _new_lines(large.path, whole.path, small.path)
        ours.append(_load(_mixed_name(large.rows), large, rows))
    alone = _load(_mixed_name(SMALL) + ", empty table", small, small.distinct)
    return [[_copy(whole)], ours, [alone], *([step] for step in _peers(whole) if with_peers)]


def _mixed_name(rows: int) -> str:
    return f"{rows:,} rows, half known"


def _load(name: str, file: Sample, rows: int) -> Step:
    return Step(name, (LOADER, "load", file.path), "raw.transactions", rows, "loader")


def _copy(whole: Sample) -> Step:
    """The least that any loader does: text, no key, no look for duplicates."""
    columns = ", ".join(f"{name} text" for name in COLUMNS)
    copy = f"\\copy copied from '{whole.path}' with (format csv, header)"
    command = (os.environ["PSQL"], "--no-psqlrc", "--quiet", "--command", copy)
    table = f"create table copied ({columns})"
    return Step(COPY, command, "public.copied", whole.rows, setup=table)


def _peers(whole: Sample) -> Iterator[Step]:
    script = Path(__file__).with_name("peers.py")
    for name in PEERS:
        schema = "peer" if name.startswith("dlt") else "public"
        rows = whole.distinct if name in DEDUPLICATES else whole.rows
        command = (sys.executable, script, name, whole.path)
        yield Step(NAMES[name], command, f"{schema}.transactions", rows)
