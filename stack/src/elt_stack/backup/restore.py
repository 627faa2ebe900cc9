"""`make restore`: replace the databases with those of a backup.

Each dump is restored into a new database beside the existing one. When all are complete, the
databases' clients are stopped and the names are swapped. A failure before that changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path

from elt_stack.backup.dump import summary
from elt_stack.backup.manifest import Manifest, dump_file
from elt_stack.errors import StackError
from elt_stack.postgres import WAREHOUSE
from elt_stack.runtime_base import OWNERS, Runtime
from elt_stack.runtimes import running_runtime, runtime_by_name
from elt_stack.settings import Settings

RENAME_ATTEMPTS = 10  # while sessions reconnect to a database


def find_backup(settings: Settings, name: str) -> Path:
    """Return the folder of a backup.

    Args:
        settings: the settings of the stack.
        name: the backup's path, or its name in BACKUP_DIR.

    Raises:
        StackError: the name is empty. The message names the newest backup.
    """
    if name:
        inside = settings.backup_dir / name
        return inside if inside.is_dir() else Path(name)
    backups = sorted(settings.backup_dir.glob("*Z"))
    if not backups:
        raise StackError(f"there is no backup in {settings.backup_dir}: `make backup` makes one")
    raise StackError(f"name a backup: `make restore FROM={backups[-1]}` restores the newest")


def restore(settings: Settings, name: str, only: str | None, *, confirmed: bool) -> None:
    """Replace the databases, or one of them, with those of a backup. Start the stack with them.

    Args:
        settings: the settings of the stack. If no stack is running, one is started in the backup's
            runtime.
        name: see `find_backup`.
        only: a database; None for all.
        confirmed: False asks the user first.

    Raises:
        StackError: the backup cannot be restored, and nothing has changed; or the stack does not
            start with the restored databases, and the previous ones remain beside them.
    """
    folder = find_backup(settings, name)
    manifest = Manifest.read(folder)
    names = [only] if only else list(OWNERS)
    manifest.check_fits(settings, names)
    runtime = running_runtime(settings) or runtime_by_name(manifest.stack, settings)
    print(f"{folder}, taken {manifest.taken_at}:")
    for database in names:
        print(f"  {database:<10}{manifest.databases[database].contents}")
    if not confirmed and not _ask(f"This replaces {', '.join(names)}. Type yes: "):
        raise StackError("nothing was changed")
    runtime.start_servers()
    _drop(runtime, names, "new")  # left by a restore that was killed
    _check_servers(runtime, manifest, names)
    _replace(runtime, folder, names)
    print(f"restored {', '.join(names)}", flush=True)
    try:
        runtime.start_clients()
    except StackError as error:
        previous = ", ".join(f"{database}_old" for database in names)
        raise StackError(f"{error}; the previous databases remain as {previous}") from None
    _drop(runtime, names, "old")
    print("the databases now contain:")
    for database in names:
        print(f"  {database:<10}{summary(runtime, database)}")


def _ask(question: str) -> bool:
    """Return whether the user types yes. Without a terminal the answer is no."""
    try:
        return input(question) == "yes"
    except EOFError:
        print()
        return False


def _check_servers(runtime: Runtime, manifest: Manifest, names: Collection[str]) -> None:
    """Check the version and the free disk space of each server.

    Raises:
        StackError: a server is older than its dump, or has too little space.
    """
    needed = sum(manifest.databases[name].database_size for name in names)
    for name in names:
        dumped = int(manifest.databases[name].postgres.split(".")[0])
        installed = int(runtime.sql(name, "show server_version_num")) // 10_000
        if dumped > installed:
            raise StackError(
                f"this backup of {name} is of Postgres {dumped}, but the server is Postgres "
                f"{installed}: use Postgres {dumped} or newer"
            )
        if (free := runtime.free_bytes(name)) < needed:
            raise StackError(
                f"the restored databases need {needed / 1e6:,.0f} MB beside the existing ones, and "
                f"{free / 1e6:,.0f} MB are free where Postgres stores its data: make room"
            )


def _replace(runtime: Runtime, folder: Path, names: Collection[str]) -> None:
    """Restore the dumps into new databases, then swap the names.

    Raises:
        StackError: a step failed. The previous databases keep their names.
    """
    try:
        for name in names:
            print(f"restoring {name} …", flush=True)
            _load(runtime, folder, name)
        runtime.stop_clients()
        _drop(runtime, names, "old")
        try:
            _swap(runtime, names)
        except BaseException:
            runtime.start_clients()
            raise
    except BaseException:
        with contextlib.suppress(StackError):
            _drop(runtime, names, "new")
        raise


def _drop(runtime: Runtime, names: Collection[str], suffix: str) -> None:
    for name in names:
        runtime.sql(name, f"drop database if exists {name}_{suffix} with (force)")


def _load(runtime: Runtime, folder: Path, name: str) -> None:
    """Restore a dump into the new database `<name>_new`."""
    new = f"{name}_new"
    create = f"create database {new} owner {OWNERS[name]} template template0"
    runtime.sql(name, f"{create}; revoke all on database {new} from public")
    options = ("--single-transaction", "--exit-on-error", f"--dbname={new}")
    with dump_file(folder, name).open("rb") as dump:
        runtime.run(name, "pg_restore", *options, stdin=dump)
    runtime.sql(name, "analyze", connect_to=new)
    if name == WAREHOUSE:  # the backup may lack rights that init_db.sql grants today
        runtime.init_warehouse(new)


def _swap(runtime: Runtime, names: Collection[str]) -> None:
    """Give the new databases the names of the previous ones, one server after the other.

    Raises:
        StackError: a server failed. The databases of the other servers have their names back.
    """
    done: list[str] = []
    try:
        for server_names in _by_server(runtime, names):
            _rename(runtime, server_names, "new", "old")
            done += server_names
    except BaseException:
        for server_names in _by_server(runtime, done):
            _rename(runtime, server_names, "old", "new")
        raise


def _by_server(runtime: Runtime, names: Collection[str]) -> Iterator[list[str]]:
    for _, group in groupby(names, runtime.server_of):
        yield list(group)


def _rename(runtime: Runtime, names: Collection[str], incoming: str, outgoing: str) -> None:
    """Rename the databases of one server, in one transaction.

    `<name>` becomes `<name>_<outgoing>`, and `<name>_<incoming>` becomes `<name>`. A database with
    sessions cannot be renamed, so the sessions are ended first. A client may reconnect at once, so
    there are several attempts.
    """
    first, *_ = names
    end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '{}';"
    renames = [
        f"alter database {name} rename to {name}_{outgoing};"
        f"alter database {name}_{incoming} rename to {name};"
        for name in names
    ]
    script = "\n".join([*map(end.format, names), "begin;", *renames, "commit;"])
    for attempts_left in reversed(range(RENAME_ATTEMPTS)):
        try:
            runtime.sql(first, script)
            return
        except StackError as error:
            if "being accessed by other users" not in str(error) or not attempts_left:
                raise
