"""Build the models if the warehouse lacks one, so that the dashboard opens before the first load.

    python init_marts.py

If the warehouse has all models, the script changes nothing. The task `transform_data` of the DAG
updates existing models.

Environment: the connection variables of profiles.yml.
Exit codes: 0 success, 1 no connection to the warehouse, otherwise the exit code of dbt.
"""

import os
import sys
from pathlib import Path

import psycopg2

MODELS = Path(__file__).with_name("models")


def main() -> None:
    """Replace this process with `dbt run --full-refresh` if the warehouse lacks a model."""
    models = {path.stem for path in MODELS.rglob("*.sql")}
    try:
        connection = psycopg2.connect("", connect_timeout=10)
    except psycopg2.OperationalError as error:
        reason = str(error).splitlines()[0]
        sys.exit(f"cannot connect to the warehouse: {reason} (check PGHOST, PGPORT and PGUSER)")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select relname from pg_class"
            " where relnamespace in ('staging'::regnamespace, 'marts'::regnamespace)"
        )
        relations = {name for (name,) in cursor.fetchall()}
    connection.close()
    if not models <= relations:
        dbt = str(Path(sys.executable).with_name("dbt"))
        # After an upgrade, older tables may lack columns of the new models.
        os.execv(dbt, [dbt, "run", "--quiet", "--full-refresh"])


if __name__ == "__main__":
    main()
