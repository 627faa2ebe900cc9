"""The loader and dbt send lineage, and a receiver that is away changes nothing.

test_end_to_end.py has the same for a run of the whole DAG.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from elt_stack.throwaway import throwaway_server
from harness import LOADER, restore_interrupt, wait_until
from lineage import assert_valid, datasets_after, jobs, receive
from support import HEADER, PROJECT

DBT = [PROJECT / "dbt" / ".venv" / "bin" / "python", PROJECT / "dbt" / "bin" / "dbt"]
TASK = "elt-test/transactions_elt.a_task/01a228ed-485f-7354-ae3f-d0310e2f33f8"
DAG = "elt-test/transactions_elt/01a228ed-485f-7354-ae3f-d0310e2f33f9"
KEY = "key-of-the-receiver"
DETAILS = "TRANSFER TO A PERSON"  # a value of a row
BUILD = ("build", "--resource-type", "seed", "--resource-type", "model")
TEST = ("test", "--exclude-resource-type", "unit_test")
ONE_MODEL = ("run", "--select", "load_history")
WARNING = "lineage: the receiver that OPENLINEAGE_URL names did not take all events"


class Pipeline:
    """Runs the loader and dbt on a temporary warehouse, as tasks of the DAG do."""

    def __init__(self, server: dict[str, str], folder: Path) -> None:
        self.server, self.folder = server, folder
        self.environment = {
            **{name: server[name] for name in ("PGHOST", "PGPORT", "PGDATABASE")},
            "PATH": os.environ["PATH"],
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
            "OPENLINEAGE_NAMESPACE": "elt-test",
            "OPENLINEAGE_PARENT_ID": TASK,
            "OPENLINEAGE_ROOT_PARENT_ID": DAG,
        }

    def file(self, name: str, rows: int = 3) -> Path:
        """Write a file whose rows no other file has; its value dates are before the dates."""
        path = self.folder / f"{name}.csv"
        lines = [
            f"""409000611074',"Jun 29, 17",{DETAILS} {name},,"Jun 28, 17",,1.00,{i}.00,."""
            for i in range(1, rows + 1)
        ]
        path.write_text("\n".join([HEADER, *lines, ""]))
        return path

    def start(self, role: str, command: list, url: str) -> subprocess.Popen:
        environment = self.environment | {
            "PGUSER": role, "PGPASSWORD": self.server[f"{role.upper()}_PASSWORD"],
            "OPENLINEAGE_URL": url, "OPENLINEAGE_API_KEY": KEY if url else "",
        }  # fmt: skip
        return subprocess.Popen(
            command, cwd=PROJECT / "dbt", env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=restore_interrupt,
        )  # fmt: skip

    def load(self, *arguments: str | Path, url: str = "") -> tuple[int, str]:
        """Run the loader and return its exit code and output."""
        process = self.start("loader", [LOADER, "load", *arguments], url)
        return process.wait(), process.stdout.read()

    def dbt(self, *arguments: str, url: str = "") -> tuple[int, str]:
        """Run dbt and return its exit code and output."""
        process = self.start("transformer", [*DBT, *arguments], url)
        output = process.stdout.read()
        return process.wait(), output

    @contextmanager
    def cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        """Yield a cursor of the superuser. Its transaction ends with the block."""
        names = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER"}
        login = {key: self.server[f"PG{name}"] for key, name in names.items()}
        with closing(psycopg2.connect(**login, password=self.server["PGPASSWORD"])) as connection:
            yield connection.cursor()

    def query(self, statement: str) -> list[tuple]:
        with self.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Iterator[Pipeline]:
    """Yield a pipeline with an empty warehouse."""
    with throwaway_server() as server:
        yield Pipeline(server, tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def warehouse(pipeline) -> str:
    """Return the namespace of the warehouse's tables."""
    return f"postgres://{pipeline.server['PGHOST']}:{pipeline.server['PGPORT']}"


@pytest.fixture(scope="module")
def sent(pipeline) -> list[dict]:
    """Return the events of a load, a refused load, a build and failing tests."""
    bad = pipeline.folder / "transactions_bad.csv"
    bad.write_text(HEADER + "\n" + "only one field\n")
    with receive() as receiver:
        assert pipeline.load(pipeline.file("transactions_good", 5), url=receiver.url)[0] == 0
        assert pipeline.load(bad, url=receiver.url)[0] == 2
        code, output = pipeline.dbt(*BUILD, url=receiver.url)
        assert code == 0, output
        code, output = pipeline.dbt(*TEST, url=receiver.url)
        assert code == 1, output
        assert WARNING not in output
    assert receiver.keys == {f"Bearer {KEY}"}
    return receiver.events


def test_events_are_valid_and_carry_neither_rows_nor_secrets(pipeline, sent):
    assert len(sent) > 50
    assert_valid(sent)
    text = str(sent)
    assert DETAILS not in text
    passwords = [value for name, value in pipeline.server.items() if name.endswith("PASSWORD")]
    assert len(passwords) >= 4
    for secret in (*passwords, KEY):
        assert secret not in text


def test_the_event_of_a_load_names_file_hash_table_and_counts(pipeline, sent, warehouse):
    (event,) = [e for e in sent if e["eventType"] == "COMPLETE" and e["job"]["name"][:4] == "load"]
    path = pipeline.folder / "transactions_good.csv"
    (file,), (table,) = event["inputs"], event["outputs"]
    assert (file["namespace"], file["name"]) == ("file", str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert file["facets"]["version"]["datasetVersion"] == digest
    statistics = file["inputFacets"]["inputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (5, path.stat().st_size)
    assert (table["namespace"], table["name"]) == (warehouse, "warehouse.raw.transactions")
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 5
    columns = pipeline.query(
        "select column_name, data_type from information_schema.columns"
        " where (table_schema, table_name) = ('raw', 'transactions') order by ordinal_position"
    )
    fields = table["facets"]["schema"]["fields"]
    assert sorted((field["name"], field["type"]) for field in fields) == sorted(columns)


def test_a_refused_file_is_a_failed_run(pipeline, sent):
    event = jobs(sent, "FAIL")["load.raw.transactions"]
    assert event["inputs"][0]["name"] == str(pipeline.folder / "transactions_bad.csv")
    assert event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 0


def test_the_graph_leads_from_the_file_to_every_mart(pipeline, sent, warehouse):
    file = ("file", str(pipeline.folder / "transactions_good.csv"))
    completed = [event for event in sent if event["eventType"] == "COMPLETE"]
    reached = {name for namespace, name in datasets_after(completed, file)}
    marts = pipeline.query(
        "select 'warehouse.marts.' || relname from pg_class where relkind in ('r', 'v')"
        " and relnamespace = 'marts'::regnamespace"
    )
    # These two marts show the load log and the history of tests, which no file is read into.
    logs = {"warehouse.marts.load_history", "warehouse.marts.test_results"}
    assert {"warehouse.raw.transactions", "warehouse.staging.transactions"} <= reached
    assert {name for (name,) in marts} - logs <= reached
    names = {(d["namespace"], d["name"]) for e in sent for d in [*e["inputs"], *e["outputs"]]}
    assert {namespace for namespace, _ in names} == {"file", warehouse}


def test_columns_lead_only_to_tables_that_exist(pipeline, sent):
    tables = pipeline.query(
        "select format('warehouse.%s.%s', relnamespace::regnamespace, relname), attname"
        " from pg_class join pg_attribute on attrelid = pg_class.oid"
    )
    origins = {
        (origin["name"], origin["field"])
        for event in sent
        for output in event["outputs"]
        for column in output["facets"].get("columnLineage", {"fields": {}})["fields"].values()
        for origin in column["inputFields"]
    }
    assert ("warehouse.raw._loads", "source_file") in origins
    assert origins <= set(tables)


def test_each_run_belongs_to_the_task_that_started_it(sent):
    programs = {"load.raw.transactions", "dbt-run-transactions_elt"}
    runs = {event["run"]["runId"]: event for event in sent}
    for event in sent:
        parent = event["run"]["facets"]["parent"]
        if event["job"]["name"] in programs:
            names = parent["job"]["namespace"], parent["job"]["name"], parent["run"]["runId"]
            assert "/".join(names) == TASK
        else:
            above = runs[parent["run"]["runId"]]
            assert above["job"]["name"] == parent["job"]["name"] == "dbt-run-transactions_elt"
        assert parent["root"]["run"]["runId"] == DAG.rsplit("/", 1)[1]
        assert event["job"]["namespace"] == "elt-test"


def test_failed_tests_are_failed_runs(sent):
    failed = jobs(sent, "FAIL")
    assert {"dbt-run-transactions_elt"} < failed.keys()
    assert "test.transactions_elt.value_date_greater_than_transaction_date" in failed


@contextmanager
def away(how: str) -> Iterator[str]:
    """Yield the URL of a receiver that is down, is silent, or answers with errors."""
    if how.isdecimal():
        with receive(int(how)) as receiver:
            yield receiver.url
            assert receiver.events  # it was asked
    else:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            if how == "silent":
                listening.listen()  # the kernel accepts connections, and nobody answers
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def outcome(pipeline: Pipeline, name: str, url: str) -> tuple[list[int], list[str]]:
    """Return the exit codes and the output of a load, a refused load, and two commands of dbt."""
    results = [
        pipeline.load(pipeline.file(f"transactions_{name}"), url=url),
        pipeline.load(pipeline.folder / "transactions_missing.csv", url=url),
        pipeline.dbt(*ONE_MODEL, url=url),
        pipeline.dbt("run", "--select", "no_such_model", url=url),
    ]
    return [code for code, _ in results], [output for _, output in results]


@pytest.fixture(scope="module")
def expected(pipeline, sent) -> list[int]:
    """Return the exit codes without lineage."""
    codes, _ = outcome(pipeline, "off", "")
    assert codes == [0, 2, 0, 2]
    return codes


@pytest.mark.parametrize("how", ["down", "silent", "500"])
def test_a_receiver_that_is_away_changes_no_result(pipeline, expected, how):
    with away(how) as url:
        codes, outputs = outcome(pipeline, how, url)
    assert codes == expected
    for output in outputs:
        assert output.count(WARNING) == 1, output
        assert KEY not in output
        assert "Traceback" not in output
    assert pipeline.query(
        "select status, rows_read, rows_loaded from raw._loads"
        f" where source_file = 'transactions_{how}.csv'"
    ) == [("loaded", 3, 3)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 2), (signal.SIGTERM, -15)])
def test_a_signal_ends_dbt_without_a_pause(pipeline, number, code):
    with away("silent") as url, pipeline.cursor() as cursor:
        # The model waits for the lock that its pre-hook takes.
        model = f'"{pipeline.server["PGDATABASE"]}"."marts"."load_history"'
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [model])
        process = pipeline.start("transformer", [*DBT, *ONE_MODEL], url)
        # dbt ignores a Ctrl-C between its message and its statement, so wait for the statement.
        waiting = "select from pg_stat_activity where wait_event_type = 'Lock'"
        wait_until(lambda: process.poll() is not None or pipeline.query(waiting))
        process.send_signal(number)
        output = process.stdout.read()
        assert process.wait() == code, output
    assert WARNING not in output
