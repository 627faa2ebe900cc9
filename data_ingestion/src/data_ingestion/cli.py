"""The command line: `data-ingestion load`, `init` and `sample`."""

import argparse
import codecs
import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from data_ingestion.contract import normalise
from data_ingestion.errors import CommandError, InputError, printable
from data_ingestion.files import choose

MAX_TABLE_NAME = 48  # leaves room for the names of its indexes
DESCRIPTION = "Loads CSV files, untouched and without duplicates, into the schema raw of Postgres."
EPILOG = """\
The warehouse is where libpq's environment says: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE.

exit codes:
  0  done (files that were loaded before count as done)
  1  a bug of ours: please report it, with what --verbose prints
  2  bad input or usage: trying again gains nothing
  3  the warehouse cannot be used: not there after retries, or it refuses us
  130, 143  stopped by Ctrl-C or SIGTERM: a file is loaded whole or not at all
"""
LOAD_DESCRIPTION = """\
Loads files into raw.TABLE, each in one transaction with its row in raw._loads. Values stay the
text that stood in the file; only column names are normalised. A row that is identical in all
columns is kept once, so a file can be loaded again, and files may overlap.
"""
LOAD_EPILOG = """\
examples:
  data-ingestion load                                     all transactions* files in the data folder
  data-ingestion load january.csv 'archive/2018-*.csv.gz'
  data-ingestion load customers.csv --table customers     any other CSV, with its own header
  data-ingestion load old.csv --delimiter ';' --encoding cp1252 --max-rejects 10

look at what came of it:
  select * from raw._loads order by started_at desc;
  select * from raw._rejects;
"""


def run() -> NoReturn:
    """The command `data-ingestion`: ends the process with `main`'s exit code."""
    from data_ingestion.stopping import end_at_signals

    end_at_signals()
    code = main()
    with contextlib.suppress(OSError):  # nobody may be listening any more
        sys.stdout.flush()
        sys.stderr.flush()
    # All is closed and said: to take pandas apart first would be a tenth of a second for nothing.
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code and prints errors as one line on stderr."""
    options = _parser().parse_args(arguments)
    verbose = options.verbose or bool(os.environ.get("ELT_DEBUG"))
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO, force=True)
    try:
        return options.command(options)
    except CommandError as error:
        return _complain(error)
    except Exception as error:
        if verbose:
            traceback.print_exc()
        what = printable(f"{type(error).__name__}: {error}".splitlines()[0])
        hint = "" if verbose else " (run it again with --verbose and report what it prints)"
        print(f"error: a bug in data-ingestion: {what}{hint}", file=sys.stderr)
        return 1


def _complain(error: CommandError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code


def _load(options: argparse.Namespace) -> int:
    """Loads every file; a bad one does not stop the others. Returns the worst exit code."""
    from data_ingestion.audit import GoneLoads
    from data_ingestion.load import load_file
    from data_ingestion.model import Dialect, Options
    from data_ingestion.progress import Progress
    from data_ingestion.warehouse import Warehouse

    chosen = Options(
        table=options.table,
        dialect=Dialect(options.delimiter, options.quotechar, options.encoding),
        duplicates=options.duplicates,
        max_rejects=options.max_rejects,
        dedup_memory=options.dedup_memory << 20,
        force=options.force,
    )
    if options.delimiter == options.quotechar:
        raise InputError("--delimiter and --quotechar are the same character")
    warehouse, progress, gone = Warehouse(options.wait), Progress(), GoneLoads(options.table)
    worst = 0
    try:
        for path, inside in choose(options):
            try:
                load_file(path, replace(chosen, inside=inside), warehouse, progress, gone)
            except InputError as error:
                worst = max(worst, _complain(error))
    finally:
        warehouse.close()
    return worst


def _init(options: argparse.Namespace) -> int:
    """Makes the tables that `load` fills and dbt reads, so that both can come first."""
    from data_ingestion.tables import create_tables
    from data_ingestion.warehouse import Warehouse

    warehouse = Warehouse(options.wait)
    try:
        made = warehouse.run(create_tables)
    finally:
        warehouse.close()
    print("\n".join(f"raw.{table}: made" for table in made) or "all tables are there")
    return 0


def _sample(options: argparse.Namespace) -> int:
    from data_ingestion.sample import write_sample

    truth = write_sample(options.rows, options.seed, options.out)
    print(
        f"{options.out}: {truth['rows']:,} rows, {truth['duplicates']:,} of them duplicates; "
        f"{truth['backdated']:,} backdated transactions"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "data-ingestion", description=DESCRIPTION, epilog=EPILOG, formatter_class=shape
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    load = commands.add_parser(
        "load",
        help="load files into the warehouse",
        description=LOAD_DESCRIPTION,
        epilog=LOAD_EPILOG,
        formatter_class=shape,
    )
    load.set_defaults(command=_load)
    _add_load_arguments(load)
    init = commands.add_parser("init", help="make the tables, empty, where they are missing")
    init.set_defaults(command=_init)
    sample = commands.add_parser("sample", help="write sample data and the truth about it")
    sample.set_defaults(command=_sample)
    sample.add_argument("--rows", type=int, default=20_000, metavar="N", help="(20,000)")
    sample.add_argument("--seed", type=int, default=1, metavar="S", help="same seed, same file (1)")
    sample.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="FILE.csv; the truth goes to FILE.truth.json",
    )
    for command in (load, init):
        command.add_argument(
            "--wait",
            type=float,
            default=30.0,
            metavar="SECONDS",
            help="how long to wait for a warehouse that is away (30)",
        )
    for command in (load, init, sample):
        command.add_argument("--verbose", action="store_true", help="show tracebacks")
    return parser


def _add_load_arguments(load: argparse.ArgumentParser) -> None:
    load.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="CSV, plain or .gz, .zip with one CSV, .xlsx (its first sheet); globs are expanded",
    )
    load.add_argument("--data-dir", metavar="DIR", help="the data folder (DATA_DIR, ./data)")
    load.add_argument(
        "--in-data-dir",
        action="store_true",
        help="FILE is the name of a file in the data folder, and nothing else",
    )
    load.add_argument("--table", type=_table, default="transactions", help="in raw (transactions)")
    load.add_argument("--delimiter", type=_character, default=",", metavar="C", help="(,)")
    load.add_argument("--quotechar", type=_character, default='"', metavar="C", help='(")')
    load.add_argument("--encoding", type=_encoding, default="utf-8", help="(utf-8)")
    load.add_argument(
        "--duplicates",
        choices=("drop", "keep"),
        default="drop",
        help="drop: keep identical rows once; keep: keep each one of a file (drop)",
    )
    load.add_argument(
        "--max-rejects",
        type=_count,
        default=0,
        metavar="N",
        help="how many lines may not fit before the load fails (0)",
    )
    load.add_argument(
        "--dedup-memory",
        type=_count,
        default=256,
        metavar="MB",
        help="for finding duplicates, 16 bytes a row (keep: 20); beyond it the server helps (256)",
    )
    load.add_argument("--force", action="store_true", help="read files that are known, too")


def _table(text: str) -> str:
    if not text or normalise(text) != text or len(text) > MAX_TABLE_NAME:
        raise argparse.ArgumentTypeError(
            f"{printable(text)!r} is no table name: up to {MAX_TABLE_NAME} of a-z, 0-9 and _"
        )
    return text


def _character(text: str) -> str:
    text = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(text) != 1 or not text.isascii() or text in "\0\r\n":
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not one ASCII character")
    return text


def _encoding(text: str) -> str:
    try:
        codecs.getincrementaldecoder(text)("strict").decode(b"")
    except (LookupError, AttributeError, TypeError):
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is no known encoding") from None
    return text


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is no whole number of 0 or more")
    return int(text)


if __name__ == "__main__":
    run()
