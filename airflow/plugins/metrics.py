"""The page /metrics of Airflow's api-server: the loads in the format of Prometheus.

The page exists only if AIRFLOW_METRICS_PASSWORD is set. Prometheus logs in as the user `metrics`.
The numbers come from the warehouse when the page is read.
"""

from __future__ import annotations

import base64
import logging
import os
import secrets
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric as Family
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)
PATH = "/metrics"
USER = "metrics"
CONNECTION = "warehouse_transformer"


@dataclass(frozen=True)
class Metric:
    """A metric, and the query that returns its labels and, in the last column, its value.

    The name of a counter ends in `_total`.
    """

    name: str
    meaning: str
    labels: tuple[str, ...]
    query: str


METRICS = (
    Metric(
        "elt_loads_total",
        "Files that the loader loaded or refused.",
        ("source", "status"),
        "select table_name, status, count(*) from raw._loads group by 1, 2",
    ),
    Metric(
        "elt_load_rows_total",
        "Rows of loaded files, by what became of them: loaded, duplicate, rejected or skipped.",
        ("source", "outcome"),
        """
        select table_name, outcome, sum(number)
        from raw._loads
        cross join lateral (
            values ('loaded', rows_loaded), ('duplicate', rows_duplicate),
            ('rejected', rows_rejected), ('skipped', rows_skipped)
        ) as outcomes (outcome, number)
        where status = 'loaded'
        group by 1, 2
        """,
    ),
    Metric(
        "elt_last_load_timestamp_seconds",
        "When the newest load of the source ended.",
        ("source",),
        "select table_name, extract(epoch from max(finished_at)) from raw._loads"
        " where status = 'loaded' group by 1",
    ),
    Metric(
        "elt_last_load_duration_seconds",
        "How long the newest load of the source took.",
        ("source",),
        "select distinct on (table_name) table_name, extract(epoch from finished_at - started_at)"
        " from raw._loads where status = 'loaded' order by table_name, load_id desc",
    ),
    Metric(
        "elt_failing_files",
        "Files whose newest load failed, in the last two days.",
        ("source",),
        """
        select table_name, count(*) filter (where status = 'failed')
        from (
            select distinct on (table_name, source_file) table_name, status
            from raw._loads
            where finished_at > now() - interval '2 days'
            order by table_name, source_file, load_id desc
        ) as newest
        group by 1
        """,
    ),
    Metric(
        "elt_staging_transactions",
        "Rows of staging.transactions with an account and a date.",
        ("source",),
        "select source, sum(transaction_count) from marts.daily_account_flows group by 1",
    ),
    Metric(
        "elt_tests",
        "Tests of the newest `dbt test`, by outcome: pass, warn, fail, error or skipped.",
        ("status",),
        "select status, count(*) from audit.test_results where executed_at ="
        " (select max(executed_at) from audit.test_results) group by 1",
    ),
    Metric(
        "elt_test_failing_rows",
        "Failing rows of each test of the newest `dbt test`.",
        ("test",),
        "select test_name, coalesce(failures, 0) from audit.test_results where executed_at ="
        " (select max(executed_at) from audit.test_results)",
    ),
    Metric(
        "elt_balance_breaks",
        "Breaks of the balance chain that nobody has accepted, by kind.",
        ("kind",),
        """
        select kind, count(source)
        from (values ('gap'), ('doubled'), ('broken')) as kinds (kind)
        left join marts.balance_breaks as breaks using (kind)
        where accepted_reason is null
        group by 1
        """,
    ),
    Metric(
        "elt_accounts",
        "Accounts by the state of their balance chain.",
        ("state",),
        "select state, count(*) from marts.reconciliation group by 1",
    ),
)


class Warehouse:
    """The collector that reads METRICS from the warehouse."""

    def collect(self) -> Iterator[Family]:
        """Return the metrics. Without the warehouse, only elt_warehouse_up is left, and it is 0."""
        import psycopg2
        from airflow.sdk import BaseHook
        from prometheus_client.core import GaugeMetricFamily

        from warehouse import connect

        try:
            with closing(connect(BaseHook.get_connection(CONNECTION))) as session:
                families = [self._family(session, metric) for metric in METRICS]
        except psycopg2.OperationalError as error:
            log.warning("no metrics of loads: %s", error)
            families = []
        yield GaugeMetricFamily(
            "elt_warehouse_up", "Whether the warehouse answers.", bool(families)
        )
        yield from families

    def _family(self, session: Any, metric: Metric) -> Family:
        """Return a metric with its samples; without samples if its table does not exist yet."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        from psycopg2.errors import UndefinedTable

        is_counter = metric.name.endswith("_total")
        family = (CounterMetricFamily if is_counter else GaugeMetricFamily)(
            metric.name, metric.meaning, labels=metric.labels
        )
        with session.cursor() as cursor:
            try:
                cursor.execute(metric.query)
            except UndefinedTable:
                return family
            for *labels, value in cursor.fetchall():
                family.add_metric(labels, float(value))
        return family


class Metrics:
    """ASGI middleware that answers requests for PATH, and passes on all others."""

    def __init__(self, app: ASGIApp) -> None:
        # Every process of Airflow imports this file, but only the api-server needs the library.
        from prometheus_client import CollectorRegistry

        self.app = app
        login = f"{USER}:{os.environ['AIRFLOW_METRICS_PASSWORD']}"
        self.authorization = b"Basic " + base64.b64encode(login.encode())
        self.registry = CollectorRegistry()
        self.registry.register(Warehouse())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        # With TLS, Airflow is below /airflow. Caddy does not forward this page.
        if scope["type"] != "http" or scope["path"].removeprefix(scope["root_path"]) != PATH:
            await self.app(scope, receive, send)
            return
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        given = dict(scope["headers"]).get(b"authorization", b"")
        if secrets.compare_digest(given, self.authorization):
            text = await run_in_threadpool(generate_latest, self.registry)
            response = Response(text, media_type=CONTENT_TYPE_LATEST)
        else:
            response = Response(status_code=401, headers={"WWW-Authenticate": "Basic"})
        await response(scope, receive, send)


class MetricsPlugin(AirflowPlugin):
    """Register the middleware with Airflow."""

    name = "metrics"
    fastapi_root_middlewares = (
        [{"name": "metrics", "middleware": Metrics, "args": [], "kwargs": {}}]
        if os.environ.get("AIRFLOW_METRICS_PASSWORD")
        else []
    )
