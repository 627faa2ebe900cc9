r"""Measure the loader and its peers, the growth with size, dbt, the dashboard and the DAG.

    make bench            116,201 and 1 M rows; a quarter of an hour
    make bench-full       the same and 10 M rows, and growth up to 20 M; an hour

The benchmark runs in a throwaway warehouse (`elt with-postgres`). Each round runs every step once,
in another order than the round before, so that other load on the machine affects all steps alike.
The ratio of a step is its time divided by the time of `\copy` in the same round. The report shows
the median ratio of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import machine
import report
import steps
import warehouse
from measure import Cost, TooSlowError, run

STACK = steps.PROJECT / "stack" / ".venv" / "bin"
WARM_UP_ROWS = 10_000
# We tune the code with data of one seed and publish figures with data of another.
TUNING_SEED, REPORT_SEED = 7, 11
LOADER_LIMIT = 3600  # seconds after which a run of the loader counts as failed


class Bench:
    """The measurements of all sizes.

    Args:
        seed: Seed of the data.
        limit: Seconds that a peer may take. A peer is left out if its time for fewer rows lets
            us expect more.
    """

    def __init__(self, seed: int, limit: float) -> None:
        self.seed, self.limit = seed, limit
        self.server = warehouse.server_pid()
        self.left_out: dict[int, dict[str, str]] = defaultdict(dict)
        self.costs: dict[int, dict[str, list[Cost]]] = {}

    def measure(self, rows: int, rounds: int, with_peers: bool) -> None:
        """Measure one size. Sizes must ascend, because smaller sizes give the estimates."""
        whole = steps.sample(rows, self.seed)
        groups = steps.step_groups(whole, self.seed, with_peers)
        costs: dict[str, list[Cost]] = defaultdict(list)
        for number in range(rounds):
            print(f"{rows:,} rows: round {number + 1} of {rounds}", file=sys.stderr)
            turn = number % len(groups)
            for group in groups[turn:] + groups[:turn]:
                self._run_group(group, rows, costs)
        self.costs[rows] = {step.name: costs[step.name] for group in groups for step in group}

    def _run_group(self, group: list[steps.Step], rows: int, costs: dict) -> None:
        """Run the steps of a group in a fresh warehouse."""
        reason = self._too_slow(group[0].name, rows)
        if reason:
            self.left_out[rows][group[0].name] = reason
            return
        with warehouse.database() as database:
            for step in group:
                try:
                    costs[step.name].append(self._run_step(step, database))
                except TooSlowError as error:
                    self.left_out[rows][step.name] = f"{error} at {rows:,} rows"

    def _run_step(self, step: steps.Step, database: str) -> Cost:
        """Measure one process and check its result.

        Raises:
            SystemExit: The process failed, or its table has an unexpected number of rows.
        """
        if step.setup:
            warehouse.query(database, step.setup)
        # Without a checkpoint this step would also pay for flushing the writes of the step before.
        warehouse.query(database, "checkpoint")
        environment = warehouse.environment(database, step.role)
        try:
            limit = self.limit if step.name in steps.PEER_NAMES.values() else LOADER_LIMIT
            cost = run(step.command, environment, self.server, limit)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{step.name} ended with {error.returncode}:\n{error.output}")
        counted = warehouse.query(database, f"select count(*) from {step.table}")[0][0]  # noqa: S608
        if counted != step.rows:
            sys.exit(f"{step.name}: {counted:,} rows in {step.table} instead of {step.rows:,}")
        return cost

    def _too_slow(self, name: str, rows: int) -> str:
        """Return the reason to leave a peer out, or an empty text."""
        if name in self.left_out[rows] or name not in steps.PEER_NAMES.values():
            return self.left_out[rows].get(name, "")
        for fewer, costs in reversed(self.costs.items()):
            if costs.get(name):
                seconds = statistics.median(cost.seconds for cost in costs[name])
                estimate = seconds * rows / fewer
                if estimate <= self.limit:
                    return ""
                return f"about {estimate:.0f} s at {rows:,} rows, estimated from {fewer:,} rows"
            if name in self.left_out[fewer]:
                return self.left_out[fewer][name]
        return ""

    def results(self) -> dict[str, dict]:
        """Return the figures of the report, by number of rows and then by name of the step."""
        return {
            str(rows): {
                name: report.figures(measured, costs[steps.COPY])
                if measured
                else {"left_out": self.left_out[rows][name]}
                for name, measured in costs.items()
            }
            for rows, costs in self.costs.items()
        }


def run_script(name: str, *options: str, runner: Sequence[str | Path]) -> dict:
    """Run another script of this folder and return its measurements.

    Args:
        name: File name of the script.
        options: Options of the script.
        runner: The command that runs the script, such as a Python interpreter.

    Raises:
        SystemExit: The script failed.
    """
    script, file = Path(__file__).with_name(name), steps.DATA_FOLDER / f"{name}.json"
    steps.DATA_FOLDER.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if subprocess.run([*runner, script, "--json", file, *options]).returncode != 0:
        sys.exit(f"{name} failed")
    return json.loads(file.read_text())


def transform(rounds: int, sizes: Sequence[int], seed: int) -> dict:
    """Run transform.py with a server of its own, and return its results; nothing without sizes."""
    if not sizes:
        return {}
    return run_script(
        *("transform.py", "--rounds", str(rounds), "--seed", str(seed)),
        *("--rows", *map(str, sizes)),
        runner=(STACK / "elt", "with-postgres", "--", sys.executable),
    )


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {"type": int, "nargs": "*", "metavar": "N"}
    parser.add_argument("--rows", **sizes, default=[], help="sizes for the loader and its peers")
    parser.add_argument("--growth", **sizes, default=[], help="sizes for the loader and \\copy")
    parser.add_argument("--transform", **sizes, default=[], help="sizes for dbt and the dashboard")
    parser.add_argument(
        "--transform-once", **sizes, default=[], help="sizes for dbt that are measured in one round"
    )
    parser.add_argument("--dag", action="store_true", help="measure the overhead of Airflow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=150, help="seconds a peer may take (150)")
    parser.add_argument(
        "--seed", type=int, default=TUNING_SEED, help=f"seed of the data ({TUNING_SEED})"
    )
    parser.add_argument(
        "--publish",
        metavar="NAME",
        help=f"use seed {REPORT_SEED}; write benchmarks/results/NAME.json and docs/performance.md",
    )
    return parser.parse_args()


def main() -> None:
    """Measure, print and publish."""
    options = arguments()
    if "PSQL" not in os.environ:
        sys.exit("no warehouse is running: use `make bench`, which starts one")
    seed = REPORT_SEED if options.publish else options.seed
    results = machine.describe() | {
        "seed": seed,
        "rounds": options.rounds,
        "transform_once": options.transform_once,
    }
    if options.dag:
        rounds = ("--rounds", str(options.rounds))
        results["dag"] = run_script("dag.py", *rounds, runner=(STACK / "python",))
    for rounds, sizes in ((options.rounds, options.transform), (1, options.transform_once)):
        for part, figures in transform(rounds, sizes, seed).items():
            results.setdefault(part, {}).update(figures)
    # Warm up: Python writes its bytecode, and the programs get into the page cache.
    Bench(seed, options.limit).measure(WARM_UP_ROWS, 1, with_peers=bool(options.rows))
    bench = Bench(seed, options.limit)
    for rows in sorted({*options.rows, *options.growth}):
        bench.measure(rows, options.rounds, with_peers=rows in options.rows)
    results["load"] = bench.results()
    if options.publish:
        report.publish(options.publish, results)
    print(report.text(results))


if __name__ == "__main__":
    main()
