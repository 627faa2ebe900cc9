"""Bring Airflow's metadata database to this version and make the first login.

Safe to run again: it migrates what is behind, and sets the password to the one configured.
One process instead of four commands of the CLI, because each of those takes seconds to import.

    python init_metadata.py

Environment: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, AIRFLOW_ADMIN_USER, AIRFLOW_ADMIN_PASSWORD.
Exit code: 0 done; 1 with the reason otherwise.
"""

from __future__ import annotations

import os
import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils import db


def make_login(username: str, password: str) -> None:
    """Create the administrator `username`, or bring its password up to date.

    Raises:
        RuntimeError: Flask-AppBuilder refused; it has logged why.
    """
    with get_application_builder() as appbuilder:
        security = appbuilder.sm
        user = security.find_user(username)
        if user:
            done = security.reset_password(user.id, password)
        else:
            admin = security.find_role("Admin")
            done = security.add_user(
                username, "Airflow", "Admin", f"{username}@localhost", admin, password
            )
    if not done:
        raise RuntimeError(f"could not make the login {username!r}: see the messages above")


def main() -> int:
    """Migrate, then make the login."""
    try:
        username, password = os.environ["AIRFLOW_ADMIN_USER"], os.environ["AIRFLOW_ADMIN_PASSWORD"]
    except KeyError as missing:
        print(f"{missing} is not set: see .env.example", file=sys.stderr)
        return 1
    db.upgradedb()
    make_login(username, password)
    return 0


if __name__ == "__main__":
    sys.exit(main())
