"""The trigger form of transactions_elt. Airflow shows its fields, and refuses other values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import Param

# The dbt tests whose severity the form sets. The default of a field is the setting with the field's
# name in upper case. The dbt variable of a test is its field with the suffix `_severity`.
SEVERITIES = {
    "backdated_transactions": "Whether a value date before the transaction date fails the run.",
    "unreconciled_balances": "Whether statements whose balances do not add up fail the run.",
}


def trigger_form() -> dict[str, Param]:
    """Return the fields of the form. A daily run gets their defaults.

    airflow/service.env passes the defaults of four fields on from the settings.
    """
    fields = {
        "file": Param(
            None,
            title="File",
            description="A file name in the data folder. Empty: the files of all declared sources.",
            type=["null", "string"],
            # Accept a name but no path, so that nobody can load a file outside the data folder. The
            # look-ahead rejects a final newline, because `$` also matches before one.
            pattern=r"^([A-Za-z0-9_][A-Za-z0-9_ .()+-]*)?(?!\n)$",
            maxLength=200,
        ),
        "source": Param(
            None,
            title="Source",
            description="Load only files of this declared source. Empty: the files of all sources.",
            type=["null", "string"],
            # Suggestions only: Airflow reads this file again some time after a source was added.
            examples=declared_sources(),
            pattern=r"^([a-z0-9_]+)?(?!\n)$",
            maxLength=48,
        ),
        "duplicates": Param(
            os.environ["LOADER_DUPLICATES"],
            title="Duplicates",
            description="drop: store equal rows once. keep: store every equal row of a file.",
            type="string",
            enum=["drop", "keep"],
        ),
        "max_rejects": Param(
            int(os.environ["LOADER_MAX_REJECTS"]),
            title="Rejected lines allowed",
            description="A file with more rejected lines than this number is not loaded.",
            type="integer",
            minimum=0,
        ),
        "full_refresh": Param(
            False,
            title="Full refresh",
            description="Rebuild staging and marts from all raw rows instead of the new rows only.",
            type="boolean",
        ),
    }
    for name, description in SEVERITIES.items():
        fields[name] = Param(
            os.environ[name.upper()],
            title=name.replace("_", " ").capitalize(),
            description=description,
            type="string",
            enum=["error", "warn"],
        )
    return fields


def declared_sources() -> list[str]:
    """Return the names of the declared sources.

    A declaration without a name on a line of its own is left out. The loader, which reads the whole
    declaration, tells the mistake.
    """
    # In Docker, compose mounts this folder below /opt.
    project = Path(os.environ.get("ELT_HOME", Path(__file__).parents[3]))
    folder = project / "data_ingestion" / "sources"
    texts = [file.read_text(errors="replace") for file in sorted(folder.glob("[!.]*.y*ml"))]
    found = [re.search(r"^name: *([a-z0-9_]+) *$", text, re.MULTILINE) for text in texts]
    return [name[1] for name in found if name]


def severity_argument(params: Mapping[str, Any]) -> str:
    """Return the argument of dbt that sets the severity of tests for one run, or an empty text.

    dbt takes all variables in one argument. It parses the whole project again whenever they change,
    so the argument contains only those that differ from their default.
    """
    changed = [
        f"{name}_severity: {params[name]}"
        for name in SEVERITIES
        if params[name] != os.environ[name.upper()]
    ]
    return f"--vars={{{', '.join(changed)}}}" if changed else ""
