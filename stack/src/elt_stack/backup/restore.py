"""`make restore`: put a backup in the place of what the databases hold.

Each dump goes into a new database beside the one that is there. When all are whole, the users of
the databases are stopped and the names are exchanged; a failure before that leaves all as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path

from elt_stack import postgres
from elt_stack.backup.dump import holds
from elt_stack.backup.manifest import Manifest, dump_file
from elt_stack.errors import StackError
from elt_stack.runtimes import OWNERS, Databases, of_kind, running
from elt_stack.settings import Settings

ATTEMPTS = 10  # to find a database without sessions


def find(settings: Settings, place: str) -> Path:
    """The folder of a backup, named by its path or by its name in BACKUP_DIR.

    Raises:
        StackError: no name was given; the message has that of the newest.
    """
    if place:
        inside = settings.backup_dir / place
        return inside if inside.is_dir() else Path(place)
    there = sorted(settings.backup_dir.glob("*Z"))
    if not there:
        raise StackError(f"there is no backup in {settings.backup_dir}: `make backup` makes one")
    raise StackError(f"which one? `make restore FROM={there[-1]}` takes the newest")


def restore(settings: Settings, place: str, only: str | None, *, sure: bool) -> None:
    """Replace the databases, or one of them, by those of a backup, and start all that uses them.

    Args:
        settings: of the stack; where none runs, one of the backup's kind is started.
        place: see `find`.
        only: a database; None for all.
        sure: whether nobody need be asked.

    Raises:
        StackError: it cannot be done, and why; the databases are as they were. Or the stack does
            not start with the restored ones, and those from before are beside them.
    """
    folder = find(settings, place)
    manifest = Manifest.read(folder)
    names = [only] if only else list(OWNERS)
    manifest.check_fits(settings, names)
    databases = running(settings) or of_kind(manifest.stack, settings)
    print(f"{folder}, taken {manifest.taken_at}:")
    for name in names:
        print(f"  {name:<10}{manifest.databases[name].holds}")
    if not sure and not _asked(f"This replaces {', '.join(names)}. Type yes: "):
        raise StackError("nothing was changed")
    databases.start_postgres()
    _drop(databases, names, "new")  # what a restore that was killed has left
    _check_servers(databases, manifest, names)
    _replace(databases, folder, names)
    print(f"restored {', '.join(names)}", flush=True)
    try:
        databases.start_users()
    except StackError as error:
        kept = ", ".join(f"{name}_old" for name in names)
        raise StackError(f"{error}; what was there before is kept in {kept}") from None
    _drop(databases, names, "old")
    print("now there are:")
    for name in names:
        print(f"  {name:<10}{holds(databases, name)}")


def _asked(question: str) -> bool:
    """Whether a person types yes; who is not there does not."""
    try:
        return input(question) == "yes"
    except EOFError:
        print()
        return False


def _check_servers(databases: Databases, manifest: Manifest, names: Collection[str]) -> None:
    """See that the servers are not older than the dumps, and that there is room for them.

    Raises:
        StackError: they are, or there is not.
    """
    needed = sum(manifest.databases[name].database_size for name in names)
    for name in names:
        theirs = int(manifest.databases[name].postgres.split(".")[0])
        ours = int(databases.sql(name, "show server_version_num")) // 10_000
        if theirs > ours:
            raise StackError(
                f"this backup of {name} is of Postgres {theirs}, and here is {ours}: use "
                f"{theirs} or newer"
            )
        if (free := databases.free(name)) < needed:
            raise StackError(
                f"the databases need {needed / 1e6:,.0f} MB beside those that are there, and "
                f"{free / 1e6:,.0f} MB are free where Postgres keeps its data: make room"
            )


def _replace(databases: Databases, folder: Path, names: Collection[str]) -> None:
    """Bring the dumps into databases of their own, then exchange the names.

    Raises:
        StackError: it failed; what was there before is there under its name.
    """
    try:
        for name in names:
            print(f"restoring {name} …", flush=True)
            _load(databases, folder, name)
        databases.stop_users()
        _drop(databases, names, "old")
        try:
            _exchange(databases, names)
        except BaseException:
            databases.start_users()
            raise
    except BaseException:
        with contextlib.suppress(StackError):
            _drop(databases, names, "new")
        raise


def _drop(databases: Databases, names: Collection[str], suffix: str) -> None:
    for name in names:
        databases.sql(name, f"drop database if exists {name}_{suffix} with (force)")


def _load(databases: Databases, folder: Path, name: str) -> None:
    """Bring one dump into `<name>_new`."""
    new = f"{name}_new"
    create = f"create database {new} owner {OWNERS[name]} template template0"
    databases.sql(name, f"{create}; revoke all on database {new} from public")
    options = ("--single-transaction", "--exit-on-error", f"--dbname={new}")
    with dump_file(folder, name).open("rb") as dump:
        databases.run(name, "pg_restore", *options, stdin=dump)
    databases.sql(name, "analyze", database=new)
    if name == postgres.WAREHOUSE:  # what the project grants today, it may not have granted then
        databases.init_warehouse(new)


def _exchange(databases: Databases, names: Collection[str]) -> None:
    """Give the new databases the names of the old: all or none of one server's, then the next's.

    Raises:
        StackError: it failed, and those of other servers have their names back.
    """
    done: list[str] = []
    try:
        for server_names in _by_server(databases, names):
            _rename(databases, server_names, "new", "old")
            done += server_names
    except BaseException:
        for server_names in _by_server(databases, done):
            _rename(databases, server_names, "old", "new")
        raise


def _by_server(databases: Databases, names: Collection[str]) -> Iterator[list[str]]:
    for _, group in groupby(names, databases.server):
        yield list(group)


def _rename(databases: Databases, names: Collection[str], comes: str, goes: str) -> None:
    """In one transaction: `<name>` becomes `<name>_<goes>`, and `<name>_<comes>` that.

    Who is there is sent away; who comes back at once is sent away again.
    """
    cut = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '{}';"
    renamed = [
        f"alter database {name} rename to {name}_{goes};"
        f"alter database {name}_{comes} rename to {name};"
        for name in names
    ]
    script = "\n".join([*map(cut.format, names), "begin;", *renamed, "commit;"])
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            databases.sql(names[0], script)
            return
        except StackError as error:
            if "being accessed by other users" not in str(error) or not attempts_left:
                raise
