"""The DAG that loads the bank's files, transforms the rows and tests the result."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, chain

from common.alerts import alert_callbacks, log_retry
from common.assets import DASHBOARD, FILES, MARTS, RAW, STAGING
from common.component import component_task
from common.schedule import schedule
from common.trigger_form import severity_argument, trigger_form

DOCS = """
### Transactions ELT

Loads the bank's files into the warehouse, builds staging and marts, and tests the result.

| task | runs | reads | writes |
|---|---|---|---|
| `parse_and_populate_csv` | the pandas loader | the data folder | `raw`: a table per source |
| `transform_data` | `dbt build` of seeds and models | `raw` | `staging`, `marts` |
| `test_transformed_data` | `dbt test` | `raw._loads`, `staging`, `marts` | `audit` |

**Trigger it** with ▶. By default a run loads every file in the data folder whose name matches a
declared source, such as `transactions*`. It skips files that are already loaded and never adds a
row twice, so another run is safe and cheap. A daily run uses the default values of the form;
`LOADER_DUPLICATES` and `LOADER_MAX_REJECTS` in `.env` set two of them.

**When a task fails**

* `parse_and_populate_csv`: the last line of the log names the file and the error. No row of that
  file was loaded. Airflow retries the task if the warehouse is unreachable, not after bad input.
  The table `raw._rejects` holds the rejected lines. The table `raw._loads` is the log of all loads.
  To load a file without its rejected lines, such as totals and footnotes, trigger the DAG with
  their number in *Rejected lines allowed*.
* `transform_data`: the log names the model and the error.
* `test_transformed_data`: the log names each failing test, the number of failing rows, and the
  table in `audit` that holds them. The failures of two tests need a decision:
    * `value_date_greater_than_transaction_date` fails on backdated transactions. Look at the rows.
      To accept them, trigger the DAG with *Backdated transactions* = `warn`.
    * `balances_reconcile` fails if the running balances of an account do not add up: a row is
      missing, doubled, misread or no transaction. The section *Do the statements add up?* of the
      dashboard names the file and the line of each break, and the remedy. To accept a break, add it
      with a reason to `dbt/seeds/accepted_balance_breaks.csv`. To accept all breaks in one run,
      trigger the DAG with *Unreconciled balances* = `warn`.
"""

with DAG(
    "transactions_elt",
    description="Bank transactions: CSV → raw → staging and marts, tested",
    doc_md=DOCS,
    schedule=schedule(),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-engineering",
        # The pauses between the tries last 10 to 20 s, 20 to 40 s, 40 to 80 s and so on. An
        # interrupted task resumes soon, and three retries span an outage of at least 70 s.
        "retries": int(os.environ["TASK_RETRIES"]),
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(hours=2),
        "on_retry_callback": log_retry,
        **alert_callbacks(),
    },
    params=trigger_form(),
    user_defined_macros={"severity_argument": severity_argument},
    tags=["elt", "transactions"],
):
    parse_and_populate_csv = component_task(
        "parse_and_populate_csv",
        component="data_ingestion",
        arguments=[
            *("load", "--in-data-dir", "--duplicates", "{{ params.duplicates }}"),
            *("--max-rejects", "{{ params.max_rejects | int }}"),
            "{{ '--table=' ~ params.source if params.source else '' }}",
            *("--", "{{ params.file or '' }}"),
        ],
        connection="warehouse_loader",
        reads_files=True,
        fatal_exit_codes=(1, 2),  # 1: a bug, 2: bad input (3: the warehouse is unreachable)
        inlets=[FILES],
        outlets=[RAW],
    )

    transform_data = component_task(
        "transform_data",
        component="dbt",
        arguments=[
            *("build", "--resource-type", "seed", "--resource-type", "model"),
            "{{ '--full-refresh' if params.full_refresh else '' }}",
        ],
        connection="warehouse_transformer",
        inlets=[RAW, STAGING],  # the marts are built from staging
        outlets=[STAGING, MARTS],
    )

    test_transformed_data = component_task(
        "test_transformed_data",
        component="dbt",
        arguments=[
            *("test", "--exclude-resource-type", "unit_test"),
            "{{ severity_argument(params) }}",
        ],
        connection="warehouse_transformer",
        retries=0,  # a retry on the same data gives the same result
        inlets=[STAGING, MARTS],
        outlets=[DASHBOARD],
    )

    chain(parse_and_populate_csv, transform_data, test_transformed_data)
