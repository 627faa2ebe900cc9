"""The command line: `data-ingestion load`, `inspect`, `dbt-view`, `init` and `sample`."""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from data_ingestion.arguments import character, count, encoding, table_name
from data_ingestion.errors import CommandError, InputError, printable
from data_ingestion.files import ChosenFile, choose_files, source_of

if TYPE_CHECKING:
    from data_ingestion.contracts import Contract
    from data_ingestion.model import Dialect, Options

TABLES_AT_ONCE = 2  # tables that are loaded side by side: a load alone can use two cores
DESCRIPTION = "Load CSV files, unchanged and without duplicates, into the schema raw of Postgres."
EPILOG = """\
The environment variables of libpq name the warehouse: PGHOST, PGPORT, PGUSER, PGPASSWORD and
PGDATABASE.

exit codes:
  0  success (a file that is already loaded is a success, too)
  1  a bug in data-ingestion: please report it with the output of --verbose
  2  bad input or usage: a retry cannot succeed
  3  the warehouse cannot be used: it stays unavailable after retries, or
     refuses the login or a statement
  4  `inspect` leaves questions open
  130, 143  stopped by Ctrl-C or SIGTERM: each file is loaded completely or not at all
"""
LOAD_DESCRIPTION = """\
Load files into the schema raw, each in one transaction with its row in raw._loads. A file goes to
the table of the source that it belongs to. Values stay exactly as they are in the file; only column
names are normalised. Rows that are identical in all columns are kept once, so a file can be loaded
again, and files may overlap.
"""
LOAD_EPILOG = """\
examples:
  data-ingestion load                                     the files of all sources
  data-ingestion load january.csv 'archive/2018-*.csv.gz'
  data-ingestion load customers.csv --table customers     any other CSV, with its own header
  data-ingestion load old.csv --delimiter ';' --encoding cp1252 --max-rejects 10

look at the result:
  select * from raw._loads order by started_at desc;
  select * from raw._rejects;
"""
INSPECT_DESCRIPTION = """\
Propose the declaration of a bank's statement, as YAML for the folder sources/. Comments above it
name the evidence, such as balances that add up. If the file leaves a question open, --answer
settles it.
"""
INSPECT_EPILOG = """\
answers:
  name, path, encoding           of the declaration
  account_number, currency       a constant: account_number=DE00120300000041771233
  date_order                     dmy, mdy or ymd
  decimal_mark                   . or ,
  indicator                      the values of withdrawals and deposits, such as D/C
  sign                           usual (a minus marks a withdrawal) or inverted
  transaction_date, value_date, amount, withdrawal, deposit, balance, reference
                                 a column, or none
  details                        one or more columns, separated by commas, or none

exit codes:
  0  the declaration is complete
  2  the file is no statement, or an answer does not fit it
  4  questions remain

examples:
  data-ingestion inspect umsaetze.csv > sources/umsaetze.yml
  data-ingestion inspect card.csv --answer sign=inverted --answer account_number=4177
"""


def run() -> NoReturn:
    """Run the command `data-ingestion`, and end the process with the exit code of `main`."""
    from data_ingestion.signals import exit_on_signals

    exit_on_signals()
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # The reader of a pipe is gone. Python would flush again at the end, fail and exit with 120.
        os._exit(code)
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, print an error as one line on stderr, and return the exit code."""
    options = _parser().parse_args(arguments)
    verbose = options.verbose or bool(os.environ.get("ELT_DEBUG"))
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO, force=True)
    try:
        return int(options.command(options))
    except CommandError as error:
        return _report(error)
    except Exception as error:
        if verbose:
            traceback.print_exc()
        text = printable(f"{type(error).__name__}: {error}".splitlines()[0])
        hint = "" if verbose else " (run it again with --verbose and report the output)"
        print(f"error: a bug in data-ingestion: {text}{hint}", file=sys.stderr)
        return 1


def _report(error: CommandError) -> int:
    """Print an error, and return its exit code."""
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code


def _load(options: argparse.Namespace) -> int:
    """Load every file, continue after a bad one, and return the worst exit code."""
    from data_ingestion.declarations import declared
    from data_ingestion.model import Options

    if options.delimiter and options.delimiter == (options.quotechar or '"'):
        raise InputError("--delimiter and --quotechar are the same character")
    # numpy loads OpenBLAS, which starts a thread per core and reserves memory for each. The loader
    # uses no linear algebra, and in a container with a limit on processes the threads may fail to
    # start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    table: str | None = options.table
    sources = [source for name, source in declared().items() if table in (None, name)]
    if not options.files and not sources:
        raise InputError(
            f"no source {table!r} is declared: correct the name, or name the files to load into it"
        )
    data_dir = options.data_dir or os.environ.get("DATA_DIR")
    files = choose_files(
        options.files,
        sources,
        data_dir=Path(data_dir) if data_dir else None,
        only_in_data_dir=options.in_data_dir,
    )
    if sources and len(declared()) > 1:
        # dbt reads the tables of all sources, even of those without a file.
        _create_tables(options)
    dialect_of = partial(_dialect, options)
    worst = 0
    by_table: dict[str, list[tuple[ChosenFile, Options]]] = {}
    for file in files:
        try:
            source = source_of(file, sources, dialect_of) if sources else None
        except InputError as error:
            worst = max(worst, _report(error))
            continue
        name = source.table if source else table or ""
        load_options = Options(
            table=name,
            dialect=dialect_of(source),
            duplicates=options.duplicates,
            max_rejects=options.max_rejects,
            dedup_memory=options.dedup_memory << 20,
            force=options.force,
        )
        by_table.setdefault(name, []).append((file, load_options))
    return max([worst, *_load_tables(by_table, options.wait)])


def _load_tables(
    by_table: "dict[str, list[tuple[ChosenFile, Options]]]", wait: float
) -> Iterator[int]:
    """Load the files of several tables side by side; yield the worst exit code of each table."""
    from data_ingestion.lineage import Lineage
    from data_ingestion.load import load_file
    from data_ingestion.postgres.connection import Warehouse
    from data_ingestion.postgres.load_log import GoneLoads
    from data_ingestion.progress import Progress

    progress, lineage = Progress(), Lineage()

    def load_table(name: str) -> int:
        worst, gone = 0, GoneLoads(name)
        with Warehouse(wait) as warehouse:
            for (path, folder), load_options in by_table[name]:
                try:
                    load_file(
                        path,
                        load_options,
                        warehouse,
                        folder=folder,
                        progress=progress,
                        gone=gone,
                        report=lineage.add,
                    )
                except InputError as error:
                    worst = max(worst, _report(error))
        return worst

    with lineage, ThreadPoolExecutor(TABLES_AT_ONCE) as threads:
        yield from threads.map(load_table, by_table)


def _dialect(options: argparse.Namespace, source: "Contract | None") -> "Dialect":
    """Return the dialect of a source, or the default one, with the changes of the options."""
    from data_ingestion.model import Dialect

    declared = source.dialect if source else Dialect()
    dialect = Dialect(
        options.delimiter or declared.delimiter,
        options.quotechar or declared.quotechar,
        options.encoding or declared.encoding,
        fixed=bool(options.delimiter),
    )
    if dialect.delimiter == dialect.quotechar:
        raise InputError(
            f"the delimiter and the quote character are both {dialect.delimiter!r}: set both "
            "--delimiter and --quotechar"
        )
    return dialect


def _create_tables(options: argparse.Namespace) -> list[str]:
    """Create the tables of all sources that do not exist, and return their names."""
    from data_ingestion.postgres.connection import Warehouse
    from data_ingestion.postgres.tables import create_tables

    with Warehouse(options.wait) as warehouse:
        return warehouse.run(create_tables)


def _init(options: argparse.Namespace) -> int:
    """Create the tables that `load` fills and dbt reads, so that either can run first."""
    created = _create_tables(options)
    print("\n".join(f"raw.{table}: created" for table in created) or "all tables exist")
    return 0


def _dbt_view(options: argparse.Namespace) -> int:
    """Write the dbt files of a declared source."""
    from data_ingestion.staging import staging_files

    for name, text in staging_files(options.declaration).items():
        (options.out / name).write_text(text)
        print(options.out / name)
    return 0


def _inspect(options: argparse.Namespace) -> int:
    """Print the proposed declaration of a statement; 4 means that questions remain."""
    from data_ingestion.inspection import inspect, parse_answers

    # Standard output is YAML, in which a message is a comment.
    logging.basicConfig(stream=sys.stdout, format="# %(message)s", level=logging.INFO, force=True)
    proposal = inspect(options.file, parse_answers(options.answer))
    print(proposal.text, end="")
    return 4 if proposal.is_open else 0


def _sample(options: argparse.Namespace) -> int:
    from data_ingestion.sample import write_sample

    truth = write_sample(options.rows, options.seed, options.out)
    print(
        f"{options.out}: {truth['rows']:,} rows, {truth['duplicates']:,} of them duplicates; "
        f"{truth['backdated']:,} backdated transactions"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "data-ingestion", description=DESCRIPTION, epilog=EPILOG, formatter_class=formatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    load = commands.add_parser(
        "load",
        help="load files into the warehouse",
        description=LOAD_DESCRIPTION,
        epilog=LOAD_EPILOG,
        formatter_class=formatter,
    )
    load.set_defaults(command=_load)
    _add_load_arguments(load)
    inspect = commands.add_parser(
        "inspect",
        help="propose the declaration of a statement",
        description=INSPECT_DESCRIPTION,
        epilog=INSPECT_EPILOG,
        formatter_class=formatter,
    )
    inspect.set_defaults(command=_inspect)
    inspect.add_argument("file", type=Path, metavar="FILE", help="a CSV, .csv.gz, .zip or .xlsx")
    inspect.add_argument(
        "--answer",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="settles a question; can be repeated",
    )
    init = commands.add_parser("init", help="create the tables that do not exist, without rows")
    init.set_defaults(command=_init)
    sample = commands.add_parser("sample", help="write sample data, and a file of facts about it")
    sample.set_defaults(command=_sample)
    sample.add_argument(
        "--rows", type=int, default=20_000, metavar="N", help="lines of data (default: 20,000)"
    )
    sample.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="S",
        help="the same seed gives the same file (default: 1)",
    )
    sample.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="FILE.csv; the facts are written to FILE.truth.json",
    )
    dbt_view = commands.add_parser(
        "dbt-view", help="write the dbt view of a declared source, and its properties"
    )
    dbt_view.set_defaults(command=_dbt_view)
    dbt_view.add_argument("declaration", type=Path, help="the YAML file of the source")
    dbt_view.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the folder of the two files"
    )
    for command in (load, init):
        command.add_argument(
            "--wait",
            type=float,
            default=30.0,
            metavar="SECONDS",
            help="how long to wait for an unavailable warehouse (default: 30)",
        )
    for command in (load, inspect, init, sample, dbt_view):
        command.add_argument("--verbose", action="store_true", help="print tracebacks")
    return parser


def _add_load_arguments(load: argparse.ArgumentParser) -> None:
    load.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="a CSV, .csv.gz, .zip with one CSV, or .xlsx (one sheet); globs are expanded",
    )
    load.add_argument(
        "--data-dir", metavar="DIR", help="the data folder (default: $DATA_DIR, or ./data)"
    )
    load.add_argument(
        "--in-data-dir",
        action="store_true",
        help="accept as FILE only the name of a file in the data folder",
    )
    load.add_argument(
        "--table",
        type=table_name,
        metavar="NAME",
        help="a source, or the table in the schema raw for any other CSV (default: the source that "
        "the file belongs to)",
    )
    load.add_argument(
        "--delimiter",
        type=character,
        metavar="C",
        help="separator (default: sep= line, or as declared, or ,)",
    )
    load.add_argument(
        "--quotechar",
        type=character,
        metavar="C",
        help='around fields (default: as declared, or ")',
    )
    load.add_argument(
        "--encoding", type=encoding, help="a Python codec (default: as declared, or utf-8)"
    )
    load.add_argument(
        "--duplicates",
        choices=("drop", "keep"),
        default="drop",
        help="drop: store equal rows once; keep: store every equal row of a file (default: drop)",
    )
    load.add_argument(
        "--max-rejects",
        type=count,
        default=0,
        metavar="N",
        help="the load fails if more than N lines are rejected (default: 0)",
    )
    load.add_argument(
        "--dedup-memory",
        type=count,
        default=256,
        metavar="MB",
        help="memory for finding duplicates, 16 bytes a row (keep: 20); beyond it the server finds "
        "the rest (default: 256)",
    )
    load.add_argument(
        "--force", action="store_true", help="read files even if they are already loaded"
    )
