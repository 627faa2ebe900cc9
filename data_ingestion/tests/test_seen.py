"""Counting occurrences: against a dictionary, in memory and on the server."""

from collections import Counter

import numpy as np
import psycopg2
import pytest

from data_ingestion.rows import HASH
from data_ingestion.seen import SeenRows


def random_chunks(seed: int) -> list[np.ndarray]:
    """Few values, so that hashes repeat and often agree in one half only."""
    print("seed", seed)
    random = np.random.default_rng(seed)
    chunks = []
    for size in (1, 50, 400, 3, 700, 200, 1):
        chunk = np.empty(size, HASH)
        chunk["high"] = random.integers(0, 30, size) << 58
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
def test_in_memory(seed, counted):
    chunks = random_chunks(seed)
    seen = SeenRows(1 << 20, counted, no_server)
    numbers = np.concatenate([seen.occurrences(chunk) for chunk in chunks])
    truth = np.array(expected(chunks))
    if counted:
        assert numbers.tolist() == truth.tolist()
    else:
        assert ((numbers > 1) == (truth > 1)).all()


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("memory", [0, 2_000, 8_000])
def test_beyond_its_memory_the_server_counts(warehouse, memory, counted):
    chunks = random_chunks(7)
    truth = np.array(expected(chunks))
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        seen = SeenRows(memory, counted, lambda: cursor)
        numbers = np.concatenate([seen.occurrences(chunk) for chunk in chunks])
        assert seen.spilled
    connection.close()
    if counted:
        assert numbers.tolist() == truth.tolist()
    else:
        assert ((numbers > 1) == (truth > 1)).all()
