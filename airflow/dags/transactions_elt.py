"""From the bank's files to tested tables: load, transform, test."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param, chain

from common.alerts import failure_notifiers, say_that_it_is_tried_again
from common.component import component_task

DOCS = """
### Transactions ELT

Loads the bank's statements into the warehouse, builds the tables that people read, tests them.

| task | runs | reads | writes |
|---|---|---|---|
| `parse_and_populate_csv` | the pandas loader | CSV files in the data folder | `raw.transactions` |
| `transform_data` | `dbt run` | `raw` | `staging.transactions`, `marts` |
| `test_transformed_data` | `dbt test` | `staging`, `marts` | `audit` |

**Trigger it** with ▶. Without a choice it loads every file of the data folder whose name matches
`transactions*`; a file that is known already costs nothing, so run it as often as you like:
rows that are there are never added again.

**When it is red**

* `parse_and_populate_csv`: the last line of its log says what is wrong with which file. Nothing
  of that file was kept. Bad input is not retried; a warehouse that is away is.
  Rejected lines are in `raw._rejects`, every load in `raw._loads`.
* `transform_data`: the log names the model and the error.
* `test_transformed_data`: the log names each failing test, the number of rows, and the table in
  `audit` that holds them. `value_date_greater_than_transaction_date` is **meant** to fail on data
  with backdated transactions: look at the rows. If they are to be tolerated, trigger with
  *Backdated transactions* = `warn`.
"""

with DAG(
    "transactions_elt",
    description="Bank transactions: CSV → raw → staging and marts, tested",
    doc_md=DOCS,
    # Every midnight from the next one on: a stack that was just started waits for its user.
    schedule=CronTriggerTimetable("0 0 * * *", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-engineering",
        # After 10 to 20 seconds, then 20 to 40, then 40 to 80: what was cut off goes on soon, and a
        # warehouse that is away for minutes is waited for.
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": failure_notifiers(),
        "on_retry_callback": say_that_it_is_tried_again,
    },
    params={
        "file": Param(
            None,
            title="File",
            description="Name of one file in the data folder. Empty: all that match transactions*.",
            type=["null", "string"],
            # A name, not a path: nothing outside the data folder can be asked for. ($ alone would
            # also be before a last newline.)
            pattern=r"^([A-Za-z0-9_][A-Za-z0-9_ .()+-]*)?(?!\n)$",
            maxLength=200,
        ),
        "full_refresh": Param(
            False,
            title="Full refresh",
            description="Build staging and marts anew from all of raw, not only from what is new.",
            type="boolean",
        ),
        "backdated_transactions": Param(
            "error",
            title="Backdated transactions",
            description="What a value date before the transaction date does to the test task.",
            type="string",
            enum=["error", "warn"],
        ),
    },
    tags=["elt", "transactions"],
):
    parse_and_populate_csv = component_task(
        "parse_and_populate_csv",
        component="data_ingestion",
        command=["data-ingestion", "load", "--in-data-dir", "--", "{{ params.file or '' }}"],
        connection="warehouse_loader",
        reads_files=True,
        hopeless=(1, 2),  # a bug, bad input; 3 is a warehouse that is away
        outlets=[Asset("raw.transactions")],
    )

    transform_data = component_task(
        "transform_data",
        component="dbt",
        command=["dbt", "run", "{{ '--full-refresh' if params.full_refresh else '' }}"],
        connection="warehouse_transformer",
        outlets=[Asset("staging.transactions")],
    )

    test_transformed_data = component_task(
        "test_transformed_data",
        component="dbt",
        command=[
            *("dbt", "test", "--exclude-resource-type", "unit_test"),
            # Only when it differs from dbt's default: another set of vars costs a full parse.
            "{{ '--vars=backdated_transactions_severity: warn' "
            "if params.backdated_transactions == 'warn' else '' }}",
        ],
        connection="warehouse_transformer",
        retries=0,  # the same data gives the same answer
    )

    chain(parse_and_populate_csv, transform_data, test_transformed_data)
