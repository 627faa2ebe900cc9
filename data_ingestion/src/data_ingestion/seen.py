"""How often each row was seen in a file so far: exactly, and in bounded memory.

Hashes are kept in sorted runs of numpy arrays, which are merged so that there are only ever a few
(as in a log-structured merge tree): 16 bytes a row, 20 where occurrences are counted. Beyond
the bound all of them move to a temporary table of the warehouse: still right, only slower.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_ingestion.rows import HASH, hex_array
from data_ingestion.warehouse import Cursor


@dataclass
class _Run:
    """Distinct hashes in ascending order, and how often each was seen (None: not counted)."""

    high: np.ndarray
    low: np.ndarray
    counts: np.ndarray | None

    def find(self, high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each hash: whether it is here, and at which place."""
        place = np.searchsorted(self.high, high)
        last = len(self.high) - 1
        clipped = np.minimum(place, last)
        found = (self.high[clipped] == high) & (self.low[clipped] == low)
        # Rows whose first 64 bits are equal stand side by side: look on, which is next to never.
        unsure = np.flatnonzero((self.high[clipped] == high) & ~found)
        for index in unsure:
            at = clipped[index]
            while at <= last and self.high[at] == high[index]:
                if self.low[at] == low[index]:
                    clipped[index], found[index] = at, True
                at += 1
        return found, clipped


class SeenRows:
    """The rows of one file; when `memory` (bytes) is full, the warehouse helps by `cursor()`."""

    def __init__(self, memory: int, counted: bool, cursor: Callable[[], Cursor]) -> None:
        self._memory = memory
        self._counted = counted
        self._cursor = cursor
        self._runs: list[_Run] = []
        self.spilled = False

    def occurrences(self, hashes: np.ndarray) -> np.ndarray:
        """Adds a chunk of hashes; for each, which occurrence in the file it is (1: the first).

        When not counted, only 1 or more than 1 can be told apart.
        """
        high = hashes["high"].astype(np.uint64)
        low = hashes["low"].astype(np.uint64)
        order, first = _grouped(high, low)
        group = np.cumsum(first) - 1
        begins = np.flatnonzero(first)
        rank = np.arange(len(order)) - begins[group] + 1
        sizes = np.diff(begins, append=len(order))
        distinct = order[begins]
        before = self._add(hashes[distinct], high[distinct], low[distinct], sizes)
        numbers = np.empty(len(order), np.int64)
        numbers[order] = rank + before[group]
        return numbers

    def _add(
        self, hashes: np.ndarray, high: np.ndarray, low: np.ndarray, sizes: np.ndarray
    ) -> np.ndarray:
        """Counts distinct, sorted hashes; returns how often each was seen before."""
        if not self.spilled and self._bytes() + self._row_bytes() * len(high) > self._memory:
            self._spill()
        if self.spilled:
            return self._add_on_server(hashes, sizes)
        before = np.zeros(len(high), np.int64)
        for run in self._runs:
            found, place = run.find(high, low)
            if run.counts is None:
                before[found] = 1
            else:
                before[found] = run.counts[place[found]]
                run.counts[place[found]] += sizes[found].astype(np.uint32)
        new = before == 0
        if new.any():
            counts = sizes[new].astype(np.uint32) if self._counted else None
            self._runs.append(_Run(high[new], low[new], counts))
            self._merge()
        return before

    def _merge(self) -> None:
        """Keeps each run more than twice as long as the next one, so that there are few."""
        while len(self._runs) > 1 and len(self._runs[-2].high) <= 2 * len(self._runs[-1].high):
            one, other = self._runs.pop(), self._runs.pop()
            high = np.concatenate((other.high, one.high))
            order = np.argsort(high, kind="stable")
            counts = np.concatenate((other.counts, one.counts))[order] if self._counted else None
            low = np.concatenate((other.low, one.low))[order]
            self._runs.append(_Run(high[order], low, counts))

    def _row_bytes(self) -> int:
        return 20 if self._counted else 16

    def _bytes(self) -> int:
        return sum(len(run.high) for run in self._runs) * self._row_bytes()

    def _spill(self) -> None:
        self.spilled = True
        self._cursor().execute(
            "create temporary table seen_rows (hash uuid primary key, seen bigint not null)"
            " on commit drop"
        )
        for run in self._runs:
            hashes = np.empty(len(run.high), HASH)
            hashes["high"], hashes["low"] = run.high, run.low
            counts = run.counts if self._counted else np.ones(len(hashes), np.int64)
            for start in range(0, len(hashes), 100_000):
                part = slice(start, start + 100_000)
                self._add_on_server(hashes[part], counts[part])
        self._runs = []

    def _add_on_server(self, hashes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        cursor = self._cursor()
        cursor.execute(
            """
            with added as (
                insert into seen_rows as old (hash, seen)
                select hash, size from unnest(%s::uuid[], %s::bigint[]) as new (hash, size)
                on conflict (hash) do update set seen = old.seen + excluded.seen
                returning hash, seen
            )
            select added.seen - new.size
            from unnest(%s::uuid[], %s::bigint[]) with ordinality as new (hash, size, place)
            join added using (hash)
            order by new.place
            """,
            (uuid_array(hashes), sizes.tolist()) * 2,
        )
        return np.fromiter((row[0] for row in cursor), np.int64, len(hashes))


def _grouped(high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order that brings equal hashes together, earlier rows first; where each group begins."""
    order = np.argsort(high, kind="stable")
    ordered_high, ordered_low = high[order], low[order]
    same_high = ordered_high[1:] == ordered_high[:-1]
    same_low = ordered_low[1:] == ordered_low[:-1]
    if (same_high & ~same_low).any():  # equal in 64 bits, not in 128: next to never
        order = np.lexsort((low, high))
        ordered_high, ordered_low = high[order], low[order]
        same_high = ordered_high[1:] == ordered_high[:-1]
        same_low = ordered_low[1:] == ordered_low[:-1]
    return order, np.concatenate(([True], ~(same_high & same_low)))


def uuid_array(hashes: np.ndarray) -> str:
    """The hashes as the text of a Postgres array, which costs less than a list of parameters."""
    return "{" + ",".join(hex_array(hashes).to_pylist()) + "}"
