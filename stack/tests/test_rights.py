"""What each role of the warehouse may do, tried one by one by that role; all else is refused."""

import os
import uuid
from contextlib import closing

import psycopg2
import pytest
from test_init_db import init_db

PEOPLE = ("loader", "transformer", "reporter")
OWNERS = {"raw": "loader", "staging": "transformer", "marts": "transformer",
          "audit": "transformer", "public": "postgres"}  # fmt: skip
# Tried on a table of the schema's owner, and each rolled back.
ACTIONS = {
    "select": "select * from {schema}.probe",
    "insert": "insert into {schema}.probe values (2)",
    "update": "update {schema}.probe set id = 3",
    "delete": "delete from {schema}.probe",
    "truncate": "truncate {schema}.probe",
    "lock": "lock table {schema}.probe in access exclusive mode",
    "alter": "alter table {schema}.probe add column more int",
    "rename": "alter table {schema}.probe rename to other",
    "index": "create index on {schema}.probe (id)",
    "trigger": "create trigger t before insert on {schema}.probe"
    " execute function suppress_redundant_updates_trigger()",
    "comment": "comment on table {schema}.probe is 'mine'",
    "grant": "grant select on {schema}.probe to public",
    "drop": "drop table {schema}.probe",
    "create": "create table {schema}.mine (id int)",
    "view": "create view {schema}.mine as select 1 as one",
    "function": "create function {schema}.mine() returns int language sql return 1",
    "grant schema": "grant usage on schema {schema} to public",
    "alter schema": "alter schema {schema} rename to other",
    "drop schema": "drop schema {schema} cascade",
}
OWN_TABLES = set(ACTIONS) - {"function", "grant schema", "alter schema", "drop schema"}
ALLOWED = {
    ("loader", "raw"): OWN_TABLES,
    ("transformer", "raw"): {"select"},
    **{("transformer", schema): OWN_TABLES for schema in ("staging", "marts", "audit")},
    **{("reporter", schema): {"select"} for schema in ("staging", "marts", "audit")},
}
# To take a role's rights, to leave the warehouse, to read what is not data: for nobody.
FORBIDDEN = [
    *(f"set role {name}" for name in ("postgres", "pg_read_server_files", "airflow", "superset")),
    *(f"set session authorization {name}" for name in ("postgres", "airflow")),
    *(f"alter role {name} password 'mine'" for name in ("postgres", "airflow", "superset")),
    "alter role current_user superuser",
    "alter role current_user createrole",
    "create role mine",
    "drop role superset",
    "grant postgres to current_user",
    "grant pg_read_all_data to current_user",
    "create database mine",
    "alter database warehouse owner to current_user",
    "alter database warehouse set work_mem = '1GB'",
    "drop database airflow",
    "create schema mine",
    "create extension vector schema pg_catalog",
    "create language mine handler plpgsql_call_handler",
    "create foreign data wrapper mine",
    "create event trigger mine on ddl_command_start execute function mine()",
    "create tablespace mine location '/tmp'",
    "create publication mine for all tables",
    "do 'begin perform 1; end'",
    "alter system set log_statement = 'all'",
    "set log_statement = 'none'",
    "set session_replication_role = 'replica'",
    "select pg_reload_conf()",
    "select pg_rotate_logfile()",
    "select pg_switch_wal()",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/mine'",
    "copy pg_temp.mine from '/etc/passwd'",
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('PG_VERSION')",
    "select pg_stat_file('PG_VERSION')",
    "select pg_ls_dir('.')",
    "select pg_ls_logdir()",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '/tmp/mine')",
    "select * from pg_authid",
    "select * from pg_shadow",
    "select * from pg_hba_file_rules",
    "select * from pg_file_settings",
    "select * from pg_statistic",
    "select * from pg_subscription",
    "select pg_terminate_backend({other})",
    "select pg_cancel_backend({other})",
]  # fmt: skip


def connect(role: str, database: str):
    password = os.environ[f"{role.upper()}_PASSWORD" if role in PEOPLE else "PGPASSWORD"]
    return psycopg2.connect(user=role, password=password, dbname=database)


@pytest.fixture(scope="module")
def database():
    """A warehouse in which each schema has a table; the metadata's databases beside it."""
    name = f"rights_test_{uuid.uuid4().hex[:12]}"
    others = ("airflow", "superset")
    with closing(connect("postgres", "postgres")) as admin, admin.cursor() as cursor:
        admin.autocommit = True
        cursor.execute(f"create database {name}")
        made = init_db(PGDATABASE=name)
        assert made.returncode == 0, made.stderr
        for other in others:  # as metadata_init.sql makes them
            cursor.execute(f"create role {other} login password 'a'; ")
            cursor.execute(f"create database {other} owner {other}")
            cursor.execute(f"revoke all on database {other} from public")
        for schema, owner in OWNERS.items():
            with closing(connect(owner, name)) as connection, connection, connection.cursor() as c:
                c.execute(f"create table {schema}.probe as select 1 as id")
        yield name
        for other in (name, *others):
            cursor.execute(f"drop database {other} with (force)")
        cursor.execute("drop role airflow, superset")


@pytest.fixture
def attempt(database, request):
    """Tries a statement as a role and takes it back; says whether it was let through."""
    connection = connect(request.param, database)
    cursor = connection.cursor()
    # The second fence is taken down, so that what is tested is the grants.
    cursor.execute("set default_transaction_read_only = off")
    if request.param != "reporter":
        cursor.execute("create temporary table mine (line text)")
    connection.commit()

    def tried(statement: str) -> bool:
        connection.notices.clear()
        try:
            cursor.execute(statement)
        except psycopg2.errors.InsufficientPrivilege:
            return False
        finally:
            connection.rollback()
        # What may be read cannot be handed on: that is told as a warning.
        return not any("no privileges were granted" in notice for notice in connection.notices)

    tried.role, tried.connection = request.param, connection
    yield tried
    connection.close()


@pytest.mark.parametrize("schema", OWNERS)
@pytest.mark.parametrize("attempt", PEOPLE, indirect=True)
def test_each_role_may_do_its_job_and_no_more(attempt, schema):
    done = {name for name, action in ACTIONS.items() if attempt(action.format(schema=schema))}
    assert done == ALLOWED.get((attempt.role, schema), set())


@pytest.mark.parametrize("attempt", PEOPLE, indirect=True)
def test_nobody_leaves_the_warehouse(attempt, database):
    attempt.connection.autocommit = True  # some of the statements want to be alone
    with closing(connect("postgres", database)) as other:
        statements = [text.format(other=other.get_backend_pid()) for text in FORBIDDEN]
        statements += [f"set role {name}" for name in PEOPLE if name != attempt.role]
        if attempt.role == "reporter":
            statements.append("create temporary table x (id int)")
        assert [statement for statement in statements if attempt(statement)] == []


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize("name", ["airflow", "superset"])
def test_nobody_of_the_warehouse_enters_the_metadata(database, role, name):
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        connect(role, name)


@pytest.mark.parametrize("role", PEOPLE)
def test_what_others_run_is_not_shown(database, role):
    with (
        closing(connect("postgres", database)) as other,
        closing(connect(role, database)) as connection,
        other.cursor() as running,
        connection.cursor() as cursor,
    ):
        running.execute("select 'a secret of mine'")
        cursor.execute(
            "select query from pg_stat_activity where pid = %s", [other.get_backend_pid()]
        )
        assert cursor.fetchall() == [("<insufficient privilege>",)]
