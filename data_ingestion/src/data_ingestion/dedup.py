"""Count how often each row occurred in a file so far, in bounded memory.

Hashes are kept in sorted runs (numpy arrays), and short runs are merged into long ones: 16 bytes a
row, or 20 where occurrences are counted. When the memory is full, no more hashes are kept. From
then on, without counting, a repeated row may be missed, and `complete` is false. With counting,
all counts move to a temporary table of the warehouse, and no repeated row is missed.

Most rows are new, so a filter with one bit per hash comes first. The runs are searched only for
hashes whose bit was set before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_ingestion.postgres.connection import Cursor
from data_ingestion.postgres.copy_format import HASH, Flags, Hashes, Integers, uuid_array

Halves = NDArray[np.uint64]  # the first 8 bytes of hashes, or the last

FILTER = 16 << 20  # bytes: with 10 million rows, 7 % of the new ones find their bit set
SHORT_RUNS = 32
LONG_RUN = 1 << 19  # rows: a merge needs twice the memory of the merged runs


@dataclass
class _Run:
    """Distinct hashes in ascending order, and how often each occurred (None: not counted)."""

    high: Halves
    low: Halves
    counts: NDArray[np.uint32] | None

    def find(self, high: Halves, low: Halves) -> tuple[Flags, Integers]:
        """Return for each hash whether the run has it, and at which index."""
        last = len(self.high) - 1
        indexes = np.minimum(np.searchsorted(self.high, high), last)
        found = (self.high[indexes] == high) & (self.low[indexes] == low)
        # Hashes with equal first halves are neighbours in a run. They are very rare, so a loop
        # looks at them one by one.
        for item in np.flatnonzero((self.high[indexes] == high) & ~found):
            at = indexes[item]
            while at <= last and self.high[at] == high[item]:
                if self.low[at] == low[item]:
                    indexes[item], found[item] = at, True
                at += 1
        return found, indexes


class SeenRows:
    """The hashes of the rows of one file.

    Args:
        memory: The limit in bytes.
        counted: Whether to count occurrences, or only to tell repeated rows from first ones.
        cursor: Returns a cursor of the warehouse that no other thread uses.
    """

    def __init__(self, memory: int, counted: bool, cursor: Callable[[], Cursor]) -> None:
        self._memory = memory
        self._counted = counted
        self._cursor = cursor
        self._runs: list[_Run] = []
        # At most an eighth of the memory, rounded down to a power of two.
        size = min(FILTER, 1 << max(memory // 8, 1).bit_length() - 1)
        self._filter = np.zeros(size, np.uint8)
        self._filter_bits = size.bit_length() + 2  # log2 of the number of bits
        self.complete = True
        self._on_server = False

    def occurrences(self, hashes: Hashes) -> Integers:
        """Add a block of hashes; return the number of each one's occurrence in the file, from 1.

        Without counting, a number above 1 only means that the row is repeated. Once `complete` is
        false, a number of 1 can be wrong for a row that repeats one of an earlier block whose
        hashes were not kept.
        """
        high = hashes["high"].astype(np.uint64)
        low = hashes["low"].astype(np.uint64)
        order, first = _grouped(high, low)
        begins = np.flatnonzero(first)
        sizes = np.diff(begins, append=len(order))
        distinct = order[begins]
        before = self._add(hashes[distinct], high[distinct], low[distinct], sizes)
        group = np.cumsum(first) - 1
        rank = np.arange(len(order)) - begins[group] + 1
        numbers = np.empty(len(order), np.int64)
        numbers[order] = rank + before[group]
        return numbers

    def _add(self, hashes: Hashes, high: Halves, low: Halves, sizes: Integers) -> Integers:
        """Count distinct, sorted hashes; return how often each occurred before."""
        if self._bytes() + self._row_bytes() * len(high) > self._memory:
            if self._counted and not self._on_server:
                self._move_to_server()
            self.complete = self._on_server
        if self._on_server:
            return self._add_on_server(hashes, sizes)
        before = np.zeros(len(high), np.int64)
        candidates = self._filtered(high)
        for run in self._runs if len(candidates) else ():
            found, indexes = run.find(high[candidates], low[candidates])
            if run.counts is None:
                before[candidates[found]] = 1
            else:
                before[candidates[found]] = run.counts[indexes[found]]
                run.counts[indexes[found]] += sizes[candidates[found]].astype(np.uint32)
        new = before == 0
        if self.complete and new.any():
            counts = sizes[new].astype(np.uint32) if self._counted else None
            self._runs.append(_Run(high[new], low[new], counts))
            self._merge()
        return before

    def _filtered(self, high: Halves) -> Integers:
        """Return the indexes of the hashes whose bit is set; set the bits of hashes to be kept."""
        position = high >> np.uint64(64 - self._filter_bits)
        byte = position >> np.uint64(3)
        bit = np.uint8(1) << (position & np.uint64(7)).astype(np.uint8)
        found = self._filter[byte]
        if self.complete:
            self._filter[byte] = found | bit
            # Fancy assignment keeps one write per repeated index. Add the bits that were lost.
            lost = np.flatnonzero((self._filter[byte] & bit) == 0)
            np.bitwise_or.at(self._filter, byte[lost], bit[lost])
        return np.flatnonzero(found & bit)

    def _merge(self) -> None:
        """Merge the short runs if there are too many, or if together they make a long one."""
        short = [run for run in self._runs if len(run.high) < LONG_RUN]
        if len(short) < SHORT_RUNS and sum(len(run.high) for run in short) < LONG_RUN:
            return
        high = np.concatenate([run.high for run in short])
        order = np.argsort(high)
        low = np.concatenate([run.low for run in short])[order]
        counts = [run.counts for run in short if run.counts is not None]
        merged = _Run(high[order], low, np.concatenate(counts)[order] if counts else None)
        self._runs = [run for run in self._runs if len(run.high) >= LONG_RUN] + [merged]

    def _row_bytes(self) -> int:
        return 20 if self._counted else 16

    def _bytes(self) -> int:
        rows = sum(len(run.high) for run in self._runs)
        return rows * self._row_bytes() + len(self._filter)

    def _move_to_server(self) -> None:
        self._on_server = True
        self._cursor().execute(
            "create temporary table seen_rows (hash uuid primary key, seen bigint not null)"
            " on commit drop"
        )
        for run in self._runs:
            if run.counts is None:
                continue
            hashes = np.empty(len(run.high), HASH)
            hashes["high"], hashes["low"] = run.high, run.low
            for start in range(0, len(hashes), 100_000):
                part = slice(start, start + 100_000)
                self._add_on_server(hashes[part], run.counts[part].astype(np.int64))
        self._runs, self._filter = [], np.zeros(0, np.uint8)

    def _add_on_server(self, hashes: Hashes, sizes: Integers) -> Integers:
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


def _grouped(high: Halves, low: Halves) -> tuple[Integers, Flags]:
    """Return an order that groups equal hashes, earlier rows first, and flags of group starts."""
    order = np.argsort(high)  # several times as fast as a stable sort, or a sort by both halves
    same = high[order[1:]] == high[order[:-1]]
    if not same.any():
        return order, np.ones(len(order), bool)
    # Few hashes share their first half. Sort only those, by the second half and then by position.
    shared = np.flatnonzero(np.concatenate((same, [False])) | np.concatenate(([False], same)))
    few = order[shared]
    order[shared] = few[np.lexsort((few, low[few], high[few]))]
    same &= low[order[1:]] == low[order[:-1]]
    return order, np.concatenate(([True], ~same))
