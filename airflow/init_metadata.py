"""Bring Airflow's metadata database to this version and make the first login.

Safe to run again: it migrates what is behind, and sets the password to the one configured.
One process instead of four commands of the CLI, because each of those takes seconds to import.

    python init_metadata.py [AIRFLOW COMMAND ...]

With a command of Airflow's (`api-server --port 8080`) it becomes that afterwards, in the same
process: what was imported for the migration need not be imported again.

Environment: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, AIRFLOW_ADMIN_USER, AIRFLOW_ADMIN_PASSWORD.
Exit code: 0 done; 1 with the reason otherwise; the command's own.
"""

from __future__ import annotations

import os
import sys

from airflow.__main__ import main as airflow
from airflow.providers.fab.auth_manager.models import Role, User
from airflow.utils import db
from airflow.utils.session import create_session
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash


def make_login(username: str, password: str) -> None:
    """Create the administrator `username`, or bring its password up to date.

    Written as rows, without Flask-AppBuilder, whose start costs seconds. The role may be empty at
    first: the api-server brings the permissions of the built-in roles up to date when it starts.
    """
    with create_session() as session:
        user = session.scalar(select(User).where(User.username == username))
        if user is None:
            admin = session.scalar(select(Role).where(Role.name == "Admin")) or Role(name="Admin")
            user = User(
                username=username,
                first_name="Airflow",
                last_name="Admin",
                email=f"{username}@localhost",
                active=True,
                roles=[admin],
            )
            session.add(user)
        if not (user.password and check_password_hash(user.password, password)):
            user.password = generate_password_hash(password)


def main() -> int:
    """Migrate, make the login, then become the command, if there is one."""
    try:
        # Taken out: what comes after has no use for them.
        username = os.environ.pop("AIRFLOW_ADMIN_USER")
        password = os.environ.pop("AIRFLOW_ADMIN_PASSWORD")
    except KeyError as missing:
        print(f"{missing} is not set: see .env.example", file=sys.stderr)
        return 1
    db.upgradedb()
    make_login(username, password)
    if len(sys.argv) > 1:
        airflow()
    return 0


if __name__ == "__main__":
    sys.exit(main())
