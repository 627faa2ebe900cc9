"""How often each row was seen in a file so far: in bounded memory.

Hashes are kept in sorted runs of numpy arrays, short ones merged into long ones: 16 bytes a row,
20 where occurrences are counted. When the memory is full, no more are kept, and `complete` says
that a repeated row may have gone unseen. Where occurrences are counted there is no such doubt:
then all of them move to a temporary table of the warehouse.

Most rows are new, and a filter tells at once: each hash sets one bit of it. Only where the bit was
set already are the runs looked into.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_ingestion.rows import HASH
from data_ingestion.warehouse import Cursor

FILTER = 16 << 20  # bytes: with 10 million rows, 7 % of the new ones find their bit set
SHORT_RUNS = 32
LONG_RUN = 1 << 19  # rows; what is merged takes twice its memory while it lasts


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
    """The rows of one file, in `memory` bytes; the warehouse helps to count by `cursor()`."""

    def __init__(self, memory: int, counted: bool, cursor: Callable[[], Cursor]) -> None:
        self._memory = memory
        self._counted = counted
        self._cursor = cursor
        self._runs: list[_Run] = []
        # An eighth of the memory at most, rounded down to a power of two.
        size = min(FILTER, 1 << max(memory // 8, 1).bit_length() - 1)
        self._filter = np.zeros(size, np.uint8)
        self._filter_bits = size.bit_length() + 2  # 8 in each byte
        self.complete = True
        self._on_server = False

    def occurrences(self, hashes: np.ndarray) -> np.ndarray:
        """Adds a chunk of hashes; for each, which occurrence in the file it is (1: the first).

        When not counted, only 1 or more than 1 can be told apart, and once not `complete`, 1 may
        be wrong: of rows that are not in one chunk, none of which was kept.
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

    def _add(
        self, hashes: np.ndarray, high: np.ndarray, low: np.ndarray, sizes: np.ndarray
    ) -> np.ndarray:
        """Counts distinct, sorted hashes; returns how often each was seen before."""
        if self._bytes() + self._row_bytes() * len(high) > self._memory:
            if self._counted and not self._on_server:
                self._move_to_server()
            self.complete = self._on_server
        if self._on_server:
            return self._add_on_server(hashes, sizes)
        before = np.zeros(len(high), np.int64)
        maybe = self._filtered(high)
        for run in self._runs if len(maybe) else ():
            found, place = run.find(high[maybe], low[maybe])
            if run.counts is None:
                before[maybe[found]] = 1
            else:
                before[maybe[found]] = run.counts[place[found]]
                run.counts[place[found]] += sizes[maybe[found]].astype(np.uint32)
        new = before == 0
        if self.complete and new.any():
            counts = sizes[new].astype(np.uint32) if self._counted else None
            self._runs.append(_Run(high[new], low[new], counts))
            self._merge()
        return before

    def _filtered(self, high: np.ndarray) -> np.ndarray:
        """Which hashes, sorted as they are, find their bit set; sets it for those to be kept."""
        which = high >> np.uint64(64 - self._filter_bits)
        place, bit = which >> np.uint64(3), np.uint8(1) << (which & np.uint64(7)).astype(np.uint8)
        found = self._filter[place]
        if not self.complete:
            return np.flatnonzero(found & bit)
        self._filter[place] = found | bit
        # Of hashes that share a place the last one had its way: the few others once more.
        lost = np.flatnonzero((self._filter[place] & bit) == 0)
        np.bitwise_or.at(self._filter, place[lost], bit[lost])
        return np.flatnonzero(found & bit)

    def _merge(self) -> None:
        """Makes one of the short runs when together they are a long one, or too many."""
        short = [run for run in self._runs if len(run.high) < LONG_RUN]
        if len(short) < SHORT_RUNS and sum(len(run.high) for run in short) < LONG_RUN:
            return
        high = np.concatenate([run.high for run in short])
        order = np.argsort(high)
        low = np.concatenate([run.low for run in short])[order]
        counts = np.concatenate([run.counts for run in short])[order] if self._counted else None
        self._runs = [run for run in self._runs if len(run.high) >= LONG_RUN]
        self._runs.append(_Run(high[order], low, counts))

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
            hashes = np.empty(len(run.high), HASH)
            hashes["high"], hashes["low"] = run.high, run.low
            for start in range(0, len(hashes), 100_000):
                part = slice(start, start + 100_000)
                self._add_on_server(hashes[part], run.counts[part])
        self._runs, self._filter = [], np.zeros(0, np.uint8)

    def _add_on_server(self, hashes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        cursor = self._cursor()
        digits = hashes.tobytes().hex()
        uuids = "{" + ",".join(digits[at : at + 32] for at in range(0, len(digits), 32)) + "}"
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
            (uuids, sizes.tolist()) * 2,
        )
        return np.fromiter((row[0] for row in cursor), np.int64, len(hashes))


def _grouped(high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order that brings equal hashes together, earlier rows first; where each group begins."""
    order = np.argsort(high)  # several times as fast as a stable sort, or one by both halves
    same = high[order[1:]] == high[order[:-1]]
    if not same.any():
        return order, np.ones(len(order), bool)
    # Where the first half is equal, few as they are, the second one decides, and then the place.
    among = np.flatnonzero(np.concatenate((same, [False])) | np.concatenate(([False], same)))
    few = order[among]
    order[among] = few[np.lexsort((few, low[few], high[few]))]
    same &= low[order[1:]] == low[order[:-1]]
    return order, np.concatenate(([True], ~same))
