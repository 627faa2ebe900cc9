"""Bring Superset's metadata to this version, its roles up to date, and make the first login.

Safe to run again. One process instead of three commands of the CLI, each of which takes seconds
to import.

Environment: SUPERSET_DATABASE_URI, SUPERSET_SECRET_KEY, SUPERSET_ADMIN_USER,
SUPERSET_ADMIN_PASSWORD. Exit code: 0 done; 1 with the reason otherwise.
"""

from __future__ import annotations

import os
import sys

from flask_migrate import upgrade
from superset.app import create_app


def make_login(security_manager, username: str, password: str) -> None:
    """Create the administrator `username`, or bring its password up to date.

    Raises:
        RuntimeError: Flask-AppBuilder refused; it has logged why.
    """
    user = security_manager.find_user(username)
    if user:
        security_manager.reset_password(user.id, password)
        return
    admin = security_manager.find_role("Admin")
    mail = f"{username}@localhost"
    if not security_manager.add_user(username, "Superset", "Admin", mail, admin, password=password):
        raise RuntimeError(f"could not make the login {username!r}: see the messages above")


def main() -> int:
    """Migrate, bring roles up to date, make the login."""
    try:
        username = os.environ["SUPERSET_ADMIN_USER"]
        password = os.environ["SUPERSET_ADMIN_PASSWORD"]
    except KeyError as missing:
        print(f"{missing} is not set: see .env.example", file=sys.stderr)
        return 1
    app = create_app()
    with app.app_context():
        upgrade()
        app.appbuilder.add_permissions(update_perms=True)
        app.appbuilder.sm.sync_role_definitions()
        make_login(app.appbuilder.sm, username, password)
    return 0


if __name__ == "__main__":
    sys.exit(main())
