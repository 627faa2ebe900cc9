"""A receiver of OpenLineage events for tests, and checks of the events."""

from __future__ import annotations

import http.server
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jsonschema

TEXT = {"type": "string", "minLength": 1}
URI = {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:"}
UUID = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
COUNT = {"type": "integer", "minimum": 0}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": required | optional,
    }


def _facets(**known: Any) -> dict[str, Any]:
    """Return the schema of facets, of which each names its producer and its schema."""
    facet = _object({"_producer": URI, "_schemaURL": URI})
    properties = {name: {"allOf": [facet, each]} for name, each in known.items()}
    return {"type": "object", "properties": properties, "additionalProperties": facet}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


NAMES = {"namespace": TEXT, "name": TEXT}
RUN, JOB = _object({"runId": UUID}), _object(NAMES)
DATASET_FACETS = _facets(
    schema=_object({"fields": _list(_object({"name": TEXT}, type=TEXT))}),
    version=_object({"datasetVersion": TEXT}),
    columnLineage=_object(
        {
            "fields": {
                "type": "object",
                "additionalProperties": _object(
                    {"inputFields": _list(_object(NAMES | {"field": TEXT}))}
                ),
            }
        }
    ),
)
STATISTICS = _object({}, rowCount=COUNT, size=COUNT)
# A run event of OpenLineage 2-0-2 and the facets that the tests read, after
# https://openlineage.io/spec/2-0-2/OpenLineage.json and the facets' own schemas.
RUN_EVENT = _object(
    {
        "eventTime": TIME,
        "producer": URI,
        "schemaURL": {
            "const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        },
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "run": _object(
            {"runId": UUID},
            facets=_facets(
                parent=_object({"run": RUN, "job": JOB}, root=_object({"run": RUN, "job": JOB}))
            ),
        ),
        "job": _object(NAMES, facets=_facets(sql=_object({"query": TEXT}))),
    },
    inputs=_list(
        _object(NAMES, facets=DATASET_FACETS, inputFacets=_facets(inputStatistics=STATISTICS))
    ),
    outputs=_list(
        _object(NAMES, facets=DATASET_FACETS, outputFacets=_facets(outputStatistics=STATISTICS))
    ),
)


class Receiver:
    """An HTTP server that stores the events it receives.

    Attributes:
        url: Its address.
        events: The events, in the order in which they arrived.
        keys: The values of the header Authorization.
    """

    def __init__(self, status: int = 201) -> None:
        self.events: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.keys.add(self.headers["Authorization"])
                if self.path == "/api/v1/lineage":
                    receiver.events.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def receive(status: int = 201) -> Iterator[Receiver]:
    """Run a receiver that answers each event with a status."""
    receiver = Receiver(status)
    threading.Thread(target=receiver.server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()


def assert_valid(events: list[dict[str, Any]]) -> None:
    """Check the form of all events, and that each run starts once and ends once."""
    states = defaultdict(list)
    for event in events:
        jsonschema.validate(event, RUN_EVENT, jsonschema.Draft202012Validator)
        states[event["run"]["runId"]].append(event["eventType"])
    for run, found in states.items():
        assert sorted(found) in (["COMPLETE", "START"], ["FAIL", "START"]), (run, found)


def jobs(events: list[dict[str, Any]], state: str) -> dict[str, dict[str, Any]]:
    """Return the events of a state by the name of their job."""
    return {event["job"]["name"]: event for event in events if event["eventType"] == state}


def datasets_after(events: list[dict[str, Any]], start: tuple[str, str]) -> set[tuple[str, str]]:
    """Return all datasets that follow from one, each as (namespace, name), over any job."""
    edges = defaultdict(set)
    for event in events:
        for source in event.get("inputs") or []:
            edges[source["namespace"], source["name"]] |= {
                (target["namespace"], target["name"]) for target in event.get("outputs") or []
            }
    reached, waiting = set(), {start}
    while waiting:
        new = edges[waiting.pop()] - reached
        reached |= new
        waiting |= new
    return reached
