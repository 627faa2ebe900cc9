"""Starting and stopping the processes, through supervisor."""

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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
from supervisor.xmlrpc import SupervisorTransport

from elt_stack import postgres
from elt_stack.errors import StackError
from elt_stack.ports import PORTS, check_port
from elt_stack.settings import PROJECT, Settings, is_secret

LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes, and supervisor adds a suffix at first


def last_line(log: Path) -> str:
    """What a program said last, which mostly is why it ended."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def alive(pid: int) -> bool:
    """Whether a process of ours with that id is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Stack:
    """The processes of one state directory."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def socket(self) -> Path:
        """Where supervisord listens; only its owner may speak to it."""
        path = self.settings.state / "supervisor.sock"
        if len(str(path)) < LONGEST_SOCKET_PATH:
            return path
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"elt-stack-{digest}.sock")

    @property
    def supervisor(self) -> xmlrpc.client.ServerProxy:
        """supervisord's own interface."""
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor

    def running(self) -> bool:
        """Whether supervisord answers."""
        try:
            return self.supervisor.getState()["statename"] == "RUNNING"
        except (OSError, xmlrpc.client.Error):
            return False

    def processes(self) -> list[dict]:
        """What supervisord knows of each process: name, statename, pid, description."""
        return self.supervisor.getAllProcessInfo() if self.running() else []

    def up(self, api_answers: Callable[[], bool]) -> None:
        """Start all that does not run; again is safe and quick.

        Args:
            api_answers: whether Airflow's api-server does.

        Raises:
            StackError: a port is taken, or a step failed; the message says what to do.
        """
        running = self.processes()
        if running and all(process["statename"] == "RUNNING" for process in running):
            return
        self.start_postgres()
        # It brings the metadata up to date before it serves, and only then can others use them.
        self._start("airflow-api-server")
        with ThreadPoolExecutor(1) as pool:
            models = pool.submit(self._make_models)
            self.wait_for("airflow-api-server", self._has_airflow_login)
            self._start("airflow-dag-processor")
            self.wait_for("airflow-api-server", api_answers)
            models.result()
        # Not before: a run that was cut off goes on at once, and its tasks ask the api-server.
        self._start("airflow-scheduler")
        # While the DAG runs, which keeps one core busy, there is time for it.
        self._start("superset")

    def start_postgres(self) -> None:
        """Start the database and no more, with the roles and databases that the rest needs.

        Raises:
            StackError: a port is taken, or a step failed; the message says what to do.
        """
        settings = self.settings
        if not self.running():
            for setting in PORTS:
                check_port(int(settings[setting]), setting)
            for folder in (settings.state, settings.logs):
                folder.mkdir(parents=True, exist_ok=True)
            settings.server.prepare()
            self._start_supervisor()
        server = settings.server
        self._start("postgres")
        server.wait()
        server.init_warehouse(PROJECT / "init_db.sql", settings.role_passwords)
        server.run_sql(PROJECT / "metadata_init.sql", "postgres", settings.metadata_passwords)

    def stop_users(self) -> None:
        """Stop all but the database, and wait for it."""
        users = {each["name"] for each in self.processes()} - {"postgres"}
        for name in users:
            with contextlib.suppress(xmlrpc.client.Fault):  # it does not run
                self.supervisor.stopProcess(name, False)
        while any(each["name"] in users and each["pid"] for each in self.processes()):
            time.sleep(0.1)

    def _make_models(self) -> None:
        """Make the warehouse's tables and models, empty, where they are missing.

        Behind what else starts: nobody waits for them before the first run.

        Raises:
            StackError: the loader or dbt failed, in its own words.
        """
        commands = {
            "data_ingestion": ("loader", ["data-ingestion", "init"]),
            "dbt": ("transformer", ["python", "init_marts.py"]),
        }
        for component, (role, (program, *options)) in commands.items():
            environment = self.settings.base_environment() | self.settings.libpq_environment(role)
            done = subprocess.run(
                ["nice", "-n", "19", PROJECT / component / ".venv" / "bin" / program, *options],
                env=environment, cwd=PROJECT / component, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            if done.returncode != 0:
                raise StackError(f"{component}: {program} {options[0]} failed: {done.stdout}")

    def wait_for(self, program: str, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Return when `condition` holds, which `program` is to bring about.

        Raises:
            StackError: the program ended instead, or it took longer than `seconds`.
        """
        deadline = time.monotonic() + seconds
        first = self.supervisor.getProcessInfo(program)["pid"]
        log = self.settings.logs / f"{program}.log"
        while not condition():
            process = self.supervisor.getProcessInfo(program)
            first = first or process["pid"]
            if process["statename"] not in ("RUNNING", "STARTING") or process["pid"] != first:
                raise StackError(f"{program} did not start: {last_line(log)} ({log})")
            if time.monotonic() > deadline:
                raise StackError(f"{program} was not ready within {seconds:.0f} s: see {log}")
            time.sleep(0.25)  # asking takes time from the program that is to start

    def _has_airflow_login(self) -> bool:
        """Whether the last step of `init_metadata.py` is done."""
        login = "select from ab_user where username = %s"
        with contextlib.closing(self.settings.server.connect("airflow")) as connection:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(login, [self.settings["AIRFLOW_ADMIN_USER"]])
                    return cursor.rowcount > 0
            except psycopg2.errors.UndefinedTable:
                return False

    def _start_supervisor(self) -> None:
        settings = self.settings
        not_airflows = [
            name for name in settings.values if is_secret(name) and not name.startswith("AIRFLOW_")
        ]
        environment = settings.values | settings.airflow_environment() | {
            "AS_AIRFLOW": shlex.join(["env", *(f"-u{name}" for name in not_airflows)]),
            "ELT": str(Path(sys.executable).with_name("elt")),
            "LOG_DIR": str(settings.logs),
            "POSTGRES_COMMAND": shlex.join(settings.server.command()),
            "POSTGRES_HOME": str(settings.server.home),
            "POSTGRES_USER": postgres.server_user(),
            "STATE_DIR": str(settings.state),
            "SUPERVISOR_SOCKET": str(self.socket),
        }  # fmt: skip
        command = [Path(sys.executable).with_name("supervisord")]
        command += ["--configuration", PROJECT / "stack" / "supervisord.conf"]
        if os.geteuid() == 0:
            command += ["--user", "root"]  # said aloud, or it warns
        started = subprocess.run(command, env=environment, capture_output=True, text=True)
        if started.returncode != 0:
            raise StackError(f"supervisord did not start: {started.stderr.strip()}")
        deadline = time.monotonic() + 10
        while not self.running():
            if time.monotonic() > deadline:
                raise StackError(f"supervisord did not answer: see {settings.logs}/supervisord.log")
            time.sleep(0.05)

    def _start(self, program: str) -> None:
        """Start a program without waiting for it to have stayed up."""
        if self.supervisor.getProcessInfo(program)["statename"] not in ("RUNNING", "STARTING"):
            self.supervisor.startProcess(program, False)

    def down(self) -> bool:
        """Stop everything, the database last, and wait for it. False if nothing ran."""
        if not self.running():
            return False
        pid = self.supervisor.getPID()
        self.supervisor.shutdown()
        while alive(pid):
            time.sleep(0.1)
        return True

    def reset(self) -> None:
        """Stop everything and forget it: the warehouse, Airflow's history, the logs."""
        self.down()
        shutil.rmtree(self.settings.server.home, ignore_errors=True)
        shutil.rmtree(self.settings.state, ignore_errors=True)
