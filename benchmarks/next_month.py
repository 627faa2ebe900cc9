"""Write a file of new transactions that continues a sample, as the bank's next export does."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from steps import Sample, sample, truth

DAYS = 30


def next_month(whole: Sample, rows: int, seed: int) -> Path:
    """Write `rows` transactions of the month after a sample, which continue its balances.

    The rows come from a sample of another seed, which has the same accounts. Its years shrink to
    one month. Its accounts begin with a balance of zero, so the closing balance of the account in
    `whole` is added to each balance.

    Args:
        whole: The sample before the new rows.
        rows: Number of new rows, including copies.
        seed: Seed of the sample with the new rows.

    Returns:
        The file.
    """
    other = sample(rows, seed).path
    before, years = truth(whole.path), truth(other)
    last_day = date.fromisoformat(before["last_date"])
    first, last = (date.fromisoformat(years[name]) for name in ("first_date", "last_date"))
    path = other.with_name(f"after_{whole.path.stem}_{other.name}")
    with other.open(newline="") as source, path.open("w", newline="") as target:
        lines = csv.DictReader(source)
        writer = csv.DictWriter(target, lines.fieldnames, lineterminator="\n")
        writer.writeheader()
        for line in lines:
            day, value_day = _day(line["DATE"]), _day(line["VALUE DATE"])
            age = (day - first).days * DAYS // ((last - first).days + 1)
            new_day = last_day + timedelta(1 + age)
            closing = before["accounts"][line["Account No"].rstrip("'")]["balance"]
            balance = Decimal(line["BALANCE AMT"].replace(",", "")) + Decimal(closing)
            line["DATE"] = _text(new_day)
            line["VALUE DATE"] = _text(new_day + (value_day - day))
            line["BALANCE AMT"] = f"{balance:,.2f} "
            writer.writerow(line)
    return path


def _day(text: str) -> date:
    """Parse a date of the bank's export, such as `Jun 29, 17`."""
    return datetime.strptime(text, "%b %d, %y").date()


def _text(day: date) -> str:
    """Format a date as the export does, without a zero before the day."""
    return f"{day:%b} {day.day}, {day:%y}"
