"""Files to load and the rows that the warehouse must hold afterwards.

The expected rows come from the files themselves, read with Python's csv.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from support import HEADER
from warehouse import Warehouse

COLUMNS = (
    "account_no, date, transaction_details, chq_no, value_date, withdrawal_amt, deposit_amt,"
    " balance_amt"
)


@dataclass
class TransactionFile:
    """A file of transactions."""

    path: Path

    @classmethod
    def write(cls, path: Path, numbers: Sequence[int]) -> TransactionFile:
        """Write one row per number. Equal numbers give equal rows."""
        dates = ("29-Jun-17", '"Jun 29, 17"', "2017-06-29")
        lines = [
            f"""40900061107{n % 10}',{dates[n % 3]},"TRF, ""{n}"" é to somebody",,"Jul 1, 17",,"""
            f""""{n % 900},000.00 ","{n}.00 ",.\r\n"""
            for n in numbers
        ]
        path.write_text(f"{HEADER}\r\n" + "".join(lines), "utf-8")
        return cls(path)

    @cached_property
    def rows(self) -> list[tuple[str, ...]]:
        """The rows as Python's csv reads them, without the last column, which carries nothing."""
        with self.path.open(newline="", encoding="utf-8") as file:
            return [tuple(row[:8]) for row in csv.reader(file)][1:]


@dataclass
class Comparison:
    """The difference between a warehouse and its files."""

    loaded: set[str]  # names of the loaded files
    lost: int  # rows
    duplicated: int  # rows


def compare(
    warehouse: Warehouse, files: Sequence[TransactionFile], database: str = "warehouse"
) -> Comparison:
    """Compare the warehouse with the files that are loaded according to the load log.

    Raises:
        AssertionError: A load is partial, or its row counts in the log do not match its file.
    """
    rows_of = {file.path.name: file.rows for file in files}
    loads, rejects, rows, by_load, unique = _contents(warehouse, database)
    names = [load[1] for load in loads]
    assert [load[0] for load in loads] == list(range(1, len(loads) + 1))
    assert len(set(names)) == len(names) and set(names) <= set(rows_of), names
    assert not rejects and (not loads or unique == [(True,)])
    expected: set[tuple] = set()
    for load_id, name, status, read, loaded, duplicates in loads:
        new = set(rows_of[name]) - expected
        assert (status, read, loaded) == ("loaded", len(rows_of[name]), len(new)), name
        assert read == loaded + duplicates and by_load.pop(load_id, 0) == loaded, name
        expected |= new
    assert not by_load, f"rows of unfinished loads: {by_load}"
    stored = set(rows)
    assert stored <= expected, "rows that are in no file"
    return Comparison(set(names), len(expected - stored), len(rows) - len(stored))


def _contents(warehouse: Warehouse, database: str) -> tuple[list, list, list, dict[int, int], list]:
    """Return loads, rejects, rows, row counts by load, and whether the unique index is valid."""
    existing = "select to_regclass('raw._loads'), to_regclass('raw.transactions')"
    has_loads, has_rows = warehouse.query(existing, database)[0]
    queries = {
        "select load_id, source_file, status, rows_read, rows_loaded, rows_duplicate"
        " from raw._loads order by 1": has_loads,
        "table raw._rejects": has_loads,
        f"select {COLUMNS} from raw.transactions": has_rows,
        "select _load_id, count(*) from raw.transactions group by 1": has_rows,
        "select indisvalid from pg_index where indisunique"
        " and indrelid = 'raw.transactions'::regclass": has_rows,
    }
    loads, rejects, rows, by_load, unique = (
        warehouse.query(query, database) if exists else [] for query, exists in queries.items()
    )
    return loads, rejects, rows, dict(by_load), unique


@dataclass
class Workload:
    """A sequence of files for one table, and the files that the table holds.

    A third of the files, and each one after five others, go into a fresh table. Half of the other
    files overlap with the rows of the table.
    """

    warehouse: Warehouse
    folder: Path
    rng: random.Random
    rows: int = 12_000  # per file
    loaded_files: list[TransactionFile] = field(default_factory=list)
    _count: int = 0
    _next: int = 0

    def next_file(self, fresh: bool | None = None) -> TransactionFile:
        """Write the next file.

        Args:
            fresh: Start a fresh table or not; None leaves this to chance.
        """
        kind = self.rng.choice(["first", "more", "overlapping"])
        if fresh is None:
            fresh = kind == "first" or len(self.loaded_files) > 4
        if fresh:
            self.warehouse.reset()
            self.loaded_files = []
        overlap = self.rows // 2 if kind == "overlapping" and self.loaded_files else 0
        begin = self._next - overlap
        numbers = [*range(begin, begin + self.rows), begin, begin + 1]
        self._next = begin + self.rows
        self._count += 1
        return TransactionFile.write(self.folder / f"transactions-{self._count}.csv", numbers)

    def verify(self, file: TransactionFile) -> Comparison:
        """Check that a load with a fault has loaded its file fully or not at all.

        The rows of the files that were loaded before must be unchanged.
        """
        self.warehouse.wait_until_alone()
        found = compare(self.warehouse, [*self.loaded_files, file])
        before = {loaded.path.name for loaded in self.loaded_files}
        assert found.loaded in (before, before | {file.path.name})
        return found

    def load(self, file: TransactionFile) -> Comparison:
        """Load a file without a fault. The table must then hold all rows of the file."""
        process = self.warehouse.load(file.path)
        ended = process.communicate(timeout=120)
        assert (process.returncode, ended[1]) == (0, ""), ended
        self.loaded_files.append(file)
        found = self.verify(file)
        assert found.loaded == {loaded.path.name for loaded in self.loaded_files}
        return found
