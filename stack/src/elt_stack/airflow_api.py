"""A client of Airflow's REST API, as far as triggering a DAG and watching it goes.

Format: https://airflow.apache.org/docs/apache-airflow/3.3.2/stable-rest-api-ref.html
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import requests

from elt_stack.errors import StackError
from elt_stack.ports import session

FINISHED = {"success", "failed", "skipped", "upstream_failed", "removed"}
PATIENCE = 180  # seconds; an api-server that was killed is back in half a minute, mostly


class UnavailableError(StackError):
    """The api-server does not answer, or cannot just now: it may be starting."""


class Airflow:
    """One user's session with one api-server.

    Args:
        address: of the api-server, such as http://127.0.0.1:8080.
        user: the login's name.
        password: its password.
    """

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address = address
        self.login = {"username": user, "password": password}
        self.session = session()

    def _call(self, method: str, path: str, **options) -> dict:
        """Call the API, logging in first, or again when the token has run out."""
        for attempt in range(2):
            if attempt or "Authorization" not in self.session.headers:
                token = self._send("POST", "/auth/token", json=self.login)["access_token"]
                self.session.headers["Authorization"] = f"Bearer {token}"
            try:
                return self._send(method, f"/api/v2{path}", **options)
            except PermissionError:
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def _send(self, method: str, path: str, **options) -> dict:
        try:
            answer = self.session.request(method, self.address + path, timeout=30, **options)
        except requests.RequestException as error:
            raise UnavailableError(f"Airflow does not answer at {self.address}: {error}") from None
        if answer.status_code == 401:
            raise PermissionError(f"Airflow refuses the login {self.login['username']!r}")
        if not answer.ok:
            try:
                detail = answer.json()["detail"]
            except (ValueError, KeyError, TypeError):
                detail = answer.text[:300]
            kind = UnavailableError if answer.status_code >= 500 else StackError
            raise kind(f"Airflow says {answer.status_code} to {method} {path}: {detail}")
        return answer.json()

    def answers(self) -> bool:
        """Whether the api-server is there at all."""
        try:
            self._send("GET", "/api/v2/version")
        except StackError:
            return False
        return True

    def healthy(self) -> bool:
        """Whether the api-server, its database, the scheduler and the DAG processor all are."""
        needed = ("metadatabase", "scheduler", "dag_processor")
        try:
            # What tasks speak to. Its first answer takes seconds: here, not in the first task.
            self._send("GET", "/execution/health")
            health = self._send("GET", "/api/v2/monitor/health")
        except StackError:
            return False
        return all(health[part]["status"] == "healthy" for part in needed)

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG processor has read the DAG."""
        try:
            return not self._call("GET", f"/dags/{dag_id}")["is_stale"]
        except StackError:
            return False

    def trigger(self, dag_id: str, **params) -> str:
        """Trigger a DAG as the form of the UI does; returns the id of the run."""
        body = {"logical_date": None, "conf": params}
        return self._call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]

    def run(self, dag_id: str, run_id: str) -> dict:
        """The run: state, start_date, end_date, …"""
        return self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")

    def tasks(self, dag_id: str, run_id: str) -> list[dict]:
        """The run's task instances: task_id, state, duration in seconds, try_number, …"""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return sorted(found["task_instances"], key=lambda task: task["start_date"] or "~")

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[str]:
        """The lines of a task's log."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self._call("GET", path, params={"full_content": "true"})["content"]
        return [str(line.get("event", "")) for line in content if isinstance(line, dict)]

    def watch(self, dag_id: str, run_id: str, seconds: float = 7200) -> Iterator[dict]:
        """Yield each task instance as it ends; return when the run has.

        Raises:
            StackError: it did not end within `seconds`, or Airflow was away for PATIENCE.
        """
        deadline, told = time.monotonic() + seconds, set()
        answered = time.monotonic()
        while True:
            try:
                ended = self.run(dag_id, run_id)["state"] in ("success", "failed")
                tasks = self.tasks(dag_id, run_id)
                answered = time.monotonic()
            except UnavailableError:  # the run goes on without it
                if time.monotonic() > answered + PATIENCE:
                    raise
                ended, tasks = False, []
            for task in tasks:
                if task["state"] in FINISHED and task["task_id"] not in told:
                    told.add(task["task_id"])
                    yield task
            if ended:
                return
            if time.monotonic() > deadline:
                raise StackError(f"run {run_id} did not end within {seconds:.0f} s")
            time.sleep(0.5)
