"""Tell an OpenLineage receiver which file went into which table, if OPENLINEAGE_URL names one.

The events never contain values of rows. A receiver that is away neither fails a load nor delays it
for long: a thread sends the events while the load goes on, and `close` waits a few seconds at most.
"""

import logging
import os
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from data_ingestion.model import ADDED_COLUMNS, Load

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import RunFacet

log = logging.getLogger(__name__)
PRODUCER = "urn:elt:data-ingestion"  # OpenLineage requires a URI
REQUEST_TIMEOUT = 2.0  # seconds for one event; no further event is sent after a time-out
CLOSE_TIMEOUT = 5.0  # seconds for all events that are left when the loads have ended
TYPES = {"_row_hash": "uuid", "_load_id": "bigint", "_source_line": "bigint"}


class Lineage:
    """Sends two events for each load in the background. Without a URL, it does nothing."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._queue: SimpleQueue[tuple[Path, Load] | None] = SimpleQueue()
        self._thread: Thread | None = None
        if os.environ.get("OPENLINEAGE_URL"):
            # The process can end while a daemon thread waits for the receiver.
            self._thread = Thread(target=self._send_all, daemon=True)
            self._thread.start()

    def __enter__(self) -> "Lineage":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not KeyboardInterrupt:
            self.close()

    def add(self, path: Path, load: Load) -> None:
        """Send the events of a load that has ended."""
        if self._thread:
            self._queue.put((path, load))

    def close(self) -> None:
        """Wait until the events are sent, and warn if they are not."""
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join(CLOSE_TIMEOUT)
        if self._thread.is_alive() or self._error:
            # The text of an error may repeat the URL. The name of its class is enough.
            reason = type(self._error).__name__ if self._error else "slow answers"
            log.warning(
                "lineage: the receiver that OPENLINEAGE_URL names did not take all events (%s);"
                " the loads are not affected",
                reason,
            )

    def _send_all(self) -> None:
        try:
            from requests import HTTPError

            client = _client()
            while ended := self._queue.get():
                for event in load_events(*ended):
                    try:
                        client.emit(event)
                    except HTTPError as error:
                        # A receiver may refuse one event and take the next one.
                        self._error = error
                        if error.response is None or error.response.status_code >= 500:
                            return
        except Exception as error:
            self._error = error


def _client() -> Any:
    from openlineage.client import OpenLineageClient

    key = os.environ.get("OPENLINEAGE_API_KEY")
    transport = {
        "type": "http",
        "url": os.environ["OPENLINEAGE_URL"],
        "timeout": REQUEST_TIMEOUT,
        "retry": {"total": False},
        "auth": {"type": "api_key", "apiKey": key} if key else {},
    }
    logging.getLogger("openlineage").setLevel(logging.WARNING)
    return OpenLineageClient(config={"transport": transport})


def load_events(path: Path, load: Load) -> "list[RunEvent]":
    """Return the START event of a load and its COMPLETE or FAIL event.

    Args:
        path: The file.
        load: The load, which has ended.
    """
    # These imports take longer than a small load, so they wait until a receiver is known.
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import job_type_job
    from openlineage.client.uuid import generate_new_uuid

    kind = job_type_job.JobTypeJobFacet("BATCH", "DATA_INGESTION", "LOAD")
    job = Job(
        os.environ.get("OPENLINEAGE_NAMESPACE") or "default",
        f"load.raw.{load.table}",
        {"jobType": kind},
    )
    run = Run(str(generate_new_uuid()), _parent())
    ended = RunState.COMPLETE if load.status == "loaded" else RunState.FAIL
    return [
        RunEvent(
            eventTime=time.isoformat(),
            producer=PRODUCER,
            run=run,
            job=job,
            eventType=state,
            inputs=[_file(path, load)],
            outputs=[_table(load)],
        )
        for state, time in (
            (RunState.START, load.started_at),
            (ended, datetime.now().astimezone()),
        )
    ]


def _parent() -> "dict[str, RunFacet]":
    """Return the facet of the run that started the loader, such as a task of Airflow."""
    from openlineage.client.facet_v2 import parent_run

    # Each is "namespace/job/run".
    parent = os.environ.get("OPENLINEAGE_PARENT_ID", "").split("/")
    root = os.environ.get("OPENLINEAGE_ROOT_PARENT_ID", "").split("/")
    if len(parent) != 3:
        return {}
    facet = parent_run.ParentRunFacet.create(parent[2], parent[0], parent[1])
    if len(root) == 3:
        facet.root = parent_run.Root(
            parent_run.RootRun(root[2]), parent_run.RootJob(root[0], root[1])
        )
    return {"parent": facet}


def _file(path: Path, load: Load) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import (
        dataset_version_dataset,
        input_statistics_input_dataset,
    )

    version = dataset_version_dataset.DatasetVersionDatasetFacet(load.file_sha256 or "unknown")
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=load.rows_read, size=load.file_size
    )
    name = os.fsencode(path.absolute()).decode(errors="replace")
    return InputDataset(
        namespace="file",
        name=name,
        facets={"version": version},
        inputFacets={"inputStatistics": statistics},
    )


def _table(load: Load) -> "OutputDataset":
    """Return the table, with the name that dbt's events give it."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset, schema_dataset

    fields = [
        schema_dataset.SchemaDatasetFacetFields(name, TYPES.get(name, "text"))
        for name in (*load.columns, *ADDED_COLUMNS)
    ]
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=load.rows_loaded
    )
    # The defaults are those of dbt/profiles.yml.
    host, port = os.environ.get("PGHOST") or "127.0.0.1", os.environ.get("PGPORT") or "5432"
    return OutputDataset(
        namespace=f"postgres://{host}:{port}",
        name=f"{os.environ.get('PGDATABASE') or 'warehouse'}.raw.{load.table}",
        facets={"schema": schema_dataset.SchemaDatasetFacet(fields)} if load.columns else {},
        outputFacets={"outputStatistics": statistics},
    )
