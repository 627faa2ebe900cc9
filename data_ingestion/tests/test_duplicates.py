"""raw._duplicates and the hashes in raw._loads tell what became of rows that the loader dropped."""

import random

import pytest
from conftest import line

import data_ingestion
from data_ingestion import Options, load_file

DROPPED = (
    "select balance_amt, sum(dropped)::int, min(source_line) from raw._duplicates"
    " join raw.transactions on row_hash = _row_hash where load_id = {} group by 1"
)
ENDS = (
    "select first.balance_amt, last.balance_amt from raw._loads"
    " left join raw.transactions as first on first._row_hash = first_row_hash"
    " left join raw.transactions as last on last._row_hash = last_row_hash order by load_id"
)
COUNT = "select count(*) from raw._duplicates"


def expected(numbers: list[int]) -> dict[str, tuple[int, int]]:
    """Return how many copies of each line are repeated, and the line of the first of them."""
    seen: set[int] = set()
    found: dict[str, tuple[int, int]] = {}
    for source_line, number in enumerate(numbers, start=2):
        if number in seen:
            count, first = found.get(f"{number}.00 ", (0, source_line))
            found[f"{number}.00 "] = (count + 1, first)
        seen.add(number)
    return found


def recorded(warehouse, load_id: int) -> dict[str, tuple[int, int]]:
    rows = warehouse.query(DROPPED.format(load_id))
    return {balance: (count, first) for balance, count, first in rows}


@pytest.mark.parametrize("memory", [0, 8_000, 256 << 20])
@pytest.mark.parametrize("existing", [0, 400])
@pytest.mark.parametrize("batch", [7, 100_000])
def test_the_rows_that_a_file_repeats_are_recorded(
    warehouse, run, write, monkeypatch, memory, existing, batch
):
    """The memory for hashes, the size of batches and the rows of earlier loads change nothing."""
    monkeypatch.setattr("data_ingestion.formats.sources.CHUNK", 1 << 12)
    monkeypatch.setattr("data_ingestion.writer.MAX_BATCH_ROWS", batch)
    numbers = [*range(700), *random.Random(5).choices(range(600), k=500), *[3] * 50]  # noqa: S311
    first = write(*map(line, range(existing)), name="first.csv")
    second = write(*map(line, numbers), name="second.csv")
    with data_ingestion.Warehouse() as server:
        if existing:
            load_file(first, Options(), server)
        load = load_file(second, Options(dedup_memory=memory), server)
    assert (load.rows_read, load.rows_loaded) == (1_250, 700 - existing)
    assert recorded(warehouse, load.load_id) == expected(numbers)
    total = warehouse.query("select sum(dropped), count(distinct load_id) from raw._duplicates")
    assert total == [(550, 1)], "no row stands for a duplicate of an earlier load"
    assert warehouse.query(ENDS)[-1] == ("0.00 ", "3.00 ")


def test_a_row_stands_for_all_copies_in_its_block(warehouse, run, write):
    run("load", write(*[line(1)] * 1_000, line(2)))
    columns = "table_name, load_id, source_line, dropped"
    assert warehouse.query(f"select {columns} from raw._duplicates") == [
        ("transactions", 1, 3, 999)
    ]


def test_a_file_of_duplicates_of_earlier_loads_has_ends_and_no_record(warehouse, run, write):
    run("load", write(*map(line, range(9)), name="all.csv"))
    run("load", write(*map(line, range(3, 7)), name="part.csv"))
    assert warehouse.query(ENDS) == [("0.00 ", "8.00 "), ("3.00 ", "6.00 ")]
    assert warehouse.query(COUNT) == [(0,)]


def test_the_ends_of_a_file_are_its_sound_rows(warehouse, run, write):
    bad = ("x\n", ",,TOTAL,,,,,,\n", ",,,,,,,,\n")
    path = write(*bad, line(1), *bad, line(2), *bad)
    run("load", path, "--max-rejects", 6)
    assert warehouse.query(ENDS) == [("1.00 ", "2.00 ")]
    run("load", write(bad[0], name="bad.csv"), "--max-rejects", 1)
    assert warehouse.query(ENDS) == [("1.00 ", "2.00 "), (None, None)], "a file without sound rows"


@pytest.mark.parametrize("memory", [0, 256])
def test_duplicates_keep_records_nothing(warehouse, run, write, memory):
    path = write(*map(line, [1, 1, 2, 1, 2]))
    run("load", path, "--duplicates", "keep", "--dedup-memory", memory)
    assert warehouse.query(COUNT) == [(0,)]
    assert warehouse.query(
        "select _source_line from raw.transactions, raw._loads"
        " where _row_hash in (first_row_hash, last_row_hash) order by 1"
    ) == [(2,), (6,)], "the hash of the second occurrence"


def test_a_failed_load_leaves_neither_record_nor_ends(warehouse, run, write, monkeypatch):
    monkeypatch.setattr("data_ingestion.formats.sources.CHUNK", 1 << 12)
    monkeypatch.setattr("data_ingestion.writer.MAX_BATCH_ROWS", 7)
    assert run("load", write(*map(line, [*range(500)] * 2), "x\n")).code == 2
    assert warehouse.query("select status, first_row_hash, last_row_hash from raw._loads") == [
        ("failed", None, None)
    ]
    assert warehouse.query(COUNT) == [(0,)]


def test_a_table_of_its_own_has_records_too(warehouse, run, write):
    path = write("1,a\n", "2,b\n", "1,a\n", name="own.csv", header="a,b\n")
    run("load", path, "--table", "own")
    assert warehouse.query(
        "select a, source_line, dropped from raw._duplicates join raw.own on row_hash = _row_hash"
        " where table_name = 'own'"
    ) == [("1", 4, 1)]


def test_an_older_warehouse_gets_the_table_and_the_columns(warehouse, run, write):
    run("load", write(line(1), line(1), name="old.csv"))
    warehouse.query(
        "drop table raw._duplicates;"
        " alter table raw._loads drop column first_row_hash, drop column last_row_hash"
    )
    assert "already loaded as load 1" in run("load", write(line(1), line(1), name="old.csv")).out[0]
    run("load", write(line(2), line(2), name="new.csv"))
    assert warehouse.query(ENDS) == [(None, None), ("2.00 ", "2.00 ")]
    assert recorded(warehouse, 2) == {"2.00 ": (1, 3)}


def test_dbt_may_read_the_records(warehouse, run):
    run("init")
    query = "select has_table_privilege('transformer', 'raw._duplicates', 'select')"
    assert warehouse.query(query) == [(True,)]
