"""Build the models where one of them is missing, so that the dashboard opens before any load.

    python init_marts.py

A warehouse that has them all is left alone: what changes them is `dbt run`, in the DAG.

Environment: as for dbt (see profiles.yml). Exit code: 0 done; 1 no warehouse; dbt's own otherwise.
"""

import os
import sys
from pathlib import Path

import psycopg2

MODELS = Path(__file__).with_name("models")


def main() -> None:
    """Become `dbt run`, or end."""
    names = [path.stem for path in MODELS.rglob("*.sql")]
    try:
        connection = psycopg2.connect("", connect_timeout=10)
    except psycopg2.OperationalError as error:
        sys.exit(f"the warehouse cannot be reached: {error}")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_class where relname = any(%s)"
            " and relnamespace in ('staging'::regnamespace, 'marts'::regnamespace)",
            (names,),
        )
        built = cursor.fetchone()[0]
    connection.close()
    if built < len(names):
        dbt = str(Path(sys.executable).with_name("dbt"))
        os.execv(dbt, [dbt, "run", "--quiet"])


if __name__ == "__main__":
    main()
