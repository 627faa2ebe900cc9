"""A client of Superset's REST API for the tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence

import requests

Chosen = Mapping[str, Sequence[str]]  # the values of each filter of the dashboard, by column
LOGIN = {"username": "admin", "password": "not-a-secret-of-anyone"}


class Api(requests.Session):
    """Superset's REST API, as one user or anonymously."""

    def __init__(self, address: str, login: dict[str, str] | None = None) -> None:
        super().__init__()
        self.address, self.trust_env = address, False
        # Do not reuse connections: the server may close one while the next request is on its way.
        self.headers["Connection"] = "close"
        self.datasets: dict[str, int] = {}
        if login:
            answer = self.post("/api/v1/security/login", json=login | {"provider": "db"})
            self.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            token = self.get("/api/v1/security/csrf_token/").json()["result"]
            self.headers["X-CSRFToken"] = token

    def request(self, method: str, path: str, **options) -> requests.Response:
        """Send one request. Redirects are returned, not followed."""
        options = {"timeout": 60, "allow_redirects": False} | options
        return super().request(method, self.address + path, **options)

    def find(self, kind: str, uuid_: str) -> dict | None:
        """Return the chart, dataset, … with this uuid, or None."""
        found = self.get(f"/api/v1/{kind}/", params={"q": "(page_size:100)"}).json()["result"]
        for item in found:
            details = self.get(f"/api/v1/{kind}/{item['id']}").json()["result"]
            if details["uuid"] == uuid_:
                return details
        return None

    def data(self, chart: dict, period: str | None = None, chosen: Chosen | None = None) -> dict:
        """Return the data of a chart file, requested as the dashboard's page does.

        Args:
            chart: Content of the chart's file.
            period: Time range of the dashboard's filter.
            chosen: Values of the dashboard's other filters, by column.
        """
        uuid_ = chart["dataset_uuid"]
        if uuid_ not in self.datasets:
            self.datasets[uuid_] = self.find("dataset", uuid_)["id"]
        body = {
            "datasource": {"id": self.datasets[uuid_], "type": "table"},
            "force": True,  # bypasses the cache
            "queries": [query(chart, period, chosen)],
            "form_data": {"viz_type": chart["viz_type"]},
        }
        answer = self.post("/api/v1/chart/data", json=body)
        assert answer.status_code == 200, f"{chart['slice_name']}: {answer.text}"
        return answer.json()["result"][0]

    def sql(self, statement: str, **options) -> requests.Response:
        """Run a statement in SQL Lab."""
        database = self.get("/api/v1/database/").json()["result"][0]
        body = {"database_id": database["id"], "sql": statement, "client_id": uuid.uuid4().hex[:10]}
        return self.post("/api/v1/sqllab/execute/", json=body | options)


def query(chart: dict, period: str | None = None, chosen: Chosen | None = None) -> dict:
    """Return the query that the dashboard's page builds from a chart's settings.

    The page builds the query in JavaScript. The server has no such function.
    """
    params, filters, having = chart["params"], [], []
    for condition in params.get("adhoc_filters", []):
        if condition["expressionType"] == "SQL":
            having.append(f"({condition['sqlExpression']})")
            continue
        filters.append(
            {
                "col": condition["subject"],
                "op": condition["operator"],
                "val": condition["comparator"],
            }
        )
    for column, values in (chosen or {}).items():
        filters.append({"col": column, "op": "IN", "val": list(values)})
    metrics = params.get("metrics") or ([params["metric"]] if "metric" in params else [])
    built = {
        "filters": filters,
        "extras": {"where": "", "having": " AND ".join(having)},
        "columns": params.get("all_columns") or params.get("groupby") or [],
        "metrics": metrics,
        "row_limit": params.get("row_limit"),
        "orderby": [json.loads(order) for order in params.get("order_by_cols", [])]
        or [[metric, False] for metric in params.get("metrics", [])[:1]],
    }
    if period:
        built["time_range"] = period
    if params.get("query_mode") == "raw":
        del built["metrics"]
    if axis := params.get("x_axis"):
        if isinstance(axis, str):
            axis = {"expressionType": "SQL", "isColumnReference": True, "label": axis,
                    "sqlExpression": axis}  # fmt: skip
        grain = params.get("time_grain_sqla")
        built["columns"] = [
            axis | {"columnType": "BASE_AXIS", "timeGrain": grain},
            *params.get("groupby", []),
        ]
        built["extras"]["time_grain_sqla"] = grain
    return built
