"""Start and stop the processes of a stack without Docker, through supervisord."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
from supervisor.xmlrpc import SupervisorTransport

from elt_stack.environments import airflow_environment, embedded_server, service_environment
from elt_stack.errors import StackError
from elt_stack.ports import PORTS, check_port
from elt_stack.postgres import server_user
from elt_stack.setting_files import METADATA_PASSWORDS, PROJECT, ROLE_PASSWORDS, is_secret
from elt_stack.settings import Settings

# A socket path has at most 107 bytes (sun_path on Linux), and supervisord first adds a suffix.
LONGEST_SOCKET_PATH = 100

# Secrets that only Airflow's api-server needs: no service.env declares them.
API_SERVER_ONLY = {"AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_METRICS_PASSWORD", "OIDC_CLIENT_SECRET"}


def without(names: Iterable[str]) -> str:
    """Return the beginning of a command line that runs a program without these variables."""
    return shlex.join(["env", *(f"-u{name}" for name in sorted(names))])


def last_line(log: Path) -> str:
    """Return the last non-blank line of a log, which is usually the reason for a failure."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def is_alive(pid: int) -> bool:
    """Return whether a process of this user with that id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Supervisor:
    """The processes of one state folder, under one supervisord."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server = embedded_server(settings)

    @property
    def socket(self) -> Path:
        """The unix socket on which supervisord listens. Only its owner may connect."""
        path = self.settings.state / "supervisor.sock"
        if len(str(path)) < LONGEST_SOCKET_PATH:
            return path
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"elt-stack-{digest}.sock")

    @property
    def api(self) -> Any:
        """The XML-RPC interface of supervisord: http://supervisord.org/api.html."""
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor

    def is_running(self) -> bool:
        """Return whether supervisord answers."""
        try:
            return bool(self.api.getState()["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def processes(self) -> list[dict[str, Any]]:
        """Return each process's name, statename, pid and description; empty if none runs."""
        return list(self.api.getAllProcessInfo()) if self.is_running() else []

    def up(self, airflow_answers: Callable[[], bool]) -> None:
        """Start every process that is not running. A second call is safe and quick.

        Args:
            airflow_answers: returns whether Airflow's api-server answers.

        Raises:
            StackError: a port is taken, or a step failed.
        """
        running = self.processes()
        if running and all(process["statename"] == "RUNNING" for process in running):
            return
        self.start_postgres()
        # The api-server migrates the metadata database first. The other processes need the result.
        self._start("airflow-api-server")
        with ThreadPoolExecutor(1) as pool:
            models = pool.submit(self._create_models)
            self.wait_for("airflow-api-server", self._has_airflow_login)
            self._start("airflow-dag-processor")
            self.wait_for("airflow-api-server", airflow_answers)
            models.result()
        # The scheduler comes after the api-server: it resumes an interrupted run at once, and the
        # tasks of that run call the api-server.
        self._start("airflow-scheduler")
        # A run of the DAG keeps only one core busy, so Superset can start during the first run.
        self._start("superset")

    def check_tls(self) -> None:
        """Check that no TLS is wanted.

        Raises:
            StackError: TLS is set.
        """
        if self.settings["TLS"]:
            raise StackError("TLS needs Docker: start the stack with `make up`, or unset TLS")

    def start_postgres(self) -> None:
        """Start only the database server. Create missing roles and databases.

        Raises:
            StackError: a port is taken, or a step failed.
        """
        settings = self.settings
        self.check_tls()
        if not self.is_running():
            for setting in PORTS:
                check_port(int(settings[setting]), setting)
            for folder in (settings.state, settings.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self.server.prepare()
            self._start_supervisord()
        self._start("postgres")
        self.server.wait()
        self.init_warehouse("warehouse")
        passwords = settings.select(METADATA_PASSWORDS)
        self.server.run_sql(PROJECT / "metadata_init.sql", "postgres", passwords)

    def init_warehouse(self, database: str) -> None:
        """Run `init_db.sql` in a database, which is created if it is missing.

        Raises:
            StackError: the script failed.
        """
        passwords = self.settings.select(ROLE_PASSWORDS)
        self.server.init_warehouse(PROJECT / "init_db.sql", passwords, database)

    def stop_database_clients(self) -> None:
        """Stop every process but the database server, and wait until they have ended."""
        clients = {process["name"] for process in self.processes()} - {"postgres"}
        for name in clients:
            with contextlib.suppress(xmlrpc.client.Fault):  # the process is not running
                self.api.stopProcess(name, False)
        while any(each["name"] in clients and each["pid"] for each in self.processes()):
            time.sleep(0.1)

    def _create_models(self) -> None:
        """Create the warehouse's missing tables and models, empty.

        Runs at low priority beside the start of Airflow: only the first run of the DAG needs them.

        Raises:
            StackError: the loader or dbt failed. The message contains its output.
        """
        commands = {
            "data_ingestion": ("data-ingestion", "init"),
            "dbt": ("python", "init_marts.py"),
        }
        for component, (program, argument) in commands.items():
            done = subprocess.run(
                ["nice", "-n", "19", PROJECT / component / ".venv" / "bin" / program, argument],
                env=service_environment(self.settings, component), cwd=PROJECT / component,
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            if done.returncode != 0:
                raise StackError(f"{component}: {program} {argument} failed: {done.stdout}")

    def wait_for(self, program: str, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until `condition` is true.

        Args:
            program: the process that brings the condition about.
            condition: called every quarter of a second.
            seconds: the longest time to wait.

        Raises:
            StackError: the process ended, or the time is up.
        """
        deadline = time.monotonic() + seconds
        first_pid = self.api.getProcessInfo(program)["pid"]
        log = self.settings.logs / f"{program}.log"
        while not condition():
            process = self.api.getProcessInfo(program)
            first_pid = first_pid or process["pid"]
            if process["statename"] not in ("RUNNING", "STARTING") or process["pid"] != first_pid:
                raise StackError(f"{program} did not start: {last_line(log)} ({log})")
            if time.monotonic() > deadline:
                raise StackError(f"{program} was not ready within {seconds:.0f} s: see {log}")
            time.sleep(0.25)  # frequent checks would slow the program's start

    def _has_airflow_login(self) -> bool:
        """Return whether the last step of `init_metadata.py` is done."""
        login = "select from ab_user where username = %s"
        with contextlib.closing(self.server.connect("airflow")) as connection:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(login, [self.settings["AIRFLOW_ADMIN_USER"]])
                    return bool(cursor.rowcount > 0)
            except psycopg2.errors.UndefinedTable:
                return False

    def _start_supervisord(self) -> None:
        settings, airflow = self.settings, airflow_environment(self.settings)
        # supervisord passes its environment on to each process. `elt exec superset` needs all
        # settings. Airflow runs the code of DAGs, so it must not see other secrets.
        foreign = {name for name in settings.values if is_secret(name)} - airflow.keys()
        environment = settings.values | airflow | {
            "AS_AIRFLOW": without(foreign),
            "AS_API_SERVER": without(foreign - API_SERVER_ONLY),
            "ELT": str(Path(sys.executable).with_name("elt")),
            "LOG_DIR": str(settings.logs),
            "POSTGRES_COMMAND": shlex.join(self.server.command()),
            "POSTGRES_HOME": str(self.server.home),
            "POSTGRES_USER": server_user(),
            "STATE_DIR": str(settings.state),
            "SUPERVISOR_SOCKET": str(self.socket),
        }  # fmt: skip
        command: list[str | Path] = [Path(sys.executable).with_name("supervisord")]
        command += ["--configuration", PROJECT / "stack" / "supervisord.conf"]
        if os.geteuid() == 0:
            command += ["--user", "root"]  # without the option, supervisord warns about root
        started = subprocess.run(command, env=environment, capture_output=True, text=True)
        if started.returncode != 0:
            raise StackError(f"supervisord did not start: {started.stderr.strip()}")
        deadline = time.monotonic() + 10
        while not self.is_running():
            if time.monotonic() > deadline:
                raise StackError(f"supervisord did not answer: see {settings.logs}/supervisord.log")
            time.sleep(0.05)

    def _start(self, program: str) -> None:
        """Start a program if it is not running, without waiting for it."""
        if self.api.getProcessInfo(program)["statename"] not in ("RUNNING", "STARTING"):
            self.api.startProcess(program, False)

    def down(self) -> bool:
        """Stop every process, the database server last. Return False if nothing was running."""
        if not self.is_running():
            return False
        pid = self.api.getPID()
        self.api.shutdown()
        while is_alive(pid):
            time.sleep(0.1)
        return True

    def reset(self) -> None:
        """Stop every process. Delete the warehouse, Airflow's history and the logs."""
        self.down()
        shutil.rmtree(self.server.home, ignore_errors=True)
        shutil.rmtree(self.settings.state, ignore_errors=True)
