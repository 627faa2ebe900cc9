"""A simulated stack in Docker.

DOCKER is a script that takes the place of the docker command. It runs Postgres's programs on this
machine in place of the containers. One real server holds the databases of both servers.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import psycopg2
import pytest

from elt_stack import cli, setting_files, settings
from elt_stack.setting_files import PROJECT, declared_names

DOCKER = """#!/bin/sh
echo "$@" >> "$CALLS"
command=$2
case "$1 $command" in
"info --format") echo '{"ServerVersion": "28.0.1", "MemTotal": 17179869184}' ;;
"compose version") echo 2.26.1 ;;
"compose ps")
    echo '{"Service": "warehouse", "State": "running",' \\
         '"Publishers": [{"PublishedPort": '$WAREHOUSE_PORT'}]}'
    echo '{"Service": "airflow-apiserver", "Name": "airflow", "State": "running"}'
    echo '{"Service": "superset", "Name": "superset", "State": "running"}' ;;
"compose up")
    for last; do :; done
    if [ "$last" = --no-recreate ]; then exit ${UP_ENDS_WITH:-0}; fi ;;
"inspect --format")
    echo '["AIRFLOW__CORE__FERNET_KEY=the key of Airflow"' \\
         ', "SUPERSET_SECRET_KEY=the key of Superset"]' ;;
"compose exec")
    shift 4
    if [ "$1" = df ]; then exec df -Pk /; fi
    exec "$PROGRAMS/$@" ;;
"compose run")
    for last; do :; done
    if [ "$last" = metadata-init ]; then exit 0; fi
    export "$7"
    exec "$PSQL" --no-psqlrc --file init_db.sql ;;
esac
"""
# The kinds of objects that a warehouse contains, with their owners.
WAREHOUSE = """
    set role loader;
    create table raw.transactions (_row_hash text primary key, details text);
    insert into raw.transactions
    values ('1', 'plain'), ('2', E'tab\\tline\\nquote'' é €'), ('3', null);
    create table raw._loads (load_id int, status text);
    insert into raw._loads values (1, 'loaded');
    set role transformer;
    create table staging.transactions as select * from raw.transactions;
    create index on staging.transactions (details);
    create view marts.daily as select count(*) as n from staging.transactions;
    comment on view marts.daily is 'a day each';
"""
RELATIONS = """
    select format('%I.%I', nspname, relname), relkind, relowner::regrole::text,
           (select array_agg(acl::text order by acl::text) from unnest(relacl) as acl),
           obj_description(c.oid)
    from pg_class as c
    join pg_namespace as n on n.oid = relnamespace
    where nspname in ('raw', 'staging', 'marts', 'audit', 'public')
"""
RIGHTS = """
    select 'default', defaclrole::regrole::text, nspname, defaclacl::text
    from pg_default_acl
    join pg_namespace as n on n.oid = defaclnamespace
    union all
    select 'schema', nspowner::regrole::text, nspname,
           (select string_agg(acl::text, ' ' order by acl::text) from unnest(nspacl) as acl)
    from pg_namespace
    where nspname in ('raw', 'staging', 'marts', 'audit', 'public')
"""


def execute(sql: str, database: str = "warehouse") -> None:
    """Run statements as the superuser."""
    with contextlib.closing(psycopg2.connect(dbname=database)) as connection:
        connection.autocommit = True
        connection.cursor().execute(sql)


@dataclass
class Done:
    """The exit code and the output, with errors, of a command."""

    returncode: int
    output: str


def elt(*arguments: str, typed: str = "") -> Done:
    """Run `elt` within this process, which saves the import of its modules.

    Args:
        *arguments: the command line.
        typed: the standard input.
    """
    output = io.StringIO()
    with (
        mock.patch("sys.argv", ["elt", *arguments]),
        mock.patch("sys.stdin", io.StringIO(typed)),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        return Done(cli.main(), output.getvalue())


def refused(*arguments: str, run: Callable[..., Done] = elt, **options) -> str:
    """Run a command that must fail and change nothing. Return the last line of its output."""
    before = all_contents()
    done = run(*arguments, **options)
    assert done.returncode == 1, done.output
    assert all_contents() == before
    return done.output.splitlines()[-1]


def all_contents() -> dict:
    """Return the names, rows, owners and rights of everything in the databases."""
    contents = {}
    for database in ("warehouse", "airflow", "superset"):
        with contextlib.closing(psycopg2.connect(dbname=database)) as connection:
            cursor = connection.cursor()
            cursor.execute(RELATIONS)
            for relation, kind, *properties in cursor.fetchall():
                rows = []
                if kind in "rv":
                    cursor.execute(f"select t::text from {relation} as t order by 1")
                    rows = cursor.fetchall()
                contents[database, relation] = kind, properties, rows
            for query in (RIGHTS, "select datname, datallowconn, datacl::text from pg_database"):
                cursor.execute(query)
                contents[database, query] = sorted(cursor.fetchall())
    return contents


def use_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder the project: it has all files of settings but .env, and the shell sets none."""
    shutil.copy(PROJECT / ".env.example", folder)
    shutil.copytree(PROJECT / "config", folder / "config")
    for module in (setting_files, settings):
        monkeypatch.setattr(module, "PROJECT", folder)
    for name in declared_names():
        monkeypatch.delenv(name, raising=False)


def write_env(folder: Path) -> str:
    """Write a complete .env into a project, and return its text."""
    example = (folder / ".env.example").read_text()
    filled = example.replace("PASSWORD=\n", "PASSWORD=a-password\n").replace("=\n", "=a-key\n")
    (folder / ".env").write_text(filled)
    return filled
