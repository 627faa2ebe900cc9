"""The rights of each role of the warehouse, tried statement by statement."""

import os
import uuid
from contextlib import closing

import psycopg2
import pytest
from test_init_db import init_db

ROLES = ("loader", "transformer", "reporter")
OWNERS = {"raw": "loader", "staging": "transformer", "marts": "transformer",
          "audit": "transformer", "public": "postgres"}  # fmt: skip
# Each statement is tried on a table of the schema's owner, and rolled back.
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
# Forbidden for every role: to take another role's rights, to leave the warehouse, to read system
# data.
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
    password = os.environ[f"{role.upper()}_PASSWORD" if role in ROLES else "PGPASSWORD"]
    return psycopg2.connect(user=role, password=password, dbname=database)


@pytest.fixture(scope="module")
def database():
    """Create a warehouse with a table in each schema, and the two metadata databases."""
    name = f"rights_test_{uuid.uuid4().hex[:12]}"
    metadata = ("airflow", "superset")
    with closing(connect("postgres", "postgres")) as admin, admin.cursor() as cursor:
        admin.autocommit = True
        cursor.execute(f"create database {name}")
        done = init_db(PGDATABASE=name)
        assert done.returncode == 0, done.stderr
        for other in metadata:  # as in metadata_init.sql
            cursor.execute(f"create role {other} login password 'a'; ")
            cursor.execute(f"create database {other} owner {other}")
            cursor.execute(f"revoke all on database {other} from public")
        for schema, owner in OWNERS.items():
            with closing(connect(owner, name)) as connection, connection, connection.cursor() as c:
                c.execute(f"create table {schema}.probe as select 1 as id")
        yield name
        for other in (name, *metadata):
            cursor.execute(f"drop database {other} with (force)")
        cursor.execute("drop role airflow, superset")


@pytest.fixture
def attempt(database, request):
    """Return a function that tries a statement as a role, and returns whether it was allowed."""
    connection = connect(request.param, database)
    cursor = connection.cursor()
    # reporter's sessions are read-only by default. Lift that, to test the grants alone.
    cursor.execute("set default_transaction_read_only = off")
    if request.param != "reporter":
        cursor.execute("create temporary table mine (line text)")
    connection.commit()

    def is_allowed(statement: str) -> bool:
        connection.notices.clear()
        try:
            cursor.execute(statement)
        except psycopg2.errors.InsufficientPrivilege:
            return False
        finally:
            connection.rollback()
        # For a GRANT of rights that the role cannot grant, Postgres only issues a warning.
        return not any("no privileges were granted" in notice for notice in connection.notices)

    is_allowed.role, is_allowed.connection = request.param, connection
    yield is_allowed
    connection.close()


@pytest.mark.parametrize("schema", OWNERS)
@pytest.mark.parametrize("attempt", ROLES, indirect=True)
def test_each_role_has_exactly_its_rights(attempt, schema):
    allowed = {name for name, action in ACTIONS.items() if attempt(action.format(schema=schema))}
    assert allowed == ALLOWED.get((attempt.role, schema), set())


@pytest.mark.parametrize("attempt", ROLES, indirect=True)
def test_no_role_leaves_the_warehouse(attempt, database):
    attempt.connection.autocommit = True  # some statements cannot run in a transaction
    with closing(connect("postgres", database)) as other:
        statements = [text.format(other=other.get_backend_pid()) for text in FORBIDDEN]
        statements += [f"set role {name}" for name in ROLES if name != attempt.role]
        if attempt.role == "reporter":
            statements.append("create temporary table x (id int)")
        assert [statement for statement in statements if attempt(statement)] == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ["airflow", "superset"])
def test_no_role_enters_the_metadata_databases(database, role, name):
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        connect(role, name)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_sees_the_queries_of_others(database, role):
    with (
        closing(connect("postgres", database)) as other,
        closing(connect(role, database)) as connection,
        other.cursor() as running,
        connection.cursor() as cursor,
    ):
        running.execute("select 'a secret'")
        cursor.execute(
            "select query from pg_stat_activity where pid = %s", [other.get_backend_pid()]
        )
        assert cursor.fetchall() == [("<insufficient privilege>",)]
