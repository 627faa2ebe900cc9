"""How long the loader takes, as a ratio to `psql \\copy` of the same file in the same round.

    make benchmark-load ROWS="116201 1000000" ROUNDS=5

Runs in a warehouse of its own (`elt-local with-postgres`). `\\copy` reads the file into a table of
text columns, without a key, without looking for duplicates: the least that any loader does.
Everything else is the command line as people type it, the start of its process included.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LOADER = PROJECT / "data_ingestion" / ".venv" / "bin" / "data-ingestion"
COLUMNS = (
    "account_no", "date", "details", "chq_no", "value_date",
    "withdrawal", "deposit", "balance", "nothing",
)  # fmt: skip


def psql(*statements: str) -> None:
    """Run statements as the superuser."""
    options = [part for statement in statements for part in ("--command", statement)]
    quiet = os.environ | {"PGOPTIONS": "--client-min-messages=warning"}
    subprocess.run([os.environ["PSQL"], "--no-psqlrc", "--quiet", *options], env=quiet, check=True)


@dataclass
class Timing:
    """What one kind of work took: seconds of each round, the most memory in MB."""

    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0

    def run(self, command: list, environment: dict[str, str] | None = None) -> None:
        """Time one command; it has to succeed."""
        began = time.monotonic()
        process = subprocess.Popen(
            command, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{command} ended with {process.returncode}")
        self.seconds.append(time.monotonic() - began)
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # of ru_maxrss, in bytes or KB
        self.memory = max(self.memory, usage.ru_maxrss / unit)


def copy_command(file: Path) -> list[str]:
    """`\\copy` into an empty table of text."""
    psql(
        "drop table if exists public.copied",
        f"create table public.copied ({', '.join(f'{name} text' for name in COLUMNS)})",
    )
    copy = f"\\copy public.copied from '{file}' with (format csv, header)"
    return [os.environ["PSQL"], "--no-psqlrc", "--quiet", "--command", copy]


def measure(rows: int, rounds: int, folder: Path) -> dict[str, Timing]:
    """Each kind of work once a round, in turns, so that what disturbs one disturbs all."""
    file, half = folder / f"transactions_{rows}.csv", folder / "transactions_half.csv"
    sample = [LOADER, "sample", "--rows", str(rows), "--seed", "7", "--out", file]
    subprocess.run(sample, check=True, stdout=subprocess.DEVNULL)
    fresh = [LOADER, "sample", "--rows", "5000", "--seed", "8", "--out", half]
    subprocess.run(fresh, check=True, stdout=subprocess.DEVNULL)
    with file.open() as known, half.open("a") as mixed:
        next(known)
        mixed.writelines(next(known) for _ in range(5_000))
    loader = {"PGUSER": "loader", "PGPASSWORD": os.environ["LOADER_PASSWORD"]}
    names = ("\\copy", "first load", "the same file again", "10,000 rows, half known",
             "the same 10,000, empty table")  # fmt: skip
    timings = {name: Timing() for name in names}
    for number in range(1, rounds + 1):
        print(f"{rows:,} rows: round {number} of {rounds}", file=sys.stderr)
        psql("drop schema raw cascade", "create schema raw authorization loader", "checkpoint")
        timings["\\copy"].run(copy_command(file))
        timings["first load"].run([LOADER, "load", file], loader)
        timings["the same file again"].run([LOADER, "load", file], loader)
        timings["10,000 rows, half known"].run([LOADER, "load", half], loader)
        psql("drop schema raw cascade", "create schema raw authorization loader")
        timings["the same 10,000, empty table"].run([LOADER, "load", half], loader)
    return timings


def main() -> None:
    """Print a line per kind of work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[116_201, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if "PSQL" not in os.environ:
        sys.exit("there is no warehouse to load into: `make benchmark-load` brings one")
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            timings = measure(rows, options.rounds, Path(folder))
        base = timings["\\copy"].seconds
        print(f"\n{rows:,} rows, medians of {options.rounds} rounds")
        for name, timing in timings.items():
            ratios = [ours / theirs for ours, theirs in zip(timing.seconds, base, strict=True)]
            median = statistics.median(timing.seconds)
            ratio = statistics.median(ratios)
            print(f"  {name:<30}{median:8.2f} s   × {ratio:5.2f}   {timing.memory:6.0f} MB")


if __name__ == "__main__":
    main()
