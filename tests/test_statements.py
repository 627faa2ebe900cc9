"""Statements of 39 banks, from the file to staging.transactions, compared with their truth.

`data-ingestion inspect` proposes each declaration. ANSWERS has what a file cannot settle.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
import yaml

from elt_stack import sources
from elt_stack.throwaway import throwaway_server
from support import PROJECT, temporary_folder

STATEMENTS = sorted(path for path in (PROJECT / "tests" / "statements").iterdir() if path.is_dir())
COLUMNS = (
    *("account_number", "transaction_date", "value_date", "details"),
    *("withdrawal", "deposit", "balance", "currency"),
)
# Answers to the questions that files leave open, and choices of the truth that no file can show.
ANSWERS = {
    "amex-us": ["sign=inverted"],
    "mbank-pl": ["details=#Opis operacji,#Tytuł,#Nadawca/Odbiorca"],
}
STAGED = """
select
    source, account_number, transaction_date::text, value_date::text,
    coalesce(transaction_details, '') as details, withdrawal_amount::text, deposit_amount::text,
    balance_amount::text, currency
from staging.transactions
"""


def statement_of(folder: Path) -> Path:
    (file,) = (path for path in folder.iterdir() if path.name != "truth.json")
    return file


def slug(folder: Path) -> str:
    return folder.name.replace("-", "_")


def truth_of(folder: Path) -> list[dict]:
    return json.loads((folder / "truth.json").read_text())


def inspect(folder: Path) -> str:
    """Return the declaration that the loader proposes."""
    answers = [f"name={slug(folder)}", *ANSWERS.get(folder.name, [])]
    if all(row["account_number"] is None for row in truth_of(folder)):
        answers.append(f"account_number={folder.name}")
    options = [word for answer in answers for word in ("--answer", answer)]
    command = [sources.LOADER, "inspect", statement_of(folder), *options]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, f"{folder.name}: {process.stdout}{process.stderr}"
    return process.stdout


def in_folders() -> list[list[Path]]:
    """Return all statements in as few lists as needed for their names to differ."""
    folders: list[dict[str, Path]] = [{}]
    for file in map(statement_of, STATEMENTS):
        free = next((folder for folder in folders if file.name not in folder), None)
        if free is None:
            folders.append(free := {})
        free[file.name] = file
    return [list(folder.values()) for folder in folders]


@pytest.fixture(scope="module")
def staged() -> dict[str, list[dict]]:
    """Load all statements, run dbt once, and return the rows of staging.transactions by source."""
    with temporary_folder("elt-statements-") as folder, throwaway_server() as server:
        trial = sources.copy_of_project(folder)
        with ThreadPoolExecutor(2) as threads:
            proposals = list(threads.map(inspect, STATEMENTS))
        for statement, text in zip(STATEMENTS, proposals, strict=True):
            (trial.declarations / f"{slug(statement)}.yml").write_text(text)
            sources.add_to_dbt(trial, slug(statement))
        loader = os.environ | sources.role(server, "loader")
        loader["SOURCES_DIR"] = str(trial.declarations)
        for number, statements in enumerate(in_folders()):
            data = folder / f"data_{number}"
            data.mkdir()
            for statement in statements:
                shutil.copyfile(statement, data / statement.name)
            command = [sources.LOADER, "load", "--data-dir", data]
            process = subprocess.run(command, env=loader, capture_output=True, text=True)
            assert process.returncode == 0, process.stderr
        sources.run_dbt(trial, server, folder, "run")
        connection = psycopg2.connect(
            host=server["PGHOST"], port=server["PGPORT"], dbname=server["PGDATABASE"],
            user=server["PGUSER"], password=server["PGPASSWORD"],
        )  # fmt: skip
        with connection, connection.cursor() as cursor:
            cursor.execute(STAGED)
            rows = cursor.fetchall()
        connection.close()
    found: dict[str, list[dict]] = {slug(statement): [] for statement in STATEMENTS}
    for source, *values in rows:
        found[source].append(dict(zip(COLUMNS, values, strict=True)))
    return found


def differing(folder: Path, rows: list[dict]) -> list[str]:
    """Return the columns in which staging differs from the truth, as multisets with the date."""
    truth = truth_of(folder)
    if len(rows) != len(truth):
        return [f"{len(rows)} rows instead of {len(truth)}"]
    columns = [
        column
        for column in COLUMNS
        if column != "account_number" or truth[0]["account_number"] is not None
    ]
    return [
        column
        for column in columns
        if sorted((row["transaction_date"], row[column] or "") for row in rows)
        != sorted((row["transaction_date"], row[column] or "") for row in truth)
    ]


def test_every_statement_is_staged_as_its_truth_says(staged):
    results = {folder.name: differing(folder, staged[slug(folder)]) for folder in STATEMENTS}
    for name, columns in results.items():
        print(f"{name:24} {', '.join(columns) or 'as the truth'}")
    assert not {name: columns for name, columns in results.items() if columns}


def test_dbt_reads_every_month_in_words_that_inspect_knows():
    words = yaml.safe_load(
        (PROJECT / "data_ingestion/src/data_ingestion/inspection/words.yml").read_text()
    )
    macro = (PROJECT / "dbt/macros/parse_declared_date.sql").read_text()
    lists = macro.partition("set months = [")[2].partition("] -%}")[0].split("',\n")
    by_month = [
        set(" ".join(re.findall("'([^']*)", each + "'")).split()) for each in lists if each.strip()
    ]
    assert len(by_month) == 12
    for number, names in enumerate(words["months"]):
        known = names.split() if isinstance(names, str) else names
        assert not set(known) - by_month[number], f"month {number + 1}"
