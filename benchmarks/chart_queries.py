"""Write the SQL of each query of the dashboard as JSON, as Superset sends it to the warehouse.

    python chart_queries.py FILE        (with the environment of superset/ and that folder as
                                         PYTHONPATH)

The script imports `superset/assets` into the empty metadata database that the variables of
superset_config.py name, and asks Superset's own API for the SQL. It does not read the warehouse.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import init_superset
import sqlalchemy
from asset_import import Config, read_assets
from tests.api import query

USER = "benchmark"
FILTER_ROWS = 1000  # values that Superset's page requests for a filter


def charts(files: dict[str, Config]) -> Iterator[Config]:
    """Yield the charts, and the list of values of each filter as if it were a chart."""
    for name, config in files.items():
        if name.startswith("charts/"):
            yield config
        for native in config.get("metadata", {}).get("native_filter_configuration", []):
            for target in filter(None, native["targets"]):
                column = target["column"]["name"]
                yield {
                    "slice_name": f"Filter: {native['name']}",
                    "viz_type": native["filterType"],
                    "dataset_uuid": target["datasetUuid"],
                    "params": {
                        "groupby": [column],
                        "order_by_cols": [json.dumps([column, True])],
                        "row_limit": FILTER_ROWS,
                    },
                }


def sql(chart: Config) -> str:
    """Return the SQL of a chart.

    Raises:
        SystemExit: Superset cannot build it.
    """
    from superset.charts.schemas import ChartDataQueryContextSchema
    from superset.commands.chart.data.get_data_command import ChartDataCommand
    from superset.connectors.sqla.models import SqlaTable

    from superset import db

    dataset = db.session.query(SqlaTable).filter_by(uuid=chart["dataset_uuid"]).one()
    request = {
        "datasource": {"id": dataset.id, "type": "table"},
        "queries": [query(chart)],
        "form_data": {"viz_type": chart["viz_type"]},
        "result_type": "query",
    }
    (answer,) = ChartDataCommand(ChartDataQueryContextSchema().load(request)).run()["queries"]
    if "query" not in answer:
        sys.exit(f"{chart['slice_name']}: {answer['error']}")
    return answer["query"]


def main() -> None:
    """Prepare Superset and write {name of the chart: SQL}."""
    from superset.app import create_app
    from superset.utils.core import override_user

    app, files = create_app(), read_assets()
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)
    init_superset.prepare(app, files, USER, secrets.token_urlsafe())
    with app.app_context(), override_user(app.appbuilder.sm.find_user(USER)):
        statements = {chart["slice_name"]: sql(chart) for chart in charts(files)}
    Path(sys.argv[1]).write_text(json.dumps(statements, indent=2) + "\n")


if __name__ == "__main__":
    main()
