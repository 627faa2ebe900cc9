"""docs/add-your-bank.md, command for command, in a copy of the project."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from support import PROJECT, Stack, stack_environment, temporary_folder

GUIDE = (PROJECT / "docs" / "add-your-bank.md").read_text()
STATEMENT = re.search(r"save this statement as \*\*(.*?)\*\*:\n\n```\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    for line in block.splitlines()
]
FILES = [
    "data_ingestion/sources/umsatzliste.yml",
    "dbt/models/staging/sources/stg_umsatzliste.sql",
    "dbt/models/staging/sources/stg_umsatzliste.yml",
]
STAGED = """
select transaction_date, transaction_details, withdrawal_amount, deposit_amount, balance_amount
from staging.transactions where source = 'umsatzliste' order by _source_line
"""


@pytest.fixture(scope="module")
def project() -> Iterator[Stack]:
    """Yield a stack in a copy of the project, with the statement of the guide."""
    with temporary_folder("elt-bank-") as folder:
        copy = folder / "project"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (PROJECT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, copy / name)
        # The other two environments contain links to the project's own code.
        for name in (".tools", "dbt/.venv", "airflow/.venv", "superset/.venv"):
            (copy / name).symlink_to(PROJECT / name)
        subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
        subprocess.run(["git", "add", "--all"], cwd=copy, check=True)
        (copy / STATEMENT[1]).write_text(STATEMENT[2])
        environment = stack_environment(folder) | {"DATA_DIR": "data_ingestion/data"}
        # A make that runs the tests must not count as the parent of the make that they run.
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
            environment.pop(name, None)
        stack = Stack(folder, environment)
        assert run(stack, "make install-stack install-data_ingestion install-dbt").returncode == 0
        yield stack


def run(project: Stack, command: str) -> subprocess.CompletedProcess:
    """Run a command of the guide as a person would, in the copy of the project."""
    return subprocess.run(
        ["sh", "-c", command], cwd=project.folder / "project", env=project.environment,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
    )  # fmt: skip


def changes(project: Stack) -> list[str]:
    """Return the changed files of the copy."""
    status = run(project, "git diff --name-only && git ls-files --others --exclude-standard").stdout
    return sorted(set(status.split()) - {STATEMENT[1]})


def command(beginning: str) -> str:
    """Return the command of the guide that begins with a text."""
    (found,) = (line for line in COMMANDS if line.startswith(beginning))
    return found


def test_a_bank_is_added_once_and_removed(project):
    add = command("make new-source")
    added = run(project, add)
    assert added.returncode == 0, added.stdout
    assert "Balances add up over 3 rows" in added.stdout
    assert "read 3 = loaded 3 + duplicates 0 + rejected 0" in added.stdout
    assert re.search(r"DE00120300000041771233 +\| EUR +\| reconciled", added.stdout)
    assert changes(project) == [*FILES[:1], "dbt/dbt_project.yml", *FILES[1:]]
    assert len((project.folder / "project" / FILES[0]).read_text().splitlines()) <= 25 + 12

    for linter in (["sqlfluff", "lint"], ["yamllint", "--strict"]):
        program = PROJECT / ".venv" / "bin" / linter[0]
        linted = run(project, shlex.join([str(program), *linter[1:], str(Path(FILES[1]).parent)]))
        assert linted.returncode == 0, linted.stdout

    words = shlex.split(add)
    without_answers = shlex.join(word for word in words if not word.startswith("ANSWERS="))
    again = run(project, without_answers)
    assert again.returncode == 0, again.stdout
    assert "nothing was changed" in again.stdout

    removed = run(project, command("make remove-source"))
    assert removed.returncode == 0, removed.stdout
    assert changes(project) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("NAME=transactions FILE=README.md", "transactions is the known source"),
        ("NAME=My-Bank FILE=README.md", "NAME=My-Bank: use lower case letters"),
        ("NAME=bank FILE=none.csv", "FILE=none.csv: no such file"),
        ("NAME=bank FILE=README.md", "README.md: has no rows with a date and an amount"),
        (f"NAME=bank FILE={STATEMENT[1]} ANSWERS=colour=red", "colour"),
        ("NAME=bank", "usage: make new-source NAME=my_bank FILE=statement.csv"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_changes_nothing(project, arguments, message):
    done = run(project, f"make --no-print-directory new-source {arguments}")
    assert done.returncode != 0
    lines = done.stdout.splitlines()
    assert message in lines[0] and lines[1].startswith("make: ***") and len(lines) == 2
    assert changes(project) == []


def test_a_source_that_another_one_reads_is_refused(project):
    answers = "ANSWERS=currency=EUR"
    assert run(project, command("make new-source")).returncode == 0
    twin = run(project, f"make new-source NAME=twin FILE={STATEMENT[1]} {answers}")
    assert "fits 2 sources (twin, umsatzliste)" in twin.stdout
    assert changes(project) == [*FILES[:1], "dbt/dbt_project.yml", *FILES[1:]]

    # An edit of the declaration does not reach a view that stays, and the command says so.
    declaration = project.folder / "project" / FILES[0]
    declaration.write_text(declaration.read_text().replace("%d.%m.%Y", "%m.%d.%Y"))
    again = f"make new-source NAME=umsatzliste FILE={STATEMENT[1]}"
    stale = run(project, again)
    assert "stg_umsatzliste.sql differs from the declaration and stays as it is" in stale.stdout
    (project.folder / "project" / FILES[1]).unlink()
    wrong = run(project, again)
    assert (
        "3 of 3 rows lack an account or a date, or have a value that cannot be read" in wrong.stdout
    )
    assert wrong.returncode != 0 and not (project.folder / "project" / FILES[1]).exists()
    assert run(project, command("make remove-source")).returncode == 0
    assert changes(project) == []


def test_an_open_question_is_printed_and_changes_nothing(project):
    statement = project.folder / "card.csv"
    statement.write_text("Date,Description,Amount\n2024-09-13,Shop,5.00\n2024-09-14,Bar,6.00\n")
    done = run(project, f"make new-source NAME=card FILE={statement}")
    assert "--answer account_number=NUMBER" in done.stdout
    assert "--answer sign=inverted" in done.stdout
    assert "Nothing was changed" in done.stdout and "Error 4" in done.stdout
    assert changes(project) == []


@pytest.mark.long
def test_the_guide_leads_from_the_file_to_the_marts(project):
    up = run(project, "make demo-up")
    assert up.returncode == 0, up.stdout
    try:
        for line in COMMANDS:
            # The stack runs without Docker. The sources are removed at the end.
            if not line.startswith(("make build", "make remove-source")):
                done = run(project, line)
                assert done.returncode == 0, f"{line}: {done.stdout}"
        rows = project.query(STAGED)
        states = project.query("select source, state from marts.reconciliation order by source")
        assert run(project, command("make remove-source")).returncode == 0
    finally:
        run(project, "make demo-reset FORCE=1")
    assert rows == [
        (date(2024, 9, 30), "Stadtwerke Abschlag September", Decimal(84), None, Decimal("1215.35")),
        (date(2024, 9, 27), "Café Nord Kartenzahlung", Decimal("7.65"), None, Decimal("1299.35")),
        (date(2024, 9, 25), "Muster GmbH Gehalt", None, Decimal(1200), Decimal(1307)),
    ]
    assert states[-1] == ("umsatzliste", "reconciled")
    assert changes(project) == ["data_ingestion/data/Umsatzliste_2024-09.csv"]
