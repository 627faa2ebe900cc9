"""A destroyed stack is restored completely from a backup and keeps working."""

from __future__ import annotations

import subprocess

import psycopg2
import pytest

from harness import WARN_ONLY
from support import SAMPLE, add_chart, airflow_api, superset_api

pytestmark = pytest.mark.long

DAG = "/api/v2/dags/transactions_elt"
SCHEMAS = "('raw', 'staging', 'marts', 'audit')"
RELATIONS = f"""
    select nspname, relname, relkind::text, relowner::regrole::text,
           (select array_agg(acl::text order by acl::text) from unnest(relacl) as acl)
    from pg_class as c
    join pg_namespace as n on n.oid = relnamespace
    where nspname in {SCHEMAS}
    order by 1, 2
"""
RIGHTS = f"""
    select nspname, nspowner::regrole::text,
           (select array_agg(acl::text order by acl::text) from unnest(nspacl) as acl),
           (select array_agg(defaclacl::text) from pg_default_acl where defaclnamespace = n.oid)
    from pg_namespace as n
    where nspname in {SCHEMAS} or nspname = 'public'
    union all
    select datname, datdba::regrole::text,
           (select array_agg(acl::text order by acl::text) from unnest(datacl) as acl), null
    from pg_database
    where datname in ('warehouse', 'airflow', 'superset')
    order by 1
"""


def contents(stack) -> dict:
    """Return owner, rights and a hash of the sorted rows of each relation of the warehouse."""
    found = {}
    for schema, name, kind, *rights in stack.query(RELATIONS):
        rows = None
        if kind in "rvm":
            text = f'select t::text as row from "{schema}"."{name}" as t'
            hashed = "md5(string_agg(row, chr(10) order by row))"
            rows = stack.query(f"select count(*), {hashed} from ({text}) as rows")
        found[schema, name] = kind, rights, rows
    return found | {"rights": stack.query(RIGHTS)}


def history(stack) -> list[dict]:
    """Return everything that Airflow stores about the DAG's runs and their tasks."""
    airflow = airflow_api(stack.environment)
    runs = airflow(f"{DAG}/dagRuns?limit=100")["dag_runs"]
    tasks = airflow(f"{DAG}/dagRuns/~/taskInstances?limit=100")["task_instances"]
    return sorted(runs + tasks, key=lambda each: (each["dag_run_id"], each.get("task_id", "")))


def charts(stack) -> dict[str, str]:
    """Return the parameters of all charts by name. The login proves that the account works."""
    found = superset_api(stack.environment)("/api/v1/chart/?q=(page_size:100)")["result"]
    return {chart["slice_name"]: chart["params"] for chart in found}


def test_a_destroyed_stack_is_restored_completely(stack):
    assert stack.make("demo-up").returncode == 0
    if not stack.query(f"select from raw._loads where source_file = '{SAMPLE.name}'"):
        stack.make("trigger", f"FILE={SAMPLE.name}")
    add_chart(stack.environment, "Made by hand")
    before = contents(stack), history(stack), charts(stack)
    assert before[0]["staging", "transactions"][2][0][0] > 10_000
    assert len(before[1]) >= 4
    assert "Made by hand" in before[2]
    backup = stack.make("backup")
    assert backup.returncode == 0, backup.stdout
    (folder,) = (stack.folder / "backups").iterdir()
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, check=True)
    assert stack.make("demo-reset", "FORCE=1").returncode == 0
    assert not (stack.folder / "state").exists()
    restore = stack.make("restore", f"FROM={folder}", "FORCE=1")
    assert restore.returncode == 0, restore.stdout
    assert (contents(stack), history(stack), charts(stack)) == before
    dashboard = superset_api(stack.environment)("/api/v1/dashboard/monitoring/charts")["result"]
    assert len(dashboard) > 5


def test_a_restored_warehouse_keeps_the_rights_of_its_roles(stack):
    (accounts,) = stack.query("select count(*) from marts.account_withdrawals", role="reporter")
    assert accounts > (0,)
    for role, statement in {
        "reporter": "delete from staging.transactions",
        "transformer": "delete from raw.transactions",
        "loader": "select from staging.transactions",
    }.items():
        with pytest.raises(
            (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)
        ):
            stack.query(statement, role=role)


def test_a_run_after_the_restore_loads_nothing_twice(stack):
    rows = "select (select count(*) from raw.transactions), (select count(*) from raw._loads)"
    before = stack.query(rows)
    runs = len(history(stack))
    trigger = stack.make("trigger", f"FILE={SAMPLE.name}", *WARN_ONLY)
    assert trigger.returncode == 0, trigger.stdout
    assert stack.query(rows) == before
    assert len(history(stack)) == runs + 4  # the run and its three tasks
