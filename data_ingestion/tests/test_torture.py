"""No damaged file of torture.py shifts a value or loses a row without a report.

Each test collects the problems of many cases and lists them by case at its end.
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
from torture import cases, sample_cases
from torture_table import Case, Values

FULL = os.environ.get("FAULTS") == "full"
# The cases of one test, as (step, part, parts): every step-th case, divided into equal parts for
# several workers. `make test` uses every 40th case, `make test-all` every 5th.
SAMPLES = [(40, 0, 1), *(pytest.param(5, part, 2, marks=pytest.mark.long) for part in range(2))]
ALL = [(1, part, 8) for part in range(8)]
MANY = ("--max-rejects", "100000")
CORRECT, REFUSED, WRONG = "loaded correctly", "refused", "silently wrong"
UNDETECTABLE = "wrong, but not detectable"
OURS, OURS_MANY = "data-ingestion", "data-ingestion, rejects allowed"
CLEAR = "delete from raw.transactions; delete from raw._loads; delete from raw._rejects"


@pytest.mark.parametrize(("step", "part", "parts"), ALL if FULL else SAMPLES)
def test_no_damage_shifts_a_value_or_loses_a_row(warehouse, run, tmp_path, step, part, parts):
    assert run("init").code == 0
    path = tmp_path / "transactions.csv"
    problems = []
    chosen = cases(every_position=True) if FULL else sample_cases(every=step)
    for case in islice(chosen, part, None, parts):
        path.write_bytes(case.data)
        warehouse.query(CLEAR)
        outcome = run("load", path, *case.options)
        found = list(_load_problems(outcome, warehouse))
        if outcome.code == 2 and warehouse.query("select 1 from raw._rejects limit 1"):
            warehouse.query(CLEAR)
            outcome = run("load", path, *case.options, *MANY)
            found += _load_problems(outcome, warehouse)
        found += _case_problems(case, outcome, warehouse)
        problems += [f"{case.name}: {problem}" for problem in found]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:50])


def _load_problems(outcome: Outcome, warehouse: Warehouse) -> Iterator[str]:
    """Yield the problems of a load that do not depend on the content of its file."""
    loads = warehouse.query(
        "select status, rows_read, rows_loaded, rows_duplicate, rows_rejected,"
        " (select count(*) from raw._rejects), (select count(*) from raw.transactions)"
        " from raw._loads"
    )
    if len(loads) != 1:
        yield f"{len(loads)} rows in raw._loads"
        return
    status, read, loaded, duplicate, rejected, stored_rejects, stored_rows = loads[0]
    if outcome.code == 0:
        if status != "loaded" or outcome.err or read != loaded + duplicate + rejected:
            yield f"{loads[0]}, {outcome.err}"
    elif outcome.code != 2 or status != "failed" or loaded or duplicate or len(outcome.err) != 1:
        yield f"exit code {outcome.code}: {loads[0]}, {outcome.err}"
    if (rejected, loaded) != (stored_rejects, stored_rows):
        yield f"{loads[0]}: the counts differ from the stored rows"
    if not all(line.isprintable() for line in (*outcome.out, *outcome.err)):
        yield f"unescaped output: {outcome.out + outcome.err}"


def _case_problems(case: Case, outcome: Outcome, warehouse: Warehouse) -> Iterator[str]:
    """Yield the differences between the load and the truth of its case."""
    rejects = warehouse.query("select source_line, line, reason from raw._rejects")
    if outcome.code != 0:
        if case.outcome in ("exact", "rejected"):
            yield f"refused: {outcome.err}"
        return
    if case.outcome == "refused" or (case.outcome == "exact" and rejects):
        yield f"should be {case.outcome}, was loaded with {len(rejects)} rejects"
    loaded, true = set(warehouse.rows()), set(case.rows)
    intact = {row for index, row in enumerate(case.rows) if index not in case.damaged_rows}
    if case.outcome != "undetectable" and loaded - true:
        yield f"not a row of the file: {loaded - true}"
    if intact - loaded:
        yield f"lost: {intact - loaded}; {rejects}"
    if true - loaded and not rejects and case.outcome != "undetectable":
        yield f"lost without a reject: {true - loaded}"
    lines = case.data.split(b"\n")
    for number, text, reason in rejects:
        first = lines[number - 1].decode(errors="replace").replace("\0", "␀").rstrip("\r")
        if not reason or text.split("\n")[0].rstrip("\r")[:9_000] != first[:9_000]:
            yield f"line {number} is {first[:80]!r}, not {text[:80]!r} ({reason})"


@pytest.mark.long
def test_the_loader_is_never_silently_wrong(warehouse, run, tmp_path, capsys):
    """The test also counts the results of other tools and publishes all counts for the docs."""
    assert run("init").code == 0
    path = tmp_path / "transactions.csv"
    readers = other_tools(warehouse)
    counts = {tool: Counter() for tool in (OURS, OURS_MANY, *readers)}
    wrong_cases = []
    for case in cases(every_position=True) if FULL else sample_cases(every=60):
        if case.options:  # each of the other tools would need options of its own
            continue
        path.write_bytes(case.data)
        for tool, options in ((OURS, ()), (OURS_MANY, MANY)):
            result = _judge_loader(case, run("load", path, *options), warehouse)
            wrong_cases += [case.name] * (result == WRONG)
            counts[tool][result] += 1
        for tool, read in readers.items():
            counts[tool][_judge_rows(case, rows_of(read, path))] += 1
    with capsys.disabled():
        _publish(counts)
    assert not wrong_cases
    assert len({sum(found.values()) for found in counts.values()}) == 1


def _judge_loader(case: Case, outcome: Outcome, warehouse: Warehouse) -> str:
    """Classify a load and empty the tables."""
    loaded, true = set(warehouse.rows()), set(case.rows)
    reported = bool(warehouse.query("select 1 from raw._rejects limit 1"))
    warehouse.query(CLEAR)
    if outcome.code == 2:
        return REFUSED
    damaged = {row for index, row in enumerate(case.rows) if index in case.damaged_rows}
    if loaded == true or (reported and loaded < true and true - loaded <= damaged):
        return CORRECT
    return UNDETECTABLE if case.outcome == "undetectable" else WRONG


def _judge_rows(case: Case, rows: list[Values] | None) -> str:
    """Classify the rows that another tool read; None means that it refused the file."""
    if rows is None:
        return REFUSED
    if Counter(rows) == Counter(case.rows):
        return CORRECT
    return UNDETECTABLE if case.outcome == "undetectable" else WRONG


def _publish(counts: dict[str, Counter]) -> None:
    columns = ["read by", CORRECT, REFUSED, WRONG, UNDETECTABLE]
    rows = [[tool, *(found[result] for result in columns[1:])] for tool, found in counts.items()]
    print("", *columns, sep=" | ")
    for row in rows:
        print("", *row, sep=" | ")
    if folder := os.environ.get("RELIABILITY_RESULTS"):
        text = json.dumps({"columns": columns, "rows": rows}, indent=2)
        Path(folder, "bad_input.json").write_text(text + "\n")
