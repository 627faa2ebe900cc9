"""Properties that hold for any table of any text, checked by Hypothesis on a real Postgres.

FAULTS=full tries many more examples. A failure prints how to reproduce it.
"""

import os
from collections import Counter
from itertools import compress, pairwise
from pathlib import Path

import pytest
from conftest import COLUMNS, HEADER, Warehouse
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

EXAMPLES = 1_000 if os.environ.get("FAULTS") == "full" else 20
CHECKED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    # All examples of a test share one warehouse; each example empties it first.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CLEAR = "delete from raw._loads; delete from raw._rejects; delete from raw._duplicates; "

# All text that both UTF-8 and Postgres can store. CSV's special characters are drawn often.
texts = st.text(
    st.one_of(
        st.sampled_from(",;\"'\n\r\t\\ \ufeffa0.N"),
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    ),
    max_size=12,
)
tables = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.tuples(*[texts] * width), min_size=1, max_size=10)
)
dialects = st.sampled_from([(",", '"'), (";", "'"), ("\t", '"'), ("|", "`")])


def cell(text: str, delimiter: str, quote: str, always: bool) -> str:
    """Return the text as a CSV cell, quoted where RFC 4180 requires quotes."""
    if always or not text or set(text) & {delimiter, quote, "\n", "\r"}:
        return quote + text.replace(quote, quote * 2) + quote
    return text


@CHECKED
@given(tables, dialects, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_any_table_survives_the_way_through_file_and_warehouse(
    warehouse: Warehouse, run, tmp_path: Path, table, dialect, line_end, always, keep
):
    has_value = [any(text.strip() for text in row) for row in table]
    assume(any(has_value))
    assert run("init").code == 0
    names = [f"column {number}" for number in range(len(table[0]))]
    data, lines = "", []
    for row in (names, *table):
        lines.append(data.count("\n") + 1)
        data += dialect[0].join(cell(text, *dialect, always) for text in row) + line_end
    path = tmp_path / "tables.csv"
    path.write_bytes(data.encode())
    warehouse.query(CLEAR + "drop table if exists raw.tables")
    options = ("--table", "tables", "--delimiter", dialect[0], "--quotechar", dialect[1])
    outcome = run("load", path, *options, "--duplicates", "keep" if keep else "drop")
    assert (outcome.code, outcome.err) == (0, [])
    columns = ", ".join(f"column_{number}" for number in range(len(names)))
    found = warehouse.query(f"select _source_line, {columns} from raw.tables order by 1")
    expected = list(compress(zip(lines[1:], table, strict=True), has_value))
    if not keep:
        first = {row: line for line, row in reversed(expected)}
        expected = sorted((line, row) for row, line in first.items())
    assert [(line, tuple(row)) for line, *row in found] == expected


rows = st.lists(st.integers(0, 30), min_size=1, max_size=30)


@st.composite
def file_sets(draw) -> list[list[int]]:
    """Draw files of numbered rows: pieces that may overlap and repeat, in any order."""
    everything = draw(rows)
    cuts = draw(st.lists(st.integers(0, len(everything)), max_size=5))
    borders = sorted({0, *cuts, len(everything)})
    files = []
    for start, stop in pairwise(borders):
        before, after = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        files.append(everything[max(0, start - before) : stop + after])
    files += draw(st.lists(st.sampled_from(files), max_size=3))
    return draw(st.permutations(files))


def transaction(number: int) -> str:
    """Return a line. Equal numbers give equal lines."""
    amount = f'"{number},000.00 "' if number % 2 else f"{number}.00"
    return f"""409000611074',"Jun 29, 17","No. {number}, é",,29-Jun-17,,{amount},{number}.00,.\n"""


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
@CHECKED
@given(file_sets(), st.sampled_from(["0", "256"]))
def test_the_split_order_and_overlap_of_files_do_not_change_the_table(
    warehouse: Warehouse, run, tmp_path: Path, duplicates, files, memory
):
    assert run("init").code == 0
    warehouse.query(CLEAR + "delete from raw.transactions")
    expected: Counter[int] = Counter()
    for index, numbers in enumerate(files):
        path = tmp_path / f"transactions_{index}.csv"
        path.write_text(HEADER + "".join(map(transaction, numbers)), encoding="utf-8")
        outcome = run("load", path, "--duplicates", duplicates, "--dedup-memory", memory)
        assert (outcome.code, outcome.err) == (0, [])
        # With `keep`, the table has as many copies of a row as the file that repeats it most often.
        # With `drop`, the table has one.
        copies = Counter(numbers) if duplicates == "keep" else Counter(set(numbers))
        expected |= copies
        sums = warehouse.query(
            "select count(*), sum(rows_loaded), bool_and(rows_read = rows_loaded + rows_duplicate"
            " + rows_rejected) from raw._loads"
        )
        stored = warehouse.query("select count(*) from raw.transactions")[0][0]
        assert stored == expected.total() == sums[0][1] and sums[0][2]
    repeated = "select source_file, (select coalesce(sum(dropped), 0) from raw._duplicates"
    repeated += " where load_id = loads.load_id) from raw._loads as loads"
    for name, count in warehouse.query(repeated):
        numbers = files[int(Path(name).stem.removeprefix("transactions_"))]
        assert count == (len(numbers) - len({*numbers}) if duplicates == "drop" else 0)
    found = Counter(warehouse.query(f"select {COLUMNS} from raw.transactions"))
    assert {row[2]: count for row, count in found.items()} == {
        f"No. {number}, é": count for number, count in expected.items()
    }
