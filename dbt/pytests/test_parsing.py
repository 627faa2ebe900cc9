"""Compare parsing in SQL with texts that Python formats from known values."""

import calendar
import datetime
import random
from decimal import Decimal

import pytest
from conftest import Warehouse

DATE_FORMATS = ("%b %d, %y", "%b %d, %Y", "%d-%b-%y", "%d-%b-%Y", "%Y-%m-%d")
SEED = 20170629
# Less usual notations (see test_notations.py for the others)
OTHER_DATES = {
    "Jun 29, 17\u00a0": datetime.date(2017, 6, 29),
    "2017-06-29T00:00:00Z": datetime.date(2017, 6, 29),
    "June 29, 17": datetime.date(2017, 6, 29),
    "Sept 5, 2024": datetime.date(2024, 9, 5),
}
OTHER_BALANCES = {
    "1\u00a0000.00": Decimal("1000.00"),
    "1'000.00": Decimal("1000.00"),
    "1,00,000.00": Decimal("100000.00"),
    "₹1,000.00": Decimal("1000.00"),
    "$5.00": Decimal("5.00"),
    "1,000.00 CR": Decimal("1000.00"),
    "5.00-": Decimal("-5.00"),
    "−5.00": Decimal("-5.00"),
    "-": Decimal("0.00"),
}


def date_cases(rng: random.Random) -> dict[str, datetime.date | None]:
    """Return texts of dates in each accepted format, and of days that do not exist."""
    cases: dict[str, datetime.date | None] = {}
    for _ in range(400):
        day = datetime.date(1970, 1, 1) + datetime.timedelta(days=rng.randrange(36_000))
        text = day.strftime(rng.choice(DATE_FORMATS))
        cases[rng.choice((text, text.upper(), text.lower(), f" {text} "))] = day
    for year in (2015, 2016, 2019, 2000):
        for month in range(1, 13):
            last = calendar.monthrange(year, month)[1]
            for day in range(last + 1, 33):
                name = calendar.month_abbr[month]
                cases[f"{name} {day}, {year % 100:02}"] = None
                cases[f"{day}-{name}-{year}"] = None
                cases[f"{year}-{month:02}-{day}"] = None
    return cases


def damaged(texts: list[str], rng: random.Random, alphabet: str) -> list[str]:
    """Replace one character of each text by an invalid one from `alphabet`."""
    result = []
    for text in texts:
        position = rng.randrange(len(text))
        result.append(text[:position] + rng.choice(alphabet) + text[position + 1 :])
    return result


def amount_cases(rng: random.Random) -> dict[str, Decimal | None]:
    """Return texts of amounts in each accepted format, and of amounts that are not exact."""
    cases: dict[str, Decimal | None] = {}
    for _ in range(400):
        amount = Decimal(rng.randrange(10 ** rng.randint(1, 18))).scaleb(-2)
        cases[f"{amount:,.2f} "] = amount
        cases[f"{amount:.2f}"] = amount
        cases[f"-{amount:,.2f}"] = -amount
        cases[f"({amount:,.2f})"] = -amount
        cases[f"{amount:,.2f}{rng.randrange(10)}"] = None
        cases[f"{amount:,.2f}".replace(".", ",")] = None
        if amount >= 1000:
            cases[f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))] = None
            cases[f"{amount:,.2f}".replace(",", ",0", 1)] = None
    return cases


def test_dates_and_amounts_equal_the_values_in_python(warehouse: Warehouse) -> None:
    rng = random.Random(SEED)  # noqa: S311 - for test data
    print("seed", SEED)
    dates = date_cases(rng)
    good = [text for text, day in dates.items() if day and text == text.strip()]
    dates |= dict.fromkeys(damaged(good, rng, "!#x_"), None) | OTHER_DATES
    amounts = amount_cases(rng)
    amounts |= OTHER_BALANCES
    amounts |= dict.fromkeys(["NaN", "Infinity", "1e5", "0x1F", "1_000", "+1", "12.", ".5"], None)

    rows = [{"date": text, "details": "date"} for text in dates]
    rows += [{"balance_amt": text, "details": "amount"} for text in amounts]
    warehouse.load(rows, load_id=1)
    assert warehouse.dbt("run", "--select", "transactions").success

    found = warehouse.query(
        "reporter",
        "select transaction_date, balance_amount, _unparsed from staging.transactions"
        " order by _source_line",
    )
    assert len(found) == len(dates) + len(amounts)
    differences = []
    expected = [*dates.items(), *amounts.items()]
    for (text, value), (day, amount, unparsed) in zip(expected, found, strict=True):
        parsed = amount if day is None else day
        reported = list((unparsed or {}).values())
        if parsed != value or reported != ([] if value is not None else [text.strip()]):
            differences.append((text, value, parsed, unparsed))
    assert differences == []


def test_the_datestyle_of_the_session_changes_no_date(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ("Jun 07, 09", "07-Jun-09", "2009-06-07", "June 07, 09", "07 Jun 09", "07/Jun/2009")
    texts += ("2009/06/07", "2009.06.07", "2009-06-07 23:00:00-08:00")
    warehouse.load([{"date": text} for text in texts], load_id=1)
    for style in ("DMY", "YMD", "MDY"):
        monkeypatch.setenv("PGOPTIONS", f"-c datestyle=ISO,{style}")
        assert warehouse.dbt("run", "--full-refresh", "--select", "transactions").success
        rows = warehouse.query(
            "reporter",
            "select transaction_date::text from staging.transactions order by _source_line",
        )
        assert [day for (day,) in rows] == ["2009-06-07"] * len(texts), style
