"""Write an export of all objects of Superset, a zip archive, to standard output.

    python export_assets.py USER

The command reads the objects as this user, without a login: whoever can start it has Superset's
database. `make dashboard-export` calls it.

Environment: the variables of superset_config.py.
Exit code: 0 on success; 1 if there is no such user, with one line on standard error.
"""

from __future__ import annotations

import contextlib
import sys
from zipfile import ZipFile

import init_superset  # noqa: F401 - mends numpy for Superset


def export(username: str) -> None:
    """Write the archive. Superset's own messages go to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        from superset.app import create_app

        app = create_app()
    with app.app_context():
        from superset.commands.export.assets import ExportAssetsCommand
        from superset.utils.core import override_user

        user = app.appbuilder.sm.find_user(username)
        if user is None:
            sys.exit(f"Superset has no user {username!r}")
        with override_user(user), ZipFile(sys.stdout.buffer, "w") as archive:
            for name, content in ExportAssetsCommand().run():
                archive.writestr(f"assets/{name}", content())


if __name__ == "__main__":
    export(*sys.argv[1:])
