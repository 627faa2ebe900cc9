"""What a warehouse must hold after a fault: truth from the files, with Python's csv and sets."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from scene import Warehouse

HEADER = (
    "Account No,DATE,TRANSACTION DETAILS,CHQ.NO.,VALUE DATE,"
    " WITHDRAWAL AMT , DEPOSIT AMT ,BALANCE AMT,.\r\n"
)
COLUMNS = (
    "account_no, date, transaction_details, chq_no, value_date, withdrawal_amt, deposit_amt,"
    " balance_amt"
)


@dataclass
class Sheet:
    """A file of transactions; `rows` is what a CSV reader finds in it, without the last column."""

    path: Path

    @classmethod
    def write(cls, path: Path, numbers: Sequence[int]) -> Sheet:
        """One row a number; the same number, the same row."""
        dates = ("29-Jun-17", '"Jun 29, 17"', "2017-06-29")
        lines = [
            f"""40900061107{n % 10}',{dates[n % 3]},"TRF, ""{n}"" é to somebody",,"Jul 1, 17",,"""
            f""""{n % 900},000.00 ","{n}.00 ",.\r\n"""
            for n in numbers
        ]
        path.write_text(HEADER + "".join(lines), "utf-8")
        return cls(path)

    @cached_property
    def rows(self) -> list[tuple[str, ...]]:
        with self.path.open(newline="", encoding="utf-8") as file:
            return [tuple(row[:8]) for row in csv.reader(file)][1:]


@dataclass
class Found:
    """What a warehouse holds beside what it should: counts of rows."""

    loaded: set[str]  # names of files
    lost: int
    doubled: int


def compare(warehouse: Warehouse, sheets: Sequence[Sheet], database: str = "warehouse") -> Found:
    """What is in the warehouse, checked against those of the files that raw._loads says are there.

    Raises:
        AssertionError: a load is half there, or its numbers are not those of its file.
    """
    rows_of = {sheet.path.name: sheet.rows for sheet in sheets}
    loads, rejects, rows, by_load, unique = _held(warehouse, database)
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
    assert not by_load, f"rows of loads that did not end: {by_load}"
    got = set(rows)
    assert got <= expected, "rows that are in no file"
    return Found(set(names), len(expected - got), len(rows) - len(got))


def _held(warehouse: Warehouse, database: str) -> tuple[list, list, list, dict[int, int], list]:
    """Loads, rejects, rows, how many rows each load has, whether the unique index is valid."""
    there = "select to_regclass('raw._loads'), to_regclass('raw.transactions')"
    has_loads, has_rows = warehouse.query(there, database)[0]
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
        warehouse.query(query, database) if possible else [] for query, possible in queries.items()
    )
    return loads, rejects, rows, dict(by_load), unique


@dataclass
class Story:
    """A table that grows by one file a try, so that what it must hold is known at any time.

    A third of the files come into a fresh table, the others into one with rows; half of those
    overlap with what is there.
    """

    warehouse: Warehouse
    folder: Path
    chance: random.Random
    rows: int = 12_000
    told: list[Sheet] = field(default_factory=list)
    _count: int = 0
    _next: int = 0

    def sheet(self, fresh: bool | None = None) -> Sheet:
        """The next file; `fresh` decides whether it is the table's first one."""
        kind = self.chance.choice(["first", "more", "overlapping"])
        if fresh if fresh is not None else kind == "first" or len(self.told) > 4:
            self.warehouse.forget()
            self.told = []
        overlap = self.rows // 2 if kind == "overlapping" and self.told else 0
        begin = self._next - overlap
        numbers = [*range(begin, begin + self.rows), begin, begin + 1]
        self._next = begin + self.rows
        self._count += 1
        return Sheet.write(self.folder / f"transactions-{self._count}.csv", numbers)

    def verify(self, sheet: Sheet) -> Found:
        """After a fault in its load: all that was told before, and this one whole or not at all."""
        self.warehouse.wait_until_alone()
        found = compare(self.warehouse, [*self.told, sheet])
        before = {known.path.name for known in self.told}
        assert found.loaded in (before, before | {sheet.path.name})
        return found

    def tell(self, sheet: Sheet) -> Found:
        """The next run of the same load: succeeds, and brings exactly what was missing."""
        process = self.warehouse.load(sheet.path)
        ended = process.communicate(timeout=120)
        assert (process.returncode, ended[1]) == (0, ""), ended
        self.told.append(sheet)
        found = self.verify(sheet)
        assert found.loaded == {known.path.name for known in self.told}
        return found
