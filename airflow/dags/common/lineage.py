"""Where a component's program sends its lineage."""

import os

from airflow.sdk import Context

SETTINGS = ("OPENLINEAGE_URL", "OPENLINEAGE_API_KEY", "OPENLINEAGE_NAMESPACE")


def lineage_environment(context: Context) -> dict[str, str]:
    """Return the settings of lineage, and the task as the parent of the program's run.

    They are empty while lineage is off.
    """
    if not os.environ.get("OPENLINEAGE_URL"):
        return {}
    # This import takes a while, so a stack without lineage must not make it.
    from airflow.providers.openlineage.plugins import macros

    task = context["ti"]
    return {name: os.environ[name] for name in SETTINGS if os.environ.get(name)} | {
        "OPENLINEAGE_PARENT_ID": macros.lineage_parent_id(task),
        "OPENLINEAGE_ROOT_PARENT_ID": macros.lineage_root_parent_id(task),
    }
