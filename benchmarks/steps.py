r"""The steps to measure: `\copy`, the loader and its peers, each in an empty warehouse."""

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
# Generated data and intermediate results; `make demo-reset` removes the folder.
DATA_FOLDER = PROJECT / ".state" / "benchmarks"
COPY = r"psql \copy"
FIRST_LOAD = "first load"
SAME_FILE = "the same file again"
COLUMNS = (
    "account_no", "date", "details", "chq_no", "value_date",
    "withdrawal", "deposit", "balance", "nothing",
)  # fmt: skip
PEER_NAMES = {
    "polars_batches": "polars in batches, ADBC",
    "polars_whole": "polars whole, ADBC",
    "pandas_adbc": "pandas, ADBC",
    "pandas_to_sql": "pandas to_sql, as the known demo",
    "dlt_parquet": "dlt, parquet",
    "dlt_csv": "dlt, CSV",
    "dlt_default": "dlt, default",
}
DEDUPLICATES = {"polars_whole", "pandas_adbc", "pandas_to_sql"}
SMALL = 10_000  # rows of the half-known file that is loaded after each sample
LARGE_FROM = 10_000_000  # rows; after such a sample, a half-known file of a tenth is loaded as well


@dataclass(frozen=True)
class Sample:
    """A file of transactions with its numbers of rows and of distinct rows."""

    path: Path
    rows: int
    distinct: int


@dataclass(frozen=True)
class Step:
    """One process to measure.

    Attributes:
        name: Name of the step in the report.
        command: Program and arguments.
        table: Table that the process writes.
        rows: Rows that the table must have afterwards.
        role: Role of the process in the warehouse; None for the superuser.
        setup: Statement to run before the process.
    """

    name: str
    command: tuple[str | Path, ...]
    table: str
    rows: int
    role: str | None = None
    setup: str = ""


def sample(rows: int, seed: int) -> Sample:
    """Return the sample of a size and seed; generate it unless DATA_FOLDER has it."""
    DATA_FOLDER.mkdir(parents=True, exist_ok=True)
    path = DATA_FOLDER / f"transactions_{rows}_{seed}.csv"
    if not _truth_file(path).exists():
        print(f"generating {rows:,} rows", file=sys.stderr)
        size = ("--rows", str(rows), "--seed", str(seed))
        subprocess.run(
            [LOADER, "sample", *size, "--out", path], check=True, stdout=subprocess.DEVNULL
        )
    counts = truth(path)
    return Sample(path, counts["rows"], counts["distinct_rows"])


def truth(sample: Path) -> dict:
    """Return the facts about a sample that its generator has written beside it."""
    return json.loads(_truth_file(sample).read_text())


def _truth_file(sample: Path) -> Path:
    return sample.with_suffix(".truth.json")


def half_known(whole: Sample, rows: int, seed: int) -> Sample:
    """Write a file of `rows` rows: half from `whole`, half from a sample of another seed."""
    fresh = sample(rows // 2, seed)
    path = whole.path.with_name(f"half_of_{rows}_{whole.path.name}")
    with whole.path.open() as known, fresh.path.open() as new, path.open("w") as mixed:
        mixed.writelines(islice(known, 1 + rows // 2))
        mixed.writelines(islice(new, 1, None))
    return Sample(path, rows, _new_lines(path))


def _new_lines(file: Path, *before: Path) -> int:
    """Count the distinct lines of a file that are not in earlier files, without the header.

    A separate process counts them: the peak memory that Linux reports for a measured process begins
    with the memory of this process, which forks it.
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


def step_groups(whole: Sample, seed: int, with_peers: bool) -> list[list[Step]]:
    """Return the steps of one round. The steps of a group run in order in one warehouse."""
    small = half_known(whole, SMALL, seed + 1)
    rows = whole.distinct + _new_lines(small.path, whole.path)
    loads = [
        _load(FIRST_LOAD, whole, whole.distinct),
        _load(SAME_FILE, whole, whole.distinct),
        _load(_mixed_name(SMALL), small, rows),
    ]
    if whole.rows >= LARGE_FROM:
        large = half_known(whole, whole.rows // 10, seed + 2)
        rows += _new_lines(large.path, whole.path, small.path)
        loads.append(_load(_mixed_name(large.rows), large, rows))
    alone = _load(_mixed_name(SMALL) + ", empty table", small, small.distinct)
    return [[_copy(whole)], loads, [alone], *([step] for step in _peers(whole) if with_peers)]


def _mixed_name(rows: int) -> str:
    return f"{rows:,} rows, half known"


def _load(name: str, file: Sample, rows: int) -> Step:
    return Step(name, (LOADER, "load", file.path), "raw.transactions", rows, "loader")


def _copy(whole: Sample) -> Step:
    """Return the minimal load: text columns, no key, no check for duplicates."""
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
        yield Step(PEER_NAMES[name], command, f"{schema}.transactions", rows)
