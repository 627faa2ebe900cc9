"""Add a bank's kind of file to the stack, and remove it again.

A source consists of its declaration, which the loader reads, of a view in dbt with its properties,
and of its name in the dbt variable `sources`. A new source is first tried out: a temporary server
loads the file and runs dbt on it. The project is changed only if that succeeds.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elt_stack.errors import StackError
from elt_stack.setting_files import PROJECT
from elt_stack.throwaway import throwaway_server

LOADER = PROJECT / "data_ingestion" / ".venv" / "bin" / "data-ingestion"
DBT = PROJECT / "dbt" / ".venv" / "bin" / "dbt"
KNOWN = "transactions"
OPEN_QUESTIONS = 4  # the exit code of `data-ingestion inspect`
SCHEMA = "# yaml-language-server: $schema=../../docs/source.schema.json\n"
NO_NAMES = {"no", "yes", "on", "off", "true", "false", "null", "y", "n"}  # YAML reads no text
REMOVED = PROJECT / ".state" / "removed"
NAMES = re.compile(r"^( *sources:) *\[(.*)\] *$", re.MULTILINE)
NOT_COPIED = shutil.ignore_patterns(".venv", "target", "logs", "pytests", "__pycache__", ".*")


@dataclass(frozen=True)
class Folders:
    """Where the files of the sources are: in the project, or in the copy for a trial.

    Attributes:
        declarations: The folder of the declarations.
        dbt: The dbt project.
    """

    declarations: Path = PROJECT / "data_ingestion" / "sources"
    dbt: Path = PROJECT / "dbt"

    @property
    def views(self) -> Path:
        """The folder of the views in dbt."""
        return self.dbt / "models" / "staging" / "sources"

    @property
    def dbt_project(self) -> Path:
        """The file with the dbt variable `sources`."""
        return self.dbt / "dbt_project.yml"

    def files_of(self, name: str) -> list[Path]:
        """Return the three files of a source."""
        return [
            self.declarations / f"{name}.yml",
            self.views / f"stg_{name}.sql",
            self.views / f"stg_{name}.yml",
        ]


def new_source(name: str, file: Path, answers: Sequence[str]) -> int:
    """Add the source of a file, after a trial, and print how its rows are understood.

    Without a declaration of this name, `data-ingestion inspect` proposes one. An existing
    declaration stays as it is, and so does an existing view.

    Returns:
        The exit code: 0, or OPEN_QUESTIONS if answers are missing and nothing was changed.

    Raises:
        StackError: The file or an answer is bad, or the trial failed. Nothing was changed.
    """
    _check(name, file)
    project = Folders()
    with tempfile.TemporaryDirectory(prefix="elt-source-") as folder:
        trial = copy_of_project(Path(folder))
        declaration = trial.declarations / f"{name}.yml"
        if declaration.exists() and answers:
            raise StackError(
                f"{name} is declared already, so ANSWERS changes nothing: edit "
                f"data_ingestion/sources/{name}.yml, or type make remove-source NAME={name}"
            )
        if not declaration.exists():
            proposal = _inspect(name, file, answers)
            print(proposal.stdout, end="")
            if proposal.returncode == OPEN_QUESTIONS:
                print('\nNothing was changed. Type the command again with ANSWERS="KEY=VALUE …".')
                return OPEN_QUESTIONS
            declaration.write_text(SCHEMA + proposal.stdout)
        add_to_dbt(trial, name)
        _try_out(trial, name, file, Path(folder))
        changed = _install(trial, project, name)
    print(_what_next(name, file, changed))
    return 0


def _check(name: str, file: Path) -> None:
    """Raise StackError if the name or the file cannot be those of a new source."""
    if name == KNOWN:
        raise StackError(f"{KNOWN} is the known source: choose another NAME")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or name in NO_NAMES:
        raise StackError(
            f"NAME={name}: use lower case letters, digits and underscores, begin with a letter, "
            "and avoid words such as yes, no and null, which YAML does not read as text"
        )
    if not file.is_file():
        raise StackError(f"FILE={file}: no such file")


def remove_source(name: str) -> int:
    """Remove the files of a source and its name. The tables of the warehouse stay.

    The files move to REMOVED, because people may have written them by hand.

    Raises:
        StackError: There is no such source.
    """
    project = Folders()
    files = [file for file in project.files_of(name) if file.exists()]
    if name == KNOWN:
        raise StackError(f"{KNOWN} is the known source, which stays")
    if not files and name not in _names(project.dbt_project):
        known = sorted({path.stem for path in project.declarations.glob("*.yml")} - {KNOWN})
        near = difflib.get_close_matches(name, known, 1) or known
        raise StackError(f"NAME={name}: no such source (there is {', '.join(near) or 'none'})")
    _set_names(project.dbt_project, remove=name)
    removed = REMOVED / name
    removed.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.move(file, removed / file.name)
        print(f"removed {file.relative_to(PROJECT)}")
    print(
        f"removed {name} from the variable `sources` in dbt/dbt_project.yml\n"
        f"The files are kept in {removed.relative_to(PROJECT)}.\n"
        "If the source was loaded, the warehouse still has its rows, and the test "
        "every_raw_row_is_staged fails. To remove the rows:\n"
        "  make build     # with Docker only\n"
        f"  make psql CMD='drop table if exists raw.{name} cascade'\n"
        "  make trigger FULL_REFRESH=1"
    )
    return 0


def _inspect(name: str, file: Path, answers: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Return the proposed declaration, or the questions that are open."""
    options = [word for answer in (f"name={name}", *answers) for word in ("--answer", answer)]
    process = subprocess.run(
        [LOADER, "inspect", file, *options], capture_output=True, text=True, check=False
    )
    if process.returncode not in (0, OPEN_QUESTIONS):
        raise StackError(_reason(process))
    return process


def copy_of_project(folder: Path) -> Folders:
    """Copy the declarations and the dbt project into a folder, and return where they are."""
    project, copy = Folders(), Folders(folder / "sources", folder / "dbt")
    shutil.copytree(project.declarations, copy.declarations)
    shutil.copytree(project.dbt, copy.dbt, ignore=NOT_COPIED)
    return copy


def add_to_dbt(folders: Folders, name: str) -> None:
    """Write the view of a source and its properties, unless they exist, and add its name.

    Raises:
        StackError: The declaration has a mistake.
    """
    folders.views.mkdir(exist_ok=True)
    declaration, *files = folders.files_of(name)
    if not re.search(rf"^name: *{name} *$", declaration.read_text(), re.MULTILINE):
        raise StackError(f"data_ingestion/sources/{name}.yml: name: must be {name}, as the file's")
    with tempfile.TemporaryDirectory(prefix="elt-view-") as fresh:
        _run([LOADER, "dbt-view", declaration, "--out", fresh], {})
        for file in files:
            written = Path(fresh, file.name)
            if not file.exists():
                shutil.copyfile(written, file)
            elif file.read_bytes() != written.read_bytes():
                print(
                    f"{file.name} differs from the declaration and stays as it is. If nobody has "
                    "edited it, delete it, and type the command again."
                )
    _set_names(folders.dbt_project, add=name)


def _names(dbt_project: Path) -> list[str]:
    """Return the names in the dbt variable `sources`."""
    found = NAMES.search(dbt_project.read_text())
    if found is None:
        raise StackError(f"{dbt_project}: has no line `sources: […]`: add it to `vars`")
    return [name.strip() for name in found[2].split(",") if name.strip()]


def _set_names(dbt_project: Path, add: str = "", remove: str = "") -> None:
    """Add a name to the dbt variable `sources`, or remove one."""
    before = _names(dbt_project)
    names = sorted({*before, *([add] if add else [])} - {remove})
    if names != before:
        text = NAMES.sub(rf"\1 [{', '.join(names)}]", dbt_project.read_text(), count=1)
        dbt_project.write_text(text)


def _try_out(trial: Folders, name: str, file: Path, folder: Path) -> None:
    """Load the file into a temporary warehouse as the DAG does, run dbt, and print the result.

    Raises:
        StackError: The file is not loaded into the table of the source, or not all of its values
            can be read.
    """
    print("Trying it out in a temporary warehouse …", flush=True)
    data = folder / "data"
    data.mkdir()
    shutil.copyfile(file, data / file.name)
    with throwaway_server() as server:
        loader = role(server, "loader") | {"SOURCES_DIR": str(trial.declarations)}
        _run([LOADER, "init"], loader)
        print(_run([LOADER, "load", "--data-dir", data], loader))
        run_dbt(trial, server, folder, "run")
        print(_psql(server, name, PAGE))
        rows, unread = map(
            int, _psql(server, name, COUNTS, "--tuples-only", "--no-align").split("|")
        )
    if not rows:
        raise StackError(
            f"no row of {file.name} reached the source {name}: if another source reads the file, "
            "change the `path` of one of them, so that only one fits"
        )
    if unread:
        raise StackError(
            f"nothing was changed, because {unread} of {rows} rows lack an account or a date, or "
            "have a value that cannot be read: save the declaration as "
            f"data_ingestion/sources/{name}.yml, correct it, and type the command again"
        )


def role(server: Mapping[str, str], name: str) -> dict[str, str]:
    """Return the variables with which a role connects to a throwaway server."""
    return {**server, "PGUSER": name, "PGPASSWORD": server[f"{name.upper()}_PASSWORD"]}


def run_dbt(folders: Folders, server: Mapping[str, str], folder: Path, *command: str) -> None:
    """Run dbt on a copy of the project, with its output below `folder`.

    Raises:
        StackError: dbt failed.
    """
    outputs = {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder / "logs")}
    project = ["--project-dir", folders.dbt, "--profiles-dir", folders.dbt]
    _run(
        [DBT, "--quiet", "--no-use-colors", *command, *project],
        role(server, "transformer") | outputs,
    )


PAGE = """\
\\echo 'The first rows, as understood'
select
    account_number, transaction_date, value_date, left(transaction_details, 40) as details,
    withdrawal_amount, deposit_amount, balance_amount, currency
from staging.transactions where source = :'name' order by _source_line limit 5;
\\echo 'All rows'
select
    account_number, currency, count(*) as rows, min(transaction_date) as first,
    max(transaction_date) as last, sum(withdrawal_amount) as withdrawals,
    sum(deposit_amount) as deposits
from staging.transactions where source = :'name' group by 1, 2 order by 1, 2;
\\echo 'Values that could not be read'
select _source_line as line, _unparsed as text
from staging.transactions where source = :'name' and _unparsed is not null
order by 1 limit 10;
\\echo 'Do the balances add up?'
select account_number, currency, state, break_count as breaks
from marts.reconciliation where source = :'name' order by 1, 2;
"""
COUNTS = """\
select
    count(*),
    count(*) filter (
        where _unparsed is not null or transaction_date is null or account_number is null
    )
from staging.transactions where source = :'name';
"""


def _psql(server: Mapping[str, str], name: str, text: str, *options: str) -> str:
    """Return the result of statements, in which :'name' stands for the source."""
    command = [
        *(server["PSQL"], "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
        *("--set", f"name={name}", "--pset=footer=off", "--pset=null=·", *options),
    ]
    return _run(command, server, text)


def _install(trial: Folders, project: Folders, name: str) -> list[Path]:
    """Copy the files of a source that the project lacks, and return the changed files."""
    changed = []
    project.views.mkdir(exist_ok=True)
    for source, target in zip(trial.files_of(name), project.files_of(name), strict=True):
        if not target.exists():
            shutil.copyfile(source, target)
            changed.append(target)
    if name not in _names(project.dbt_project):
        _set_names(project.dbt_project, add=name)
        changed.append(project.dbt_project)
    return changed


def _what_next(name: str, file: Path, changed: Sequence[Path]) -> str:
    """Return the changed files, and the next commands."""
    if not changed:
        return f"{name} was there already, and nothing was changed."
    files = "\n".join(f"  {path.relative_to(PROJECT)}" for path in changed)
    return (
        f"Written:\n{files}\n"
        f"Next: look at these files, put {file.name} into the data folder, and type\n"
        "  make build     # with Docker only: the images contain the declaration and the view\n"
        f"  make trigger SOURCE={name}   # or trigger the DAG in Airflow\n"
        f"To undo all of this: make remove-source NAME={name}"
    )


def _run(command: Sequence[object], environment: Mapping[str, str], text: str | None = None) -> str:
    """Run a program and return its output.

    Raises:
        StackError: It failed. The message is the line that says why.
    """
    process = subprocess.run(
        [str(word) for word in command],
        env=os.environ | environment, input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if process.returncode:
        raise StackError(_reason(process))
    return process.stdout


def _reason(process: subprocess.CompletedProcess[str]) -> str:
    """Return the line in which a program says why it failed."""
    lines = [line for line in (process.stderr or process.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    reason = (errors or lines or [f"exit code {process.returncode}"])[-1]
    reason = reason.removeprefix("error: ").strip()
    # The rejects are gone with the temporary warehouse.
    reason = re.sub("; nothing was loaded; list the rejects with: .*", "", reason)
    return re.sub(r"\S*/elt-source-\w+/sources/", "data_ingestion/sources/", reason)
