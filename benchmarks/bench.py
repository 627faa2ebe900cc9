"""How fast the loader is beside its peers, how its cost grows, what the transform and the DAG add.

    make bench            116,201 and 1 M rows; a quarter of an hour
    make bench-full       10 M as well, and growth up to 20 M; an hour

Runs in a throwaway warehouse (`elt with-postgres`). In each round every piece of work runs
once, in another order than in the last: what disturbs the machine disturbs all of them. The order
of magnitude is told by the ratio to `\\copy` in the same round, whose median is reported.
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
import warehouse
import works
from measure import Cost, TooSlowError, run

STACK = works.PROJECT / "stack" / ".venv" / "bin"
WARM_UP_ROWS = 10_000
TUNED_ON, REPORTED_ON = 7, 11  # seeds
OURS_LIMIT = 3600  # seconds after which the loader itself has failed


class Bench:
    """The rounds of all sizes.

    Args:
        seed: of the data.
        limit: seconds; a peer that would need more, by what it took for fewer rows, is left out.
    """

    def __init__(self, seed: int, limit: float) -> None:
        self.seed, self.limit = seed, limit
        self.server = warehouse.server_pid()
        self.left_out: dict[int, dict[str, str]] = defaultdict(dict)
        self.costs: dict[int, dict[str, list[Cost]]] = {}

    def measure(self, rows: int, rounds: int, with_peers: bool) -> None:
        """Measure one size. Sizes have to ascend."""
        whole = works.sample(rows, self.seed)
        groups = works.groups(whole, self.seed, with_peers)
        costs: dict[str, list[Cost]] = defaultdict(list)
        for number in range(rounds):
            print(f"{rows:,} rows: round {number + 1} of {rounds}", file=sys.stderr)
            turn = number % len(groups)
            for group in groups[turn:] + groups[:turn]:
                self._run_group(group, rows, costs)
        self.costs[rows] = {step.name: costs[step.name] for group in groups for step in group}

    def _run_group(self, group: list[works.Step], rows: int, costs: dict) -> None:
        """Run the steps of a group in a warehouse of their own."""
        reason = self._too_slow(group[0].name, rows)
        if reason:
            self.left_out[rows][group[0].name] = reason
            return
        with warehouse.database() as database:
            for step in group:
                try:
                    costs[step.name].append(self._run_step(step, database))
                except TooSlowError as error:
                    self.left_out[rows][step.name] = str(error)

    def _run_step(self, step: works.Step, database: str) -> Cost:
        """Measure one process, and see that it did its work.

        Raises:
            SystemExit: it failed, or its table has another number of rows than it ought to have.
        """
        if step.setup:
            warehouse.query(database, step.setup)
        warehouse.query(database, "checkpoint")  # what others wrote is not this one's to flush
        environment = warehouse.environment(database, step.role)
        try:
            limit = self.limit if step.name in works.NAMES.values() else OURS_LIMIT
            cost = run(step.command, environment, self.server, limit)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{step.name} ended with {error.returncode}:\n{error.output}")
        counted = warehouse.query(database, f"select count(*) from {step.table}")[0][0]  # noqa: S608
        if counted != step.rows:
            sys.exit(f"{step.name}: {counted:,} rows in {step.table} instead of {step.rows:,}")
        return cost

    def _too_slow(self, name: str, rows: int) -> str:
        """Why a peer is left out; empty where it is not."""
        if name in self.left_out[rows] or name not in works.NAMES.values():
            return self.left_out[rows].get(name, "")
        for fewer, costs in reversed(self.costs.items()):
            if costs.get(name):
                took = statistics.median(cost.seconds for cost in costs[name])
                wanted = took * rows / fewer
                return f"about {wanted:.0f} s, by {fewer:,} rows" if wanted > self.limit else ""
            if name in self.left_out[fewer]:
                return f"{self.left_out[fewer][name]} at {fewer:,} rows"
        return ""

    def results(self) -> dict[str, dict]:
        """Per size, per work: the figures of the report."""
        return {
            str(rows): {
                name: report.figures(measured, costs[works.COPY])
                if measured
                else {"left_out": self.left_out[rows][name]}
                for name, measured in costs.items()
            }
            for rows, costs in self.costs.items()
        }


def run_script(name: str, *options: str, before: Sequence[str | Path]) -> dict:
    """What another script of this folder measured; `before` is how it is started.

    Raises:
        SystemExit: it failed.
    """
    script, file = Path(__file__).with_name(name), works.FOLDER / f"{name}.json"
    works.FOLDER.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if subprocess.run([*before, script, "--json", file, *options]).returncode != 0:
        sys.exit(f"{name} failed")
    return json.loads(file.read_text())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {"type": int, "nargs": "*", "metavar": "N"}
    parser.add_argument("--rows", **sizes, default=[], help="sizes for the loader and its peers")
    parser.add_argument("--growth", **sizes, default=[], help="for the loader and \\copy only")
    parser.add_argument("--transform", **sizes, default=[], help="sizes for dbt run and dbt test")
    parser.add_argument("--dag", action="store_true", help="what Airflow adds to three commands")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--transform-rounds", type=int, help="(as --rounds)")
    parser.add_argument("--limit", type=float, default=150, help="seconds a peer may take (150)")
    parser.add_argument("--seed", type=int, default=TUNED_ON, help=f"of the data ({TUNED_ON})")
    parser.add_argument(
        "--publish",
        metavar="NAME",
        help=f"with seed {REPORTED_ON}, into benchmarks/results/NAME.json and docs/performance.md",
    )
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    if "PSQL" not in os.environ:
        sys.exit("there is no warehouse to load into: `make bench` brings one")
    seed = REPORTED_ON if options.publish else options.seed
    transform_rounds = options.transform_rounds or options.rounds
    results = machine.describe() | {
        "seed": seed,
        "rounds": options.rounds,
        "transform_rounds": transform_rounds,
    }
    if options.dag:
        rounds = ("--rounds", str(options.rounds))
        results["dag"] = run_script("dag.py", *rounds, before=(STACK / "python",))
    if options.transform:
        results["transform"] = run_script(
            *("transform.py", "--rounds", str(transform_rounds), "--seed", str(seed)),
            *("--rows", *map(str, options.transform)),
            before=(STACK / "elt", "with-postgres", "--", sys.executable),
        )
    # Everything once before the clock counts: bytecode is written, programs are in memory.
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
