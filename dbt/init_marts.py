"""Build the models if the warehouse lacks one, so that the dashboard opens before the first load.

    python init_marts.py

An upgrade may add models, or columns to existing models. The script then rebuilds all models,
because an incremental run does not add a column to a table. If the warehouse has all models and
columns, the script changes nothing. The task `transform_data` of the DAG updates existing models.

Environment: the connection variables of profiles.yml.
Exit codes: 0 success, 1 no connection to the warehouse, otherwise the exit code of dbt.
"""

import os
import sys
from pathlib import Path

import psycopg2
import yaml

MODELS = Path(__file__).with_name("models")


def declared() -> set[tuple[str, str | None]]:
    """Return (model, column) for each declared column, and (model, None) for each model.

    The views of declared sources are left out. Any later run creates such a view, and a new source
    is no reason to rebuild the tables.
    """
    found: set[tuple[str, str | None]] = {
        (path.stem, None) for path in MODELS.rglob("*.sql") if path.parent.name != "sources"
    }
    for path in MODELS.rglob("*.yml"):
        for model in yaml.safe_load(path.read_text()).get("models") or []:
            found |= {(model["name"], column["name"]) for column in model.get("columns") or []}
    return found


def main() -> None:
    """Replace this process with `dbt run --full-refresh` if a model or a column is missing."""
    try:
        connection = psycopg2.connect("", connect_timeout=10)
    except psycopg2.OperationalError as error:
        reason = str(error).splitlines()[0]
        sys.exit(f"cannot connect to the warehouse: {reason} (check PGHOST, PGPORT and PGUSER)")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select relname, attname from pg_class"
            " left join pg_attribute on attrelid = pg_class.oid and attnum > 0"
            " where relnamespace in ('staging'::regnamespace, 'marts'::regnamespace)"
        )
        existing: set[tuple[str, str | None]] = set(cursor.fetchall())
    connection.close()
    existing |= {(relation, None) for relation, _ in existing}
    if not declared() <= existing:
        dbt = str(Path(sys.executable).with_name("dbt"))
        os.execv(dbt, [dbt, "run", "--quiet", "--full-refresh"])


if __name__ == "__main__":
    main()
