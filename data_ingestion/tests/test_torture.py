"""Every damaged file of torture.py into a real Postgres: nothing shifted, nothing lost unsaid.

What is wrong is gathered over many cases and told at the end, by the names of the cases.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from conftest import Outcome, Warehouse
from other_tools import other_tools, rows_of
from torture import cases, some
from torture_table import Case, Values

FULL = os.environ.get("FAULTS") == "full"
# Parts of all cases, so that the workers share the work.
PARTS = 8 if FULL else 2
MANY = ("--max-rejects", "100000")
RIGHT, REFUSED, WRONG = "loaded right", "refused", "silently wrong"
UNTOLD = "silently wrong, where nobody can tell"
OURS, OURS_MANY = "data-ingestion", "data-ingestion, rejects allowed"
CLEAR = "delete from raw.transactions; delete from raw._loads; delete from raw._rejects"


@pytest.mark.parametrize("part", range(PARTS))
def test_no_damage_shifts_a_value_or_loses_a_row(warehouse, run, tmp_path, part):
    assert run("init").code == 0
    path = tmp_path / "transactions.csv"
    wrong = []
    chosen = cases(every_position=True) if FULL else some(every=5)
    for case in islice(chosen, part, None, PARTS):
        path.write_bytes(case.data)
        warehouse.query(CLEAR)
        outcome = run("load", path, *case.options)
        complaints = list(_complaints(outcome, warehouse))
        if outcome.code == 2 and warehouse.query("select 1 from raw._rejects limit 1"):
            warehouse.query(CLEAR)
            outcome = run("load", path, *case.options, *MANY)
            complaints += _complaints(outcome, warehouse)
        complaints += _judge(case, outcome, warehouse)
        wrong += [f"{case.name}: {complaint}" for complaint in complaints]
    assert not wrong, f"{len(wrong)} complaints:\n" + "\n".join(wrong[:50])


def _complaints(outcome: Outcome, warehouse: Warehouse) -> Iterator[str]:
    """What is wrong with a load, whatever its file holds."""
    loads = warehouse.query(
        "select status, rows_read, rows_loaded, rows_duplicate, rows_rejected,"
        " (select count(*) from raw._rejects), (select count(*) from raw.transactions)"
        " from raw._loads"
    )
    if len(loads) != 1:
        yield f"{len(loads)} rows in raw._loads"
        return
    status, read, loaded, duplicate, rejected, kept, there = loads[0]
    if outcome.code == 0:
        if status != "loaded" or outcome.err or read != loaded + duplicate + rejected:
            yield f"{loads[0]}, {outcome.err}"
    elif outcome.code != 2 or status != "failed" or loaded or duplicate or len(outcome.err) != 1:
        yield f"exit code {outcome.code}: {loads[0]}, {outcome.err}"
    if (rejected, loaded) != (kept, there):
        yield f"{loads[0]}: counted and kept differ"
    if not all(line.isprintable() for line in (*outcome.out, *outcome.err)):
        yield f"raw to the terminal: {outcome.out + outcome.err}"


def _judge(case: Case, outcome: Outcome, warehouse: Warehouse) -> Iterator[str]:
    """What of the case's truth did not come out."""
    rejects = warehouse.query("select source_line, line, reason from raw._rejects")
    if outcome.code != 0:
        if case.outcome in ("exact", "rejected"):
            yield f"refused: {outcome.err}"
        return
    if case.outcome == "refused" or (case.outcome == "exact" and rejects):
        yield f"meant to be {case.outcome}, was loaded with {len(rejects)} rejects"
    loaded, true = set(warehouse.rows()), set(case.rows)
    untouched = {row for place, row in enumerate(case.rows) if place not in case.touched}
    if case.outcome != "untold" and loaded - true:
        yield f"no row of the file: {loaded - true}"
    if untouched - loaded:
        yield f"lost: {untouched - loaded}; {rejects}"
    if true - loaded and not rejects and case.outcome != "untold":
        yield f"lost without a word: {true - loaded}"
    lines = case.data.split(b"\n")
    for number, text, reason in rejects:
        first = lines[number - 1].decode(errors="replace").replace("\0", "␀").rstrip("\r")
        if not reason or text.split("\n")[0].rstrip("\r")[:9_000] != first[:9_000]:
            yield f"line {number} is {first[:80]!r}, not {text[:80]!r} ({reason})"


def test_beside_what_others_make_of_the_same_files(warehouse, run, tmp_path, capsys):
    """Loaded right, refused or silently wrong: counted, printed, and written for the docs."""
    assert run("init").code == 0
    path = tmp_path / "transactions.csv"
    others = other_tools(warehouse)
    counts = {tool: Counter() for tool in (OURS, OURS_MANY, *others)}
    wrong = []
    for case in cases(every_position=True) if FULL else some(every=60):
        if case.options:  # what others would have to be told in their own words
            continue
        path.write_bytes(case.data)
        for tool, options in ((OURS, ()), (OURS_MANY, MANY)):
            result = _ours(case, run("load", path, *options), warehouse)
            wrong += [case.name] * (result == WRONG)
            counts[tool][result] += 1
        for tool, read in others.items():
            counts[tool][_theirs(case, rows_of(read, path))] += 1
    with capsys.disabled():
        _publish(counts)
    assert not wrong
    assert len({sum(found.values()) for found in counts.values()}) == 1


def _ours(case: Case, outcome: Outcome, warehouse: Warehouse) -> str:
    """What came of a load; empties the tables."""
    loaded, true = set(warehouse.rows()), set(case.rows)
    reported = bool(warehouse.query("select 1 from raw._rejects limit 1"))
    warehouse.query(CLEAR)
    if outcome.code == 2:
        return REFUSED
    damaged = {row for place, row in enumerate(case.rows) if place in case.touched}
    if loaded == true or (reported and loaded < true and true - loaded <= damaged):
        return RIGHT
    return UNTOLD if case.outcome == "untold" else WRONG


def _theirs(case: Case, rows: list[Values] | None) -> str:
    if rows is None:
        return REFUSED
    if Counter(rows) == Counter(case.rows):
        return RIGHT
    return UNTOLD if case.outcome == "untold" else WRONG


def _publish(counts: dict[str, Counter]) -> None:
    columns = ["read by", RIGHT, REFUSED, WRONG, UNTOLD]
    rows = [[tool, *(found[result] for result in columns[1:])] for tool, found in counts.items()]
    print("", *columns, sep=" | ")
    for row in rows:
        print("", *row, sep=" | ")
    if folder := os.environ.get("RELIABILITY_RESULTS"):
        text = json.dumps({"columns": columns, "rows": rows}, indent=2)
        Path(folder, "bad_input.json").write_text(text + "\n")
