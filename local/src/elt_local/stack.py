"""Starting and stopping the processes, through supervisor."""

from __future__ import annotations

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
from pathlib import Path

from supervisor.xmlrpc import SupervisorTransport

from elt_local import postgres
from elt_local.errors import StackError
from elt_local.ports import check_port
from elt_local.settings import PROJECT, Settings

LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes, and supervisor adds a suffix at first


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
        return Path(tempfile.gettempdir(), f"elt-local-{digest}.sock")

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

    def up(self, wait_for_api: Callable[[], None]) -> None:
        """Start all that does not run; again is safe and quick.

        Args:
            wait_for_api: returns once Airflow's api-server answers.

        Raises:
            StackError: a port is taken, or a step failed; the message says what to do.
        """
        settings = self.settings
        if not self.running():
            for setting in ("WAREHOUSE_PORT", "AIRFLOW_PORT"):
                check_port(int(settings[setting]), setting)
            for folder in (settings.state, settings.logs):
                folder.mkdir(parents=True, exist_ok=True)
            settings.server.prepare()
            self._start_supervisor()
        if all(process["statename"] == "RUNNING" for process in self.processes()):
            return
        self._start("postgres")
        settings.server.wait()
        server = settings.server
        server.init_warehouse(PROJECT / "init_db.sql", settings.role_passwords)
        server.run_sql(PROJECT / "metadata_init.sql", "postgres", settings.metadata_passwords)
        self._init_airflow()
        self._start("airflow-api-server")
        self._start("airflow-dag-processor")
        # Last: a run that was cut off goes on at once, and its tasks ask the api-server.
        wait_for_api()
        self._start("airflow-scheduler")

    def _start_supervisor(self) -> None:
        settings = self.settings
        environment = settings.airflow_environment() | {
            "AIRFLOW_PORT": settings["AIRFLOW_PORT"],
            "LOG_DIR": str(settings.logs),
            "POSTGRES_COMMAND": shlex.join(settings.server.command()),
            "POSTGRES_HOME": str(settings.server.home),
            "POSTGRES_USER": postgres.server_user(),
            "STATE_DIR": str(settings.state),
            "SUPERVISOR_SOCKET": str(self.socket),
        }
        command = [Path(sys.executable).with_name("supervisord")]
        command += ["--configuration", PROJECT / "local" / "supervisord.conf"]
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

    def _init_airflow(self) -> None:
        log = self.settings.logs / "airflow-init.log"
        environment = self.settings.airflow_environment() | {
            name: self.settings[name] for name in ("AIRFLOW_ADMIN_USER", "AIRFLOW_ADMIN_PASSWORD")
        }
        with log.open("ab") as output:
            done = subprocess.run(
                ["python", PROJECT / "airflow" / "init_metadata.py"],
                env=environment, stdout=output, stderr=output, cwd=self.settings.state,
            )  # fmt: skip
        if done.returncode != 0:
            raise StackError(f"Airflow's database could not be prepared: see {log}")

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
