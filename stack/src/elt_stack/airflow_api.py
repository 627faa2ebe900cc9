"""A client of Airflow's REST API that triggers a DAG and watches the run.

Format: https://airflow.apache.org/docs/apache-airflow/3.3.2/stable-rest-api-ref.html
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import requests

from elt_stack.errors import StackError
from elt_stack.ports import loopback_session

FINISHED = {"success", "failed", "skipped", "upstream_failed", "removed"}
# Seconds for which `watch` waits for the api-server. A killed one is usually back in 30 seconds.
PATIENCE = 180
# The id of the account that airflow/init_metadata.py creates for this client.
ACCOUNT = "0"
VALID_SECONDS = 60  # of a token, which serves one request


class UnavailableError(StackError):
    """The api-server does not answer, or answers with a server error: it may be starting."""


class Airflow:
    """A session of the account of `elt` with an api-server.

    It signs its tokens itself, because logins with a password may be off (docs/sign-in.md).

    Args:
        address: the api-server's address, such as http://127.0.0.1:8080.
        key: the key with which Airflow signs tokens, AIRFLOW__API_AUTH__JWT_SECRET.
    """

    def __init__(self, address: str, key: str) -> None:
        self.address = address
        self.key = key
        self.session = loopback_session()

    def _token(self) -> str:
        """Return a new token, with the claims that Airflow gives its own."""
        import jwt  # only here, because it takes 0.1 s and few commands of `elt` need it

        now = int(time.time())
        claims = {
            "sub": ACCOUNT,
            "aud": "apache-airflow",
            "iat": now,
            "nbf": now,
            "exp": now + VALID_SECONDS,
        }
        return jwt.encode(claims, self.key, algorithm="HS512")

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token()}"}
        return self._send(method, f"/api/v2{path}", headers=headers, **options)

    def _send(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self.session.request(method, self.address + path, timeout=30, **options)
        except requests.RequestException as error:
            raise UnavailableError(f"Airflow does not answer at {self.address}: {error}") from None
        if not answer.ok:
            try:
                detail = answer.json()["detail"]
            except (ValueError, KeyError, TypeError):
                detail = answer.text[:300]
            if detail == "Invalid JWT token":
                raise StackError(
                    "Airflow refuses the token of elt: it was started with another "
                    "AIRFLOW__API_AUTH__JWT_SECRET than the one in .env. Restart the stack"
                )
            kind = UnavailableError if answer.status_code >= 500 else StackError
            # After a refused value, further lines of the detail show the schema of the field.
            reason = str(detail).partition("\n")[0]
            raise kind(
                f"Airflow answers {method} {path} with status {answer.status_code}: {reason}"
            )
        return dict(answer.json())

    def answers(self) -> bool:
        """Return whether the api-server answers."""
        try:
            self._send("GET", "/api/v2/version")
        except StackError:
            return False
        return True

    def is_healthy(self) -> bool:
        """Return whether api-server, database, scheduler and DAG processor are healthy."""
        needed = ("metadatabase", "scheduler", "dag_processor")
        try:
            # Tasks call this endpoint. Its first answer takes seconds, which we spend here.
            self._send("GET", "/execution/health")
            health = self._send("GET", "/api/v2/monitor/health")
        except StackError:
            return False
        return all(health[part]["status"] == "healthy" for part in needed)

    def has_dag(self, dag_id: str) -> bool:
        """Return whether the DAG processor has read the DAG."""
        try:
            return not self._call("GET", f"/dags/{dag_id}")["is_stale"]
        except StackError:
            return False

    def trigger(self, dag_id: str, **params: object) -> str:
        """Trigger a DAG, as the form of the UI does.

        Args:
            dag_id: the DAG's id.
            **params: the fields of the form.

        Returns:
            The id of the run.
        """
        body = {"logical_date": None, "conf": params}
        return str(self._call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return the run: its state, start_date, end_date and more."""
        return self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the run's task instances: task_id, state, duration in seconds and more."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return sorted(found["task_instances"], key=lambda task: task["start_date"] or "~")

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[str]:
        """Return the lines of a task's log."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self._call("GET", path, params={"full_content": "true"})["content"]
        return [str(line.get("event", "")) for line in content if isinstance(line, dict)]

    def watch(self, dag_id: str, run_id: str, seconds: float = 7200) -> Iterator[dict[str, Any]]:
        """Yield each task instance when it ends. Return when the run ends.

        Raises:
            StackError: the run did not end within `seconds`, or the api-server did not answer for
                PATIENCE.
        """
        deadline = time.monotonic() + seconds
        last_answer = time.monotonic()
        yielded = set()
        while True:
            try:
                ended = self.run(dag_id, run_id)["state"] in ("success", "failed")
                tasks = self.tasks(dag_id, run_id)
                last_answer = time.monotonic()
            except UnavailableError:  # the run continues without the api-server
                if time.monotonic() > last_answer + PATIENCE:
                    raise
                ended, tasks = False, []
            for task in tasks:
                if task["state"] in FINISHED and task["task_id"] not in yielded:
                    yielded.add(task["task_id"])
                    yield task
            if ended:
                return
            if time.monotonic() > deadline:
                raise StackError(f"run {run_id} did not end within {seconds:.0f} s")
            time.sleep(0.5)
