"""Migrate Airflow's metadata database, create the administrator and the account of `elt`.

    python init_metadata.py [AIRFLOW ARGUMENTS ...]

The program is safe to run again: it applies the missing migrations and sets the password to the
configured one. It replaces several commands of Airflow's CLI, each of which takes seconds to import
Airflow.

If the arguments are an Airflow command, such as `api-server --port 8080`, the program then runs the
command in the same process. This saves another import of Airflow.

Environment: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, AIRFLOW_ADMIN_USER, AIRFLOW_ADMIN_PASSWORD.
Exit code: 0 on success, 1 with the reason on failure, or the exit code of the Airflow command.
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


def ensure_admin(username: str, password: str) -> None:
    """Create the administrator `username`, or update the administrator's password.

    This function writes the rows directly, because Flask-AppBuilder takes seconds to start. A new
    role "Admin" has no permissions yet. The api-server adds the permissions of the built-in roles
    whenever it starts.
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


def ensure_account_of_elt() -> None:
    """Create the user as whom the commands of `elt` call Airflow's API, such as `make trigger`.

    `elt` signs its own tokens with Airflow's key (stack/src/elt_stack/airflow_api.py). A token
    names its user by id, and `elt` cannot look one up. The database numbers its users from 1, so
    the id 0 is free. The user has no password, so nobody can log in as this user.
    """
    with create_session() as session:
        if session.get(User, 0) is None:
            role = session.scalar(select(Role).where(Role.name == "User")) or Role(name="User")
            session.add(
                User(
                    id=0,
                    username="elt-commands",
                    first_name="The command",
                    last_name="elt",
                    email="elt-commands@elt.invalid",
                    active=True,
                    roles=[role],
                )
            )


def main() -> int:
    """Migrate, create the users, then run the Airflow command of the arguments, if any."""
    try:
        # Keep the login out of the environment of the Airflow command, which does not need it.
        username = os.environ.pop("AIRFLOW_ADMIN_USER")
        password = os.environ.pop("AIRFLOW_ADMIN_PASSWORD")
    except KeyError as missing:
        print(f"{missing} is not set: see .env.example", file=sys.stderr)
        return 1
    db.upgradedb()
    ensure_account_of_elt()
    ensure_admin(username, password)
    if len(sys.argv) > 1:
        airflow()  # type: ignore[no-untyped-call]
    return 0


if __name__ == "__main__":
    sys.exit(main())
