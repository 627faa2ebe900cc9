"""Measure the overhead of Airflow: the DAG's duration minus that of its three commands.

    python dag.py --rounds 5 --json FILE        (with the environment of stack/)

The script starts a separate stack without Docker. In each round it runs first the DAG and then the
three commands on the sample, each time in an empty warehouse. The duration of the DAG is the time
from its trigger to the end of its last task. The first round is reported separately, because it is
slower: Airflow's processes have run no task before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from elt_stack import services
from elt_stack.environments import embedded_server, service_environment
from elt_stack.ports import PORTS, free_port
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings
from elt_stack.supervisor import Supervisor

COMMANDS = (
    ("data_ingestion", ("data-ingestion", "load"), (0,)),
    ("dbt", ("dbt", "build", "--resource-type", "seed", "--resource-type", "model"), (0,)),
    # `dbt test` fails by design, because the sample has backdated transactions.
    ("dbt", ("dbt", "test", "--exclude-resource-type", "unit_test"), (1,)),
)
EMPTY = """
do $$
declare
    name text;
begin
    for name in
        select format('%I.%I', schemaname, tablename) from pg_tables
        where schemaname in ('raw', 'staging', 'marts', 'audit')
    loop
        execute 'truncate ' || name;
    end loop;
end
$$
"""


@contextlib.contextmanager
def stack() -> Iterator[Settings]:
    """Start a stack, wait until it is idle, and remove it after the block."""
    folder = Path(tempfile.mkdtemp(prefix="elt-benchmark-"))
    folder.chmod(0o755)  # under root Postgres runs as nobody and must be able to enter
    os.environ |= {"ELT_ENV": "test", "STATE_DIR": str(folder / "state")}
    os.environ |= {"DATA_DIR": str(PROJECT / "data_ingestion" / "data")}
    os.environ |= {port: str(free_port()) for port in PORTS}
    settings = Settings.load()
    try:
        services.start(settings)
        services.wait_for_superset(settings)
        yield settings
    finally:
        Supervisor(settings).reset()
        shutil.rmtree(folder, ignore_errors=True)


def empty(settings: Settings) -> None:
    """Delete all rows but keep the tables. A stack that has just started has empty tables, too."""
    with contextlib.closing(embedded_server(settings).connect()) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(EMPTY)
            cursor.execute("checkpoint")


def run_dag(settings: Settings) -> dict[str, float]:
    """Run the DAG and return the seconds of the run ("dag") and of each task by its id.

    Raises:
        SystemExit: The failed tasks are not exactly the test task.
    """
    api, began = services.airflow_client(settings), time.time()
    run_id = api.trigger(services.DAG)
    while not (run := api.run(services.DAG, run_id))["end_date"]:
        time.sleep(0.5)
    seconds = {"dag": datetime.fromisoformat(run["end_date"]).timestamp() - began}
    tasks = api.tasks(services.DAG, run_id)
    for task in tasks:
        seconds[task["task_id"]] = task["duration"]
    failed = [task["task_id"] for task in tasks if task["state"] != "success"]
    if failed != ["test_transformed_data"]:
        sys.exit(f"failed tasks: {failed}; expected only test_transformed_data to fail")
    return seconds


def run_commands(settings: Settings) -> float:
    """Run the DAG's commands one after the other and return the sum of their seconds.

    Raises:
        SystemExit: A command ended with an unexpected exit code.
    """
    seconds = 0.0
    for component, command, codes in COMMANDS:
        environment = service_environment(settings, component)
        environment["DBT_ENV_SECRET_PGPASSWORD"] = environment["PGPASSWORD"]
        home = PROJECT / component
        program = home / ".venv" / "bin" / command[0]
        began = time.monotonic()
        done = subprocess.run(
            [program, *command[1:]], cwd=home, env=environment, capture_output=True, text=True
        )
        seconds += time.monotonic() - began
        if done.returncode not in codes:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return seconds


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of the first run after the start and of the later runs."""
    measured = []
    with stack() as settings:
        for number in range(1 + rounds):
            print(f"the DAG: round {number} of {rounds}", file=sys.stderr)
            empty(settings)
            seconds = run_dag(settings)
            empty(settings)
            seconds["commands"] = run_commands(settings)
            seconds["overhead"] = seconds["dag"] - seconds["commands"]
            measured.append(seconds)
    return {
        name: {key: round(statistics.median(each[key] for each in part), 2) for key in part[0]}
        for name, part in (("first after the start", measured[:1]), ("later", measured[1:]))
    }


def main() -> None:
    """Measure and write the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    options.json.write_text(json.dumps(measure(options.rounds), indent=2) + "\n")


if __name__ == "__main__":
    main()
