"""SeenRows counts repeated rows as a dictionary does, in memory and on the server."""

from collections import Counter

import numpy as np
import psycopg2
import pytest

from data_ingestion import dedup
from data_ingestion.dedup import SeenRows
from data_ingestion.postgres.copy_format import HASH


def random_chunks(seed: int) -> list[np.ndarray]:
    """Return chunks of few distinct hashes, so that hashes repeat and many share one half."""
    print("seed", seed)
    random = np.random.default_rng(seed)
    chunks = []
    for size in (1, 50, 400, 3, 700, 200, 1):
        chunk = np.empty(size, HASH)
        value = random.integers(0, 30, size)
        chunk["high"] = (value // 5 << 58) | value % 5  # five share a word of the filter
        chunk["low"] = random.integers(0, 30, size)
        chunks.append(chunk)
    return chunks


def expected(chunks: list[np.ndarray]) -> list[int]:
    seen: Counter = Counter()
    numbers = []
    for item in np.concatenate(chunks).tolist():
        seen[item] += 1
        numbers.append(seen[item])
    return numbers


def no_server() -> None:
    raise AssertionError("asked the server")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("long_run", [1, 300, dedup.LONG_RUN])
def test_repeated_rows_are_found_in_memory(seed, counted, long_run, monkeypatch):
    monkeypatch.setattr(dedup, "LONG_RUN", long_run)  # never merged, sometimes, too few rows
    chunks = random_chunks(seed)
    seen = SeenRows(1 << 20, counted, no_server)
    numbers = np.concatenate([seen.occurrences(chunk) for chunk in chunks])
    truth = np.array(expected(chunks))
    if counted:
        assert numbers.tolist() == truth.tolist()
    else:
        assert ((numbers > 1) == (truth > 1)).all()


@pytest.mark.parametrize("memory", [0, 100, 2_000, 8_000])
def test_the_server_counts_rows_beyond_the_memory(warehouse, memory):
    chunks = random_chunks(7)
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        seen = SeenRows(memory, True, lambda: cursor)
        numbers = np.concatenate([seen.occurrences(chunk) for chunk in chunks])
        assert seen.complete
        cursor.execute("select count(*) from seen_rows")
        assert cursor.fetchone()[0] > 0
    connection.close()
    assert numbers.tolist() == expected(chunks)


@pytest.mark.parametrize("memory", [0, 100, 2_000, 8_000])
def test_an_incomplete_count_is_reported(memory):
    """Without a server, SeenRows misses only repetitions of rows that did not fit in memory."""
    chunks = random_chunks(7)
    seen = SeenRows(memory, False, no_server)
    truth = iter(expected(chunks))
    n_chunks_in_memory = 0
    for chunk in chunks:
        repeated = seen.occurrences(chunk) > 1
        correct = np.array([next(truth) > 1 for _ in chunk])
        if seen.complete:
            n_chunks_in_memory += 1
            assert (repeated == correct).all()
        else:
            remembered = chunks[:n_chunks_in_memory]
            before = set(np.concatenate(remembered).tolist()) if remembered else set()
            assert not (repeated & ~correct).any()
            for index, item in enumerate(chunk.tolist()):
                known = item in before or item in chunk[:index].tolist()
                assert repeated[index] == known
    assert not seen.complete
    assert (n_chunks_in_memory > 0) == (memory > 0)
