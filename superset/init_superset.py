"""Make Superset ready: its metadata, its roles, the first login, and the dashboard of `assets/`.

    python init_superset.py                        do it, and end
    python init_superset.py gunicorn --bind …      do it, then be the server

Safe to run again: what git says becomes true at each start. One process does it all, because each
of Superset's own commands takes seconds to import what it needs.

Environment: as superset_config.py says, and SUPERSET_ADMIN_USER, SUPERSET_ADMIN_PASSWORD.
Exit code: 0 done; 1 with the reason in the last line.
"""

from __future__ import annotations

import functools
import gc
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import sqlalchemy
import yaml

HERE = Path(__file__).resolve().parent
ASSETS = HERE / "assets"
# Written into what is imported (as `external_url`), so that it is known again when git drops it.
MARK = "superset/assets/"


class InitError(Exception):
    """What keeps Superset from starting; its text is one line."""


@contextmanager
def one_transaction(security_manager) -> Iterator[None]:
    """Write at once what Flask-AppBuilder would commit row by row, and read a role once.

    It does both hundreds of times, which takes longer than all that it writes.
    """
    session = security_manager.session()
    session.commit = session.flush
    security_manager.find_role = functools.cache(security_manager.find_role)
    try:
        yield
    finally:
        del session.commit, security_manager.find_role
    session.commit()


def make_login(security_manager, username: str, password: str):
    """Create the administrator `username`, or bring its password up to date."""
    user = security_manager.find_user(username)
    if user:
        security_manager.reset_password(user.id, password)
        return user
    admin = security_manager.find_role("Admin")
    mail = f"{username}@localhost"
    user = security_manager.add_user(username, "Superset", "Admin", mail, admin, password=password)
    if not user:
        raise InitError(f"could not make the login {username!r}: see the messages above")
    return user


def read_assets() -> dict[str, dict]:
    """The files of `assets/`, by their names."""
    files = {}
    for path in sorted(ASSETS.rglob("*.yaml")):
        name = path.relative_to(ASSETS).as_posix()
        try:
            files[name] = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise InitError(f"{MARK}{name}: {' '.join(str(error).split())}") from None
        if not isinstance(files[name], dict):
            raise InitError(f"{MARK}{name}: is no mapping of names to values")
    return files


def check_references(files: dict[str, dict]) -> None:
    """See that each file is one object, and that what it refers to is there.

    Raises:
        InitError: it is not; the message names the file and the field.
    """
    owners: dict[str, str] = {}
    for name, config in files.items():
        uuid = config.get("uuid", name)
        if uuid in owners:
            raise InitError(f"{MARK}{name}: uuid: {owners[uuid]} has the same one")
        owners[uuid] = name
    for name, config in files.items():
        for field in ("dataset_uuid", "database_uuid"):
            if field in config and config[field] not in owners:
                raise InitError(f"{MARK}{name}: {field}: no file has the uuid {config[field]}")


def complete(config: dict, schema, model) -> None:
    """Name what a file leaves out, with its default.

    The import leaves such fields as they are: what was changed by hand there would outlive it.
    """
    for name, field in schema.fields.items():
        column = model.__table__.columns.get(name)
        if column is None or name in config:
            continue
        if column.default is not None and column.default.is_scalar:
            config[name] = column.default.arg
        elif field.allow_none:
            config[name] = None


def import_assets(files: dict[str, dict], user) -> None:
    """Make true what git says: overwrite what is there, add what is missing.

    Raises:
        InitError: a file is not as it should be; the message names it and the field.
    """
    from superset.commands.exceptions import CommandException, CommandInvalidError
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.connectors.sqla.models import SqlaTable, SqlMetric, TableColumn
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice
    from superset.utils.core import override_user

    from superset import db

    schemas = ImportAssetsCommand.schemas
    models = {
        "charts/": Slice,
        "dashboards/": Dashboard,
        "databases/": Database,
        "datasets/": SqlaTable,
    }
    for name, config in files.items():
        kind = name.split("/")[0] + "/"
        if kind in models:
            complete(config, schemas[kind], models[kind])
            config["external_url"] = MARK + name
        for children, model in (("columns", TableColumn), ("metrics", SqlMetric)):
            for child in config.get(children) or []:
                complete(child, schemas["datasets/"].fields[children].inner.schema, model)
    contents = {name: yaml.safe_dump(config) for name, config in files.items()}
    logging.disable()  # what it has to say comes as an exception, and in one line
    try:
        with override_user(user):
            ImportAssetsCommand(contents).run()
    except CommandException as error:
        cause = error.__cause__ or error
        if isinstance(cause, CommandInvalidError):
            raise InitError(first_message(cause.normalized_messages())) from None
        raise InitError(f"{MARK}: {type(cause).__name__}: {cause}") from None
    finally:
        logging.disable(logging.NOTSET)
    remove_leftovers(db.session, Slice, {config.get("uuid") for config in files.values()})


def first_message(messages: dict) -> str:
    """One line of marshmallow's messages: file, field, what is wrong."""
    path = []
    while isinstance(messages, dict):
        key, messages = next(iter(messages.items()))
        path.append(str(key))
    text = messages[0] if isinstance(messages, list) else messages
    return f"{MARK}{': '.join(part for part in path if part != '_schema')}: {text}"


def remove_leftovers(session, chart_model, uuids: set[str]) -> None:
    """Delete the charts that an earlier import made, that git has no more and no dashboard shows.

    What someone made in the UI carries no mark and stays; so does a dataset, which may carry it.
    """
    for chart in session.query(chart_model).filter(chart_model.external_url.startswith(MARK)):
        if str(chart.uuid) not in uuids and not chart.dashboards:
            session.delete(chart)
    session.commit()


def setting(name: str) -> str:
    """A setting that must be there."""
    if not os.environ.get(name):
        raise InitError(f"{name} is not set: see .env.example")
    return os.environ[name]


def prepare(app, files: dict[str, dict], username: str, password: str) -> None:
    """All that has to be true before the first page is asked for.

    Raises:
        InitError: with the reason.
    """
    from flask_migrate import upgrade

    security = app.appbuilder.sm
    with app.app_context():
        with redirect_stdout(io.StringIO()):  # the migrations' own chatter
            upgrade()
        app.sync_config_to_db()  # was skipped if there was no metadata yet
        with one_transaction(security):
            app.appbuilder.add_permissions(update_perms=True)
            security.sync_role_definitions()
        import_assets(files, make_login(security, username, password))


def serve(app) -> None:
    """Become gunicorn, with the application that is there already. Does not return."""
    from gunicorn.app.wsgiapp import WSGIApplication

    from superset import db

    class Server(WSGIApplication):
        def init(self, _parser, options, _arguments):
            options.config = options.config or str(HERE / "gunicorn.conf.py")
            self.app_uri = "superset"

        def load(self):
            return app

    with app.app_context():
        db.session.remove()
        db.engine.dispose()  # a connection must not be shared with the worker
    gc.collect()
    gc.freeze()  # the worker shares this memory as long as nobody writes to it
    gc.enable()
    del sys.argv[0]
    Server().run()


def check_metadata() -> None:
    """See that the metadata database answers: Superset would say it in a hundred lines.

    Raises:
        InitError: it does not.
    """
    engine = sqlalchemy.create_engine(setting("SUPERSET_DATABASE_URI"))
    try:
        engine.connect().close()
    except sqlalchemy.exc.OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise InitError(f"the metadata database cannot be used: {reason}") from None
    engine.dispose()


def main() -> int:
    """Prepare; then serve, if that is asked for."""
    try:
        login = setting("SUPERSET_ADMIN_USER"), setting("SUPERSET_ADMIN_PASSWORD")
        del os.environ["SUPERSET_ADMIN_PASSWORD"]  # the server has no need of it
        files = read_assets()
        check_references(files)
        check_metadata()
        # Thousands of objects are made and kept: the garbage collector would find nothing.
        gc.disable()
        from superset.app import create_app

        app = create_app()
        # What Superset's own migrations say of themselves is of no use to who runs them.
        logging.getLogger("alembic").setLevel(logging.ERROR)
        warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)
        prepare(app, files, *login)
    except InitError as error:
        print(f"init_superset: {error}", file=sys.stderr)
        return 1
    if sys.argv[1:2] == ["gunicorn"]:
        serve(app)
    return 0


if __name__ == "__main__":
    sys.exit(main())
