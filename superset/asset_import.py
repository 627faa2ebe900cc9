"""Import the files of `assets/` into Superset's metadata.

The import overwrites existing objects, adds missing ones, and deletes old charts that have no file.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from flask_appbuilder.security.sqla.models import User
    from marshmallow import Schema
    from sqlalchemy.ext.declarative import DeclarativeMeta
    from sqlalchemy.orm import Session

ASSETS = Path(__file__).resolve().parent / "assets"
# Each imported object stores the path of its file as `external_url`. A later import recognises its
# own charts by this prefix and may delete them.
MARK = "superset/assets/"

Config = dict[str, Any]  # the content of one file


class AssetError(Exception):
    """Signal that a file of `assets/` cannot be imported. The text is one line."""


def read_assets() -> dict[str, Config]:
    """Return the content of each file of `assets/`, by its path in that folder.

    Raises:
        AssetError: A file is not YAML, is not a mapping, or refers to an object that has no file.
    """
    files: dict[str, Config] = {}
    for path in sorted(ASSETS.rglob("*.yaml")):
        name = path.relative_to(ASSETS).as_posix()
        try:
            files[name] = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise AssetError(f"{MARK}{name}: {' '.join(str(error).split())}") from None
        if not isinstance(files[name], dict):
            raise AssetError(f"{MARK}{name}: not a mapping of names to values")
    check_references(files)
    return files


def check_references(files: dict[str, Config]) -> None:
    """Check that no two files share a uuid, and that referenced datasets and databases have files.

    Raises:
        AssetError: Two files share a uuid, or a referenced uuid has no file. The message names the
            file and the field.
    """
    owners: dict[str, str] = {}
    for name, config in files.items():
        uuid = config.get("uuid", name)
        if uuid in owners:
            raise AssetError(f"{MARK}{name}: uuid: {owners[uuid]} has the same uuid")
        owners[uuid] = name
    for name, config in files.items():
        for field in ("dataset_uuid", "database_uuid"):
            if field in config and config[field] not in owners:
                raise AssetError(f"{MARK}{name}: {field}: no file has the uuid {config[field]}")


def add_defaults(config: Config, schema: Schema, model: DeclarativeMeta) -> None:
    """Add the fields that a file omits, with their defaults.

    The import leaves omitted fields unchanged. A value that a user set in the UI would persist.
    """
    for name, field in schema.fields.items():
        column = model.__table__.columns.get(name)
        if column is None or name in config:
            continue
        if column.default is not None and column.default.is_scalar:
            config[name] = column.default.arg
        elif field.allow_none:
            config[name] = None


def import_assets(files: dict[str, Config], user: User) -> None:
    """Import the files as `user`, then delete old charts that have no file.

    Raises:
        AssetError: Superset rejects a file. The message names the file and the field.
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
            add_defaults(config, schemas[kind], models[kind])
            config["external_url"] = MARK + name
        for children, model in (("columns", TableColumn), ("metrics", SqlMetric)):
            for child in config.get(children) or []:
                add_defaults(child, schemas["datasets/"].fields[children].inner.schema, model)
    contents = {name: yaml.safe_dump(config) for name, config in files.items()}
    logging.disable()  # the exception below states the same errors in one line
    try:
        with override_user(user):
            ImportAssetsCommand(contents).run()
    except CommandException as error:
        cause = error.__cause__ or error
        if isinstance(cause, CommandInvalidError):
            raise AssetError(first_message(cause.normalized_messages())) from None
        raise AssetError(f"{MARK}: {type(cause).__name__}: {cause}") from None
    finally:
        logging.disable(logging.NOTSET)
    delete_old_charts(db.session, Slice, {config.get("uuid") for config in files.values()})


def first_message(messages: dict[str, Any]) -> str:
    """Return the first of marshmallow's nested messages as one line with file, field and error."""
    path: list[str] = []
    message: Any = messages
    while isinstance(message, dict):
        key, message = next(iter(message.items()))
        path.append(str(key))
    text = message[0] if isinstance(message, list) else message
    return f"{MARK}{': '.join(part for part in path if part != '_schema')}: {text}"


def delete_old_charts(session: Session, chart_model: Any, uuids: set[str | None]) -> None:
    """Delete the charts of an earlier import that have no file and are on no dashboard.

    Charts made in the UI stay: their `external_url` does not start with MARK. Datasets stay too,
    because charts made in the UI may use them.
    """
    for chart in session.query(chart_model).filter(chart_model.external_url.startswith(MARK)):
        if str(chart.uuid) not in uuids and not chart.dashboards:
            session.delete(chart)
    session.commit()
