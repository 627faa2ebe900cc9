"""Load CSV files, unchanged and without duplicates, into a Postgres warehouse.

A program can load a file as the command line does:

    from pathlib import Path
    from data_ingestion import Options, Warehouse, load_file

    with Warehouse() as warehouse:
        load = load_file(Path("january.csv"), Options(), warehouse)
    if load is None:
        print("already loaded")
    else:
        print(load.rows_loaded)
"""

from importlib import import_module
from typing import TYPE_CHECKING

# Where each public name is defined.
_MODULES = {
    "CommandError": "errors",
    "Dialect": "model",
    "InputError": "errors",
    "Load": "model",
    "Options": "model",
    "Reject": "model",
    "Warehouse": "postgres.connection",
    "WarehouseError": "errors",
    "load_file": "load",
    "write_sample": "sample",
}
__all__ = list(_MODULES)  # type checkers use the imports below instead

if TYPE_CHECKING:
    from data_ingestion.errors import CommandError as CommandError
    from data_ingestion.errors import InputError as InputError
    from data_ingestion.errors import WarehouseError as WarehouseError
    from data_ingestion.load import load_file as load_file
    from data_ingestion.model import Dialect as Dialect
    from data_ingestion.model import Load as Load
    from data_ingestion.model import Options as Options
    from data_ingestion.model import Reject as Reject
    from data_ingestion.postgres.connection import Warehouse as Warehouse
    from data_ingestion.sample import write_sample as write_sample


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `--help` does not import psycopg2."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
