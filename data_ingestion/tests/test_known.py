"""A load skips a file if the load log implies that all its rows are still in the table."""

import pytest
from conftest import line

from data_ingestion.postgres import load_log

COUNT = "select count(*), count(distinct balance_amt) from raw.transactions"


@pytest.fixture
def wrong_and_overlapping(warehouse, run, write):
    """Load 100 wrong rows, then a file that shares ten of them. Return the second file."""
    wrong = write(*map(line, range(100)), name="wrong.csv")
    overlapping = write(*map(line, range(90, 150)), name="overlapping.csv")
    assert run("load", wrong, overlapping).code == 0
    return overlapping


def test_a_file_is_read_again_after_another_load_with_its_rows_was_deleted(
    warehouse, run, wrong_and_overlapping
):
    assert "already loaded as load 2" in run("load", wrong_and_overlapping).out[0]
    warehouse.query("delete from raw.transactions where _load_id = 1")
    again = run("load", wrong_and_overlapping)
    assert "read 60 = loaded 10 + duplicates 50" in again.out[0]
    assert warehouse.query(COUNT) == [(60, 60)]


def test_a_file_is_read_only_once_after_a_load_was_deleted(
    warehouse, run, write, wrong_and_overlapping
):
    warehouse.query("delete from raw.transactions where _load_id = 1")
    run("load", wrong_and_overlapping)
    assert "already loaded as load 3" in run("load", wrong_and_overlapping).out[0]
    warehouse.query("delete from raw.transactions where _load_id = 2")
    assert "read 60 = loaded 50 + duplicates 10" in run("load", wrong_and_overlapping).out[0]
    assert "already loaded as load 4" in run("load", wrong_and_overlapping).out[0]


def test_a_file_of_duplicates_is_read_into_the_emptied_table(warehouse, run, write):
    write(*map(line, range(5)), name="transactions_1.csv")
    part = write(*map(line, range(3)), name="transactions_2.csv")
    run("load", part.with_name("transactions_1.csv"), part)
    assert "already loaded as load 2" in run("load", part).out[0]
    warehouse.query("truncate raw.transactions")
    assert "read 3 = loaded 3" in run("load", part).out[0]


@pytest.mark.parametrize("gone", ["truncate raw.transactions", "drop table raw.transactions"])
def test_all_files_are_read_once_after_the_table_was_emptied(warehouse, run, write, gone):
    files = [
        write(*map(line, [*numbers, numbers[0]]), name=f"{len(numbers)}.csv")
        for numbers in (range(60), range(40, 90), range(100))
    ]
    run("load", *files)
    warehouse.query(gone)
    again = run("load", *reversed(files))
    assert [text.split(" + rejected")[0] for text in again.out] == [
        "100.csv: read 101 = loaded 100 + duplicates 1",
        "50.csv: read 51 = loaded 0 + duplicates 51",
        "60.csv: read 61 = loaded 0 + duplicates 61",
    ]
    assert all("already loaded" in text for text in run("load", *files).out)


def test_files_loaded_with_duplicates_keep_are_known_too(warehouse, run, write):
    keep = ("--duplicates", "keep")
    first = write(line(1), line(1), line(2), name="first.csv")
    second = write(line(1), line(1), line(1), name="second.csv")
    run("load", first, second, *keep)
    assert all("already loaded" in text for text in run("load", first, second, *keep).out)
    warehouse.query("delete from raw.transactions where _load_id = 1")
    assert "read 3 = loaded 2 + duplicates 1" in run("load", second, *keep).out[0]


def test_a_file_loaded_with_other_options_for_once_is_known_to_the_daily_run(warehouse, run, write):
    path = write(line(1), line(1), "Total\n")
    assert run("load", path).code == 2
    once = run("load", path, "--duplicates", "keep", "--max-rejects", "1")
    assert "read 3 = loaded 2 + duplicates 0 + rejected 1" in once.out[0]
    assert "already loaded as load 2" in run("load", path).out[0]


def test_a_file_loaded_with_duplicates_drop_is_read_again_with_keep(warehouse, run, write):
    path = write(line(1), line(1), line(2))
    run("load", path)
    assert "read 3 = loaded 1 + duplicates 2" in run("load", path, "--duplicates", "keep").out[0]
    assert "already loaded as load 2" in run("load", path).out[0]


def test_a_table_named_like_the_load_log_is_not_mistaken_for_it(warehouse, run, write):
    path = write("a,1\n", "a,1\n", name="own.csv", header="_load_id,loads\n")
    assert "loaded 1 + duplicates 1" in run("load", path, "--table", "loads").out[0]
    assert "already loaded as load 1" in run("load", path, "--table", "loads").out[0]
    warehouse.query("delete from raw.loads")
    assert "loaded 1 + duplicates 1" in run("load", path, "--table", "loads").out[0]


def test_each_earlier_load_is_looked_up_once_per_run(warehouse, run, write, monkeypatch):
    files = [write(*[line(n)] * 2, name=f"{n}.csv") for n in range(4)]
    run("load", *files)
    ranges = []
    gone_loads = load_log._gone_loads

    def record(cursor, table, first, last):
        ranges.append((first, last))
        return gone_loads(cursor, table, first, last)

    monkeypatch.setattr(load_log, "_gone_loads", record)
    run("load", files[1], files[0], files[3])
    assert ranges == [(1, 2), (3, 4)]


def test_a_load_log_of_an_older_version_is_upgraded(warehouse, run, wrong_and_overlapping):
    warehouse.query(
        "alter table raw._loads drop column loads_gone, drop column rows_skipped cascade"
    )
    assert "already loaded as load 2" in run("load", wrong_and_overlapping).out[0]
    warehouse.query("delete from raw.transactions where _load_id = 1")
    assert "loaded 10 + duplicates 50" in run("load", wrong_and_overlapping).out[0]
