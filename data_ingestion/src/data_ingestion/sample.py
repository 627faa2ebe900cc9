"""Write sample data: a bank's export with all its quirks, and the facts about it ("the truth").

The same (rows, seed) gives the same bytes on every machine and with every Python. The only random
source is `random.Random(seed).random()`, because Python guarantees its sequence
(https://docs.python.org/3/library/random.html#notes-on-reproducibility). Amounts are integers in
paise (1/100) and become decimals only when they are written.

The file lists one account after the other, and days ascend within an account. The generator
therefore keeps only the lines of one day in memory: 10 million rows need no more memory than 1,000.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

from data_ingestion.errors import InputError

HEADER = (
    "Account No,DATE,TRANSACTION DETAILS,CHQ.NO.,VALUE DATE,"
    " WITHDRAWAL AMT , DEPOSIT AMT ,BALANCE AMT,.\n"
)
MINIMUM_ROWS = 1_000
DUPLICATE_SHARE = 0.005
BACKDATED_SHARE = 0.003
FIRST_DAY = date(2015, 1, 1)
DAYS = (date(2019, 12, 31) - FIRST_DAY).days + 1
LARGEST_BACKDATING = 30  # days
# A copy follows its original by up to this many rows, so some duplicates are far apart.
COPY_DISTANCE = 2_000
BILLION = 100_000_000_000  # 1,000,000,000.00 in paise

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WITHDRAWAL_DETAILS = (
    "NEFT/{}/VENDOR  PAYMENT",
    "RTGS/{}/SUPPLIES, SPARES AND SERVICE",
    "IMPS/{}/SALARY ADVANCE",
    "INTERNAL FUND TRANSFER  {}",
    "CASH WITHDRAWAL SLIP {}",
)
DEPOSIT_DETAILS = (
    "TRF FROM  Indiaforensic SERVICES",
    "NEFT/{}/CUSTOMER COLLECTION",
    "CASH DEPOSIT  MAIN BRANCH {}",
    "REFUND, ORDER {}",
)


@dataclass(frozen=True)
class Account:
    """An account, its share of the rows in percent, and whether it withdraws a billion in total."""

    number: str
    share: int
    large: bool


ACCOUNTS = (
    Account("409000611074", 6, True),
    Account("409000493201", 5, False),
    Account("409000425051", 4, False),
    Account("409000405747", 3, False),
    Account("409000438611", 14, True),
    Account("409000493210", 20, True),
    Account("409000438620", 16, True),
    Account("1196711", 13, True),
    Account("1196428", 12, False),
    Account("409000362497", 7, False),
)


def write_sample(rows: int, seed: int, out: Path) -> dict[str, Any]:
    """Write sample data to FILE.csv, and the truth about it to FILE.truth.json.

    `rows` includes copies. Both files get their names at the end, when they are complete.

    Returns:
        The truth: `rows`, `distinct_rows`, `duplicates`, `backdated` (distinct rows whose value
        date is before the date), `first_date`, `last_date`, and per account, over distinct rows,
        `transactions`, `withdrawals`, `deposits` and the final `balance` as decimal strings.

    Raises:
        InputError: `rows` is below 1,000, or `out` cannot be written.
    """
    if rows < MINIMUM_ROWS:
        raise InputError(f"--rows {rows}: a sample needs at least {MINIMUM_ROWS:,} rows")
    truth: dict[str, Any] = {"rows": rows, "seed": seed}
    partial = out.with_name(out.name + ".part")
    truth_file = out.with_name(out.name.removesuffix(".csv") + ".truth.json")
    truth_partial = truth_file.with_name(truth_file.name + ".part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(HEADER)
            file.writelines(_with_copies(_Generator(rows, seed, truth)))
        truth_partial.write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
        partial.replace(out)
        truth_partial.replace(truth_file)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
        truth_partial.unlink(missing_ok=True)
    return truth


def _with_copies(generator: "_Generator") -> Iterator[str]:
    """Yield the lines of `generator`, and exactly `generator.duplicates` copies between them."""
    later: dict[int, list[str]] = {}
    copy = _exactly(generator.duplicates, generator.distinct, generator.random)
    for index, line in enumerate(generator.lines()):
        yield line
        if next(copy):
            later.setdefault(index + int(generator.random() * COPY_DISTANCE), []).append(line)
        if index in later:
            yield from later.pop(index)
    for lines in later.values():
        yield from lines


def _exactly(wanted: int, total: int, random: Callable[[], float]) -> Iterator[bool]:
    """Yield `total` flags, `wanted` of them true, at random (Knuth, TAOCP 3.4.2, algorithm S)."""
    for left in range(total, 0, -1):
        chosen = random() * left < wanted
        wanted -= chosen
        yield chosen


class _Generator:
    """Makes the distinct lines, and the truth, which is complete after the last line."""

    def __init__(self, rows: int, seed: int, truth: dict[str, Any]) -> None:
        self.random = Random(seed).random  # noqa: S311 - a sample, not a secret
        self.duplicates = round(rows * DUPLICATE_SHARE)
        self.distinct = rows - self.duplicates
        self.backdated = round(self.distinct * BACKDATED_SHARE)
        self.days = _day_texts()
        self.truth = truth

    def lines(self) -> Iterator[str]:
        """Yield every distinct line, account by account."""
        self.truth["distinct_rows"] = self.distinct
        self.truth["duplicates"] = self.duplicates
        self.truth["backdated"] = self.backdated
        self.seen_days: set[int] = set()
        accounts: dict[str, Any] = {}
        self.truth["accounts"] = accounts
        backdate = _exactly(self.backdated, self.distinct, self.random)
        done = 0
        for position, account in enumerate(ACCOUNTS):
            last = position == len(ACCOUNTS) - 1
            count = self.distinct - done if last else self.distinct * account.share // 100
            yield from self._account_lines(account, count, backdate, accounts)
            done += count
        self.truth["first_date"] = str(FIRST_DAY + timedelta(days=min(self.seen_days)))
        self.truth["last_date"] = str(FIRST_DAY + timedelta(days=max(self.seen_days)))

    def _account_lines(
        self, account: Account, count: int, backdate: Iterator[bool], accounts: dict[str, Any]
    ) -> Iterator[str]:
        random, days = self.random, self.days
        mean = _mean_amount(account.large, count)
        withdrawn = deposited = 0
        day = -1
        lines_of_day: set[str] = set()
        cheque = 100_000 + int(random() * 800_000)
        for index in range(count):
            today = int((index + random()) * DAYS / count)
            if today != day:
                day, lines_of_day = today, set()
                self.seen_days.add(day)
            value_day = days[self._value_day(day, next(backdate))]
            # Amounts are skewed like real ones: many are small, few are large.
            amount = 100 + int(mean * 4 * random() * random())
            withdraw = index > 0 and random() < 0.5
            if index == 0 and account is ACCOUNTS[0]:
                amount = 100_000_000  # the first amount of the real export
            elif account.large and index == count - 1 and withdrawn <= BILLION:
                withdraw, amount = True, BILLION + amount - withdrawn
            elif not account.large and withdraw:
                covered = amount <= deposited - withdrawn
                withdraw = covered and withdrawn + amount < BILLION * 9 // 10
            details, cheque_text = self._details(withdraw, index, cheque)
            cheque += cheque_text != ""
            start = f"{account.number}',{days[day]},{details},{cheque_text},{value_day},"
            balance = deposited - withdrawn
            while (line := start + _amounts(withdraw, amount, balance)) in lines_of_day:
                amount += 1  # different transactions must not produce the same line
            lines_of_day.add(line)
            withdrawn += amount if withdraw else 0
            deposited += 0 if withdraw else amount
            yield line
        accounts[account.number] = {
            "transactions": count,
            "withdrawals": _decimal(withdrawn),
            "deposits": _decimal(deposited),
            "balance": _decimal(deposited - withdrawn),
        }

    def _value_day(self, day: int, backdated: bool) -> int:
        """Return the day number of the value date: up to 3 days later than `day`, or backdated."""
        if backdated:
            return day - 1 - int(self.random() * LARGEST_BACKDATING)
        chance = self.random()
        return day + int(chance * 60) + 1 if chance < 0.05 else day

    def _details(self, withdraw: bool, index: int, cheque: int) -> tuple[str, str]:
        """Return the details, quoted if they have a comma, and the cheque number."""
        if withdraw and self.random() < 0.2:
            return f"CHQ PAID  CLEARING {cheque}", str(cheque)
        choices = WITHDRAWAL_DETAILS if withdraw else DEPOSIT_DETAILS
        text = choices[int(self.random() * len(choices)) if index else 0]
        text = text.format(10_000_000 + int(self.random() * 90_000_000))
        return (f'"{text}"' if "," in text else text), ""


def _mean_amount(large: bool, count: int) -> int:
    """Return a mean, in paise, that puts the withdrawals clearly above or below a billion."""
    if large:
        return max(2_500_000, 3 * BILLION // count)
    return min(5_000_000, BILLION // count)


def _day_texts() -> dict[int, str]:
    """Map the number of every possible day to its text in the export, such as `"Jun 29, 17"`."""
    texts = {}
    for number in range(-LARGEST_BACKDATING - 1, DAYS + 5):
        day = FIRST_DAY + timedelta(days=number)
        texts[number] = f'"{MONTHS[day.month - 1]} {day.day}, {day.year % 100:02d}"'
    return texts


def _money(paise: int) -> str:
    """Return the export's text: digits in groups, a space at the end, quotes around a comma."""
    sign, (whole, cents) = "-" if paise < 0 else "", divmod(abs(paise), 100)
    return f'"{sign}{whole:,}.{cents:02d} "' if whole >= 1000 else f"{sign}{whole}.{cents:02d} "


def _amounts(withdraw: bool, amount: int, balance: int) -> str:
    """Return the end of a line: withdrawal, deposit, the new balance, and the column `.`."""
    if withdraw:
        return f"{_money(amount)},,{_money(balance - amount)},.\n"
    return f",{_money(amount)},{_money(balance + amount)},.\n"


def _decimal(paise: int) -> str:
    sign = "-" if paise < 0 else ""
    return f"{sign}{abs(paise) // 100}.{abs(paise) % 100:02d}"
