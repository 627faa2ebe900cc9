"""Compare the breaks that the project reports with a mutation."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import chain_oracle
from bank import Break
from mutations import Spoiled
from statements import Row, edges_by_day

NAMED = "named with kind and place"
EXPLAINED = "explained otherwise"
ACCEPTED = "accepted as two paths or two days"
UNSEEN = "unseen outside the limits"


Change = tuple[date, chain_oracle.Edge, int]


@dataclass
class Judge:
    """Knows a spoiled statement and its files.

    Attributes:
        spoiled: The mutation.
        files: The rows of each file by name, in the order of its lines. The first row is on line 2.
    """

    spoiled: Spoiled
    files: dict[str, Sequence[Row]]

    def __post_init__(self) -> None:
        self.days = edges_by_day(self.spoiled.rows)
        self.doubled = chain_oracle.is_doubled(self.days)

    def row(self, line: tuple[str, int]) -> Row:
        """Return the row on a line of a file."""
        file, number = line
        return self.files[file][number - 2]

    def verdict(self, found: Sequence[Break], limit: str | None) -> tuple[str, list[str]]:
        """Return the column of the table for a report, and the faults of the report.

        Args:
            found: the reported breaks.
            limit: the stated limit by which the mutation is invisible.
        """
        if found and chain_oracle.first_failing_day(self.days) is None:
            return "wrong", ["a break in a whole statement"]
        if limit and not found:
            return limit, []
        if not found:
            is_accepted = chain_oracle.is_whole_with_merged_days(self.days)
            return (ACCEPTED, []) if is_accepted else (UNSEEN, [UNSEEN])
        if not (faults := self.faults(found)):
            return NAMED, []
        if self.spoiled.kind != "row doubled" and self.is_explained_by(found):
            return EXPLAINED, []
        return "wrong", faults

    def describe(self, found: Sequence[Break]) -> str:
        """Describe the mutation and the reported breaks, for a person who looks for the fault."""
        lines = [f"{self.spoiled.kind}, account {self.spoiled.rows[0].account}"]
        for name, rows in self.files.items():
            for number, row in enumerate(rows, start=2):
                sign = "+" if row in self.spoiled.touched else " "
                lines.append(f"{sign} {name}:{number} {row.day} {row.edge} {row.details}")
        gone = (row for row in self.spoiled.touched if row not in self.spoiled.rows)
        lines += [f"- {row.day} {row.edge} {row.details}" for row in gone]
        for broken in found:
            before, after = self.row(broken.line_before).edge, self.row(broken.line_after).edge
            lines.append(
                f"{broken.kind}: {broken.date_before} {broken.balance_before} {before},"
                f" {broken.date_after} {broken.balance_after} {after}"
            )
        return "\n  ".join(lines)

    def faults(self, found: Sequence[Break]) -> list[str]:
        """Say what is wrong with the breaks of a visible mutation."""
        faults = [fault for broken in found for fault in self.faults_of(broken)]
        # Behind a day that closes on itself, the surplus copy may be days away from the break.
        on_the_day = any(broken.date_before <= self.spoiled.touched[0].day for broken in found)
        if self.spoiled.kind == "row doubled" and on_the_day and not self.has_doubled(found):
            faults.append("no break is a doubled row")
        return faults

    def has_doubled(self, found: Sequence[Break]) -> bool:
        """Return whether one of the breaks is a doubled row."""
        return any(broken.kind == "doubled" for broken in found)

    def faults_of(self, found: Break) -> list[str]:
        """Say what is wrong with one break."""
        faults = []
        if found.kind not in self.right_kinds(found):
            faults.append(f"kind is {found.kind}, not {self.right_kinds(found)}")
        if not any(self.is_beside(found, day) for day in {row.day for row in self.spoiled.touched}):
            faults.append("the days do not enclose the mutation")
        before, after = self.row(found.line_before), self.row(found.line_after)
        if (before.day, after.day) != (found.date_before, found.date_after):
            faults.append("the lines are not of the days")
        if found.kind == "doubled":
            if before is after or before.edge != after.edge:
                faults.append("the lines are not two copies")
        elif found.balance_before not in (None, before.balance):
            faults.append("the line before does not end at the balance before")
        elif found.balance_after not in (None, after.edge[0]):
            faults.append("the line after does not begin at the balance after")
        touched = {balance for row in self.spoiled.touched for balance in row.edge}
        if not touched & {*before.edge, *after.edge}:
            faults.append("the lines are not beside the mutation")
        return faults

    def is_explained_by(self, found: Sequence[Break]) -> bool:
        """Return whether the statement is whole if each break is what the report says that it is.

        Then the report describes another mutation with the same result. This happens where
        balances coincide.
        """
        ways = itertools.product(*(self.explanations(broken) for broken in found))
        return any(
            self.is_whole_with([change for way in changes for change in way]) for changes in ways
        )

    def explanations(self, found: Break) -> list[list[Change]]:
        """Return what a break can mean: a missing row, or a row that is surplus."""
        before, after = self.row(found.line_before), self.row(found.line_after)
        surplus = [[(row.day, row.edge, -1)] for row in (before, after)]
        if found.kind == "doubled" or found.balance_before is None or found.balance_after is None:
            return surplus
        missing = found.balance_before, found.balance_after
        return [*([(day, missing, 1)] for day in (before.day, after.day)), *surplus]

    def is_whole_with(self, changes: Sequence[Change]) -> bool:
        """Return whether the statement is whole after some changes."""
        days = {day: Counter(edges) for day, edges in self.days.items()}
        for day, edge, count in changes:
            days[day][edge] += count
        edges = {day: list(found.elements()) for day, found in days.items()}
        return (
            chain_oracle.first_failing_day({day: found for day, found in edges.items() if found})
            is None
        )

    def right_kinds(self, found: Break) -> set[str]:
        """Return the kinds that a break may have, by the definition.

        Within a day, two files can have a gap between them although both contain rows of the day.
        """
        spans = [{row.day for row in rows} for rows in self.files.values()]
        first, last = found.date_before, found.date_after
        kinds = {"doubled"} if self.doubled else set()
        if not any(min(days) <= first and last <= max(days) for days in spans):
            return kinds | {"gap"}
        is_in_one_file = found.line_before[0] == found.line_after[0]
        if is_in_one_file or first < last or any(min(days) < first < max(days) for days in spans):
            return kinds | {"broken"}
        return kinds | {"broken", "gap"}

    def is_beside(self, found: Break, day: date) -> bool:
        """Return whether a break is where a mutation of `day` first can be seen.

        Its days enclose `day` or are the next ones. Days that close on themselves show nothing, so
        the break may be at the first day behind them.
        """
        days = sorted(self.days)
        previous = max((other for other in days if other < day), default=day)
        open_days = (
            other for other in days
            if other > day and chain_oracle.starts_and_ends(self.days[other])[0]
        )  # fmt: skip
        latest = next(open_days, days[-1])
        silent = [other for other in days if day < other <= found.date_before]
        return (
            previous <= found.date_before <= found.date_after <= latest
            and day <= found.date_after
            and not any(chain_oracle.starts_and_ends(self.days[other])[0] for other in silent)
        )
