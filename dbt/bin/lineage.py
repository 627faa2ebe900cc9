"""Tell an OpenLineage receiver which tables a dbt command read and wrote.

The events come from dbt's artifacts, through the library behind dbt-ol. They contain the SQL of the
models and the results of the tests, but no rows. A thread sends the events, so a receiver that is
away does not fail dbt and delays its end by a few seconds at most.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

COMMANDS = {"build", "run", "seed", "snapshot", "test"}
REQUEST_TIMEOUT = 2.0  # seconds for one event; no further event is sent after a time-out
END_TIMEOUT = 5.0  # seconds for all events that are left when dbt has ended


@contextmanager
def send_lineage() -> Iterator[None]:
    """Send the lineage of the dbt command that runs in the block and ends with SystemExit.

    The first event is sent while dbt starts. A receiver that has not taken it by dbt's end gets no
    other event. An interrupted command sends nothing more either.
    """
    if COMMANDS.isdisjoint(sys.argv[1:]):
        yield
        return
    interrupts = _count_interrupts()
    sender = _Sender()
    sender.start()
    try:
        yield
    except SystemExit as end:
        if not interrupts:
            sender.finish(succeeded=not end.code)
        raise


def _count_interrupts() -> list[int]:
    """Return a list to which each Ctrl-C adds its number. dbt turns a Ctrl-C into an exit code."""
    interrupts: list[int] = []
    handler = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        if callable(handler):
            handler(number, frame)

    if callable(handler):  # it is not ignored, as in the background jobs of a shell
        signal.signal(signal.SIGINT, note)
    return interrupts


class _Sender(Thread):
    """Sends the event of the command's start, and all others when the command has ended."""

    def __init__(self) -> None:
        super().__init__(daemon=True)  # the process can end while the thread waits
        self._error: Exception | None = None
        self._ended: SimpleQueue[bool] = SimpleQueue()

    def finish(self, *, succeeded: bool) -> None:
        """Send the events of the command's end, and warn if the receiver does not take them."""
        self._ended.put(succeeded)
        self.join(END_TIMEOUT)
        if self.is_alive() or self._error:
            # The text of an error may repeat the URL. The name of its class is enough.
            reason = type(self._error).__name__ if self._error else "slow answers"
            print(
                "lineage: the receiver that OPENLINEAGE_URL names did not take all events"
                f" ({reason}); dbt's result is not affected",
                flush=True,
            )

    def run(self) -> None:
        """Send all events."""
        try:
            self._send_all()
        except Exception as error:
            self._error = error

    def _send_all(self) -> None:
        from requests import HTTPError

        client = _client()
        for event in _events(self._ended):
            try:
                client.emit(event)
            except HTTPError as error:
                # A receiver may refuse one event and take the next one.
                self._error = error
                if error.response is None or error.response.status_code >= 500:
                    return


def _client() -> Any:
    from openlineage.client import OpenLineageClient

    logging.getLogger("openlineage").setLevel(logging.ERROR)
    key = os.environ.get("OPENLINEAGE_API_KEY")
    transport = {
        "type": "http",
        "url": os.environ["OPENLINEAGE_URL"],
        "timeout": REQUEST_TIMEOUT,
        "retry": {"total": False},
        "auth": {"type": "api_key", "apiKey": key} if key else {},
    }
    return OpenLineageClient(config={"transport": transport})


def _events(ended: SimpleQueue[bool]) -> Iterator[RunEvent]:
    """Yield the events of the command, as dbt-ol sends them; wait for its end after the first."""
    from openlineage.client.event_v2 import RunState
    from openlineage.common.provider.dbt import DbtLocalArtifactProcessor, ParentRunMetadata
    from openlineage.common.provider.dbt.utils import PRODUCER, get_parent_run_metadata
    from openlineage.common.utils import parse_single_arg
    from openlineage.dbt import dbt_run_event

    started = time.time()
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or "default"
    processor = DbtLocalArtifactProcessor(
        producer=PRODUCER,
        job_namespace=namespace,
        project_dir=parse_single_arg(sys.argv, ["--project-dir"]) or ".",
        profile_name=parse_single_arg(sys.argv, ["--profile"]),
        target=parse_single_arg(sys.argv, ["-t", "--target"]),
        target_path=parse_single_arg(sys.argv, ["--target-path"]),
        skip_errors=True,
    )
    parent = get_parent_run_metadata()
    start = dbt_run_event(RunState.START, processor.job_name, namespace, parent=parent)
    run_id, job = start.run.runId, start.job
    yield start
    succeeded = ended.get()
    root = parent or ParentRunMetadata(run_id, job.name, job.namespace)
    processor.dbt_run_metadata = ParentRunMetadata(
        run_id,
        job.name,
        job.namespace,
        root_parent_job_name=root.root_parent_job_name or root.job_name,
        root_parent_job_namespace=root.root_parent_job_namespace or root.job_namespace,
        root_parent_run_id=root.root_parent_run_id or root.run_id,
    )
    # dbt writes no results if it fails early. Those of an earlier command then remain.
    results = Path(processor.run_result_path)
    if results.exists() and results.stat().st_mtime >= started:
        for event in processor.parse().events():
            yield _without_ctes(event)
    state = RunState.COMPLETE if succeeded else RunState.FAIL
    yield dbt_run_event(state, job.name, namespace, run_id=run_id, parent=parent)


def _without_ctes(event: RunEvent) -> RunEvent:
    """Remove the columns whose origin is not known.

    OpenLineage's SQL parser takes a common table expression for a table, whose name has no dot.
    """
    for dataset in event.outputs or []:
        lineage: Any = (dataset.facets or {}).pop("columnLineage", None)
        if lineage is None:
            continue
        lineage.fields = {
            name: column
            for name, column in lineage.fields.items()
            if column.inputFields and all("." in each.name for each in column.inputFields)
        }
        if lineage.fields and dataset.facets is not None:
            dataset.facets["columnLineage"] = lineage
    return event
