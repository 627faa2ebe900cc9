"""Prepare Superset: migrate its metadata, sync its roles, create the administrator, import assets.

    python init_superset.py                        prepare
    python init_superset.py gunicorn --bind …      prepare, then serve in the same process

The program is safe to run again: each start restores the objects of `assets/`. One process does
everything, because each of Superset's own commands takes seconds to import Superset.

Environment: the variables of superset_config.py, SUPERSET_ADMIN_USER and SUPERSET_ADMIN_PASSWORD.
Exit code: 0 on success, 1 on failure with the reason in the last line.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from argparse import ArgumentParser, Namespace
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy
from asset_import import AssetError, Config, import_assets, read_assets

if TYPE_CHECKING:
    from flask_appbuilder.security.sqla.models import User
    from superset.app import SupersetApp
    from superset.security.manager import SupersetSecurityManager

# Superset 6.1 uses numpy.product, which numpy 2 removed, and Python 3.13 needs numpy 2. Restore the
# name before any import of Superset. superset_config.py would be too late: superset.config imports
# the code that uses the name first.
vars(np).setdefault("product", np.prod)


class InitError(Exception):
    """Signal that Superset cannot start. The text is one line."""


def ensure_admin(security: SupersetSecurityManager, username: str, password: str) -> User:
    """Create the administrator `username`, or update the administrator's password.

    Raises:
        InitError: Superset did not create the user.
    """
    user = security.find_user(username)
    if user:
        security.reset_password(user.id, password)
        return user
    admin = security.find_role("Admin")
    mail = f"{username}@localhost"
    user = security.add_user(username, "Superset", "Admin", mail, admin, password=password)
    if not user:
        raise InitError(f"cannot create the user {username!r}: the log lines above give the reason")
    return user


def setting(name: str) -> str:
    """Return a required environment variable.

    Raises:
        InitError: The variable is not set.
    """
    if not os.environ.get(name):
        raise InitError(f"{name} is not set: see .env.example")
    return os.environ[name]


def prepare(app: SupersetApp, files: dict[str, Config], username: str, password: str) -> None:
    """Bring the metadata database up to date.

    Raises:
        InitError: The administrator cannot be created.
        AssetError: A file of `assets/` cannot be imported.
    """
    from flask_migrate import upgrade

    security = app.appbuilder.sm
    with app.app_context():
        with redirect_stdout(io.StringIO()):  # hide the progress messages of the migrations
            upgrade()
        app.sync_config_to_db()  # `create_app` skips this while the database is empty
        app.appbuilder.add_permissions(update_perms=True)
        security.sync_role_definitions()
        import_assets(files, ensure_admin(security, username, password))
        if os.environ.get("OIDC_ISSUER"):
            from superset.daos.dataset import DatasetDAO

            uuids = [
                config["uuid"] for name, config in files.items() if name.startswith("datasets/")
            ]
            found = DatasetDAO.find_by_ids(uuids, id_column="uuid", skip_base_filter=True)
            security.ensure_viewer_role(found)


def serve(app: SupersetApp) -> None:
    """Run gunicorn with the prepared application. This function does not return."""
    from gunicorn.app.wsgiapp import WSGIApplication

    from superset import db

    class Server(WSGIApplication):
        def init(self, _parser: ArgumentParser, options: Namespace, _arguments: list[str]) -> None:
            options.config = options.config or str(Path(__file__).with_name("gunicorn.conf.py"))
            self.app_uri = "superset"

        def load(self) -> SupersetApp:
            return app

    with app.app_context():
        db.session.remove()
        db.engine.dispose()  # the forked worker must not share a connection with this process
    del sys.argv[0]  # gunicorn expects its own name first, as on its command line
    Server().run()


def check_metadata() -> None:
    """Check that the metadata database answers.

    Without this check, Superset would report an unreachable database with a long traceback.

    Raises:
        InitError: The database does not answer, or it refuses the login.
    """
    engine = sqlalchemy.create_engine(setting("SUPERSET_DATABASE_URI"))
    try:
        engine.connect().close()
    except sqlalchemy.exc.OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise InitError(f"the metadata database cannot be used: {reason}") from None
    engine.dispose()


def main() -> int:
    """Prepare Superset, then serve it if the first argument is `gunicorn`. Return the exit code."""
    try:
        login = setting("SUPERSET_ADMIN_USER"), setting("SUPERSET_ADMIN_PASSWORD")
        del os.environ["SUPERSET_ADMIN_PASSWORD"]  # the server does not need it
        files = read_assets()
        check_metadata()
        from superset.app import create_app

        app = create_app()
        # Hide the log lines and warnings of the migrations, which do not help the user.
        logging.getLogger("alembic").setLevel(logging.ERROR)
        warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)
        prepare(app, files, *login)
    except (InitError, AssetError) as error:
        print(f"init_superset: {error}", file=sys.stderr)
        return 1
    if sys.argv[1:2] == ["gunicorn"]:
        serve(app)
    return 0


if __name__ == "__main__":
    sys.exit(main())
