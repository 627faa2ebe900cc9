"""Count how often each row occurred in a file so far, in bounded memory.

Hashes are kept in sorted runs (numpy arrays), and short runs are merged into long ones: 16 bytes a
row, or 20 where occurrences are counted. When the memory is full, no more hashes are kept. From
then on, without counting, a repeated row may be missed, and `complete` is false. With counting,
all counts move to a temporary table of the warehouse, and no repeated row is missed.

Most rows are new, so a Bloom filter with four bits per hash comes first. The runs are searched only
for hashes whose bits were all set before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_ingestion.postgres.connection import Cursor
from data_ingestion.postgres.copy_format import HASH, Flags, Hashes, Integers, uuid_array

Halves = NDArray[np.uint64]  # the first 8 bytes of hashes, or the last

FILTER = 16 << 20  # bytes: after 10 million rows, 0.8 % of new rows find their bits set
SHORT_RUNS = 32
LONG_RUN = 1 << 18  # rows: a merge needs twice the memory of the merged runs


@dataclass
class _Run:
    """Distinct hashes in ascending order, and how often each occurred (None: not counted)."""

    high: Halves
    low: Halves
    counts: NDArray[np.uint32] | None

    def find(self, high: Halves, low: Halves) -> tuple[Integers, Integers]:
        """Return the indexes of those hashes that the run has, and their indexes in the run."""
        at = np.searchsorted(self.high, high)
        items = np.flatnonzero(self.high.take(at, mode="clip") == high)
        at = at[items]
        # Hashes with equal first halves are neighbours in a run. They are very rare, so a loop
        # looks at them one by one.
        for index in np.flatnonzero(self.low[at] != low[items]):
            item = items[index]
            stop = np.searchsorted(self.high, high[item], side="right")
            at[index] += np.argmax(self.low[at[index] : stop] == low[item])
        found = self.low[at] == low[items]
        return items[found], at[found]


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
        # At most an eighth of the memory, rounded down to a power of two. The bits of a hash are in
        # one word, because most of the filter's cost is the access to memory.
        words = min(FILTER // 8, 1 << max(memory // 64, 1).bit_length() - 1)
        self._filter = np.zeros(words, np.uint64)
        self._word_shift = np.uint64(65 - words.bit_length())  # the highest bits number the word
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
        before = self._add(high[distinct], low[distinct], sizes)
        group = np.cumsum(first) - 1
        rank = np.arange(len(order)) - begins[group] + 1
        numbers = np.empty(len(order), np.int64)
        numbers[order] = rank + before[group]
        return numbers

    def _add(self, high: Halves, low: Halves, sizes: Integers) -> Integers:
        """Count distinct, sorted hashes; return how often each occurred before."""
        if self._bytes() + self._row_bytes() * len(high) > self._memory:
            if self._counted and not self._on_server:
                self._move_to_server()
            self.complete = self._on_server
        if self._on_server:
            return self._add_on_server(high, low, sizes)
        before = np.zeros(len(high), np.int64)
        candidates = self._filtered(high)
        for run in reversed(self._runs):  # newest first: copies are often close
            if not len(candidates):
                break
            items, indexes = run.find(high[candidates], low[candidates])
            found = candidates[items]
            if run.counts is None:
                before[found] = 1
            else:
                before[found] = run.counts[indexes]
                run.counts[indexes] += sizes[found].astype(np.uint32)
            candidates = np.delete(candidates, items)  # no other run has them
        new = before == 0
        if self.complete and new.any():
            counts = sizes[new].astype(np.uint32) if self._counted else None
            self._runs.append(_Run(high[new], low[new], counts))
            self._merge()
        return before

    def _filtered(self, high: Halves) -> Integers:
        """Return the indexes of the hashes whose bits are set; set those of hashes to be kept."""
        word = (high >> self._word_shift).astype(np.int64)
        bits = np.zeros(len(high), np.uint64)
        for shift in (0, 6, 12, 18):
            bits |= np.uint64(1) << (high >> np.uint64(shift) & np.uint64(63))
        found = self._filter[word]
        if self.complete:
            self._filter[word] = found | bits
            # Fancy assignment keeps one write per repeated index. Add the bits that were lost.
            lost = np.flatnonzero(self._filter[word] & bits != bits)
            np.bitwise_or.at(self._filter, word[lost], bits[lost])
        return np.flatnonzero(found & bits == bits)

    def _merge(self) -> None:
        """Merge the short runs if there are too many, or if together they make a long one."""
        short = [run for run in self._runs if len(run.high) < LONG_RUN]
        if len(short) < SHORT_RUNS and sum(len(run.high) for run in short) < LONG_RUN:
            return
        high = np.concatenate([run.high for run in short])
        order = np.argsort(high, kind="stable")  # timsort, which merges sorted runs
        low = np.concatenate([run.low for run in short])[order]
        counts = [run.counts for run in short if run.counts is not None]
        merged = _Run(high[order], low, np.concatenate(counts)[order] if counts else None)
        self._runs = [run for run in self._runs if len(run.high) >= LONG_RUN] + [merged]

    def _row_bytes(self) -> int:
        return 20 if self._counted else 16

    def _bytes(self) -> int:
        rows = sum(len(run.high) for run in self._runs)
        return rows * self._row_bytes() + self._filter.nbytes

    def _move_to_server(self) -> None:
        self._on_server = True
        self._cursor().execute(
            "create temporary table seen_rows (hash uuid primary key, seen bigint not null)"
            " on commit drop"
        )
        for run in self._runs:
            if run.counts is None:
                continue
            for start in range(0, len(run.high), 100_000):
                part = slice(start, start + 100_000)
                counts = run.counts[part].astype(np.int64)
                self._add_on_server(run.high[part], run.low[part], counts)
        self._runs, self._filter = [], np.zeros(0, np.uint64)

    def _add_on_server(self, high: Halves, low: Halves, sizes: Integers) -> Integers:
        hashes = np.empty(len(high), HASH)
        hashes["high"], hashes["low"] = high, low
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
    order = _argsort(high)
    same = high[order[1:]] == high[order[:-1]]
    if not same.any():
        return order, np.ones(len(order), bool)
    # Few hashes share their first half. Sort only those, by the second half and then by position.
    shared = np.flatnonzero(np.concatenate((same, [False])) | np.concatenate(([False], same)))
    few = order[shared]
    order[shared] = few[np.lexsort((few, low[few], high[few]))]
    same &= low[order[1:]] == low[order[:-1]]
    return order, np.concatenate(([True], ~same))


def _argsort(high: Halves) -> Integers:
    """Return the indexes that sort the first halves of hashes, stably."""
    # numpy uses radix sort for numbers of 16 bits. The second sort (timsort) is fast because its
    # input is almost sorted. Together they take a fifth of the time of one unstable argsort.
    order = np.argsort((high >> np.uint64(48)).astype(np.uint16), kind="stable")
    return order[np.argsort(high[order], kind="stable")]
