"""Check the less usual notations: known values in each of them, and texts that are ambiguous."""

import datetime
import random
from collections.abc import Iterator
from decimal import Decimal

from conftest import WITHOUT_UNIT_TESTS, Warehouse, not_passed

SEED = 20241001
BLANKS = (" ", "\u00a0", "\u202f", "\u2009")  # ordinary, no-break, narrow no-break, thin
CURRENCIES = ("{}", "₹{}", "₹ {}", "Rs. {}", "Rs{}", "INR {}", "${}", "£\u00a0{}", "{} €", "{} EUR")
# The sign that a mark gives a withdrawal, a deposit and a balance. None: the mark contradicts it.
MARKS = {
    "{}": (1, 1, 1),
    "-{}": (-1, -1, -1),
    "− {}": (-1, -1, -1),
    "{}-": (-1, -1, -1),
    "{} −": (-1, -1, -1),
    "({})": (-1, -1, -1),
    "{} Dr": (1, None, -1),
    "{}DR.": (1, None, -1),
    "{}cr": (None, 1, 1),
    "{} Cr.": (None, 1, 1),
}
DASHES = ("-", "--", "–", "—", "−", " -   ", "$ -", "- INR")
# a: one to three digits, b and c: three digits, d: two digits, n: a number with two decimals
AMBIGUOUS_AMOUNTS = (
    # the comma or the point may separate decimals
    "{a},{d}", "{a}.{b}", "{a}.{b},{d}", "{a} {b},{d}", "{a}\u00a0{b},{d}", "{a}'{b},{d}",
    "{a}{b},{d}", "€ {a},{d}", "{a},{d} EUR", "$0,{b}", "{n}0",
    # groups of other lengths, and two kinds of separators
    "{a},{d}.{d}", "{a} {d}", "{a}'{b}{d}", "{a},{d},{d}", "9{d},{d},{b}.{d}", "{a}  {b}.{d}",
    " ,{b}.{d}", "{a},{b} {c}", "{a} {b},{c}.{d}", "{a}'{b},{c}.{d}", "{a} {b}'{c}",
    # contradicting signs, two currencies, and units, one of which is the crore
    "-{n} Dr", "-{n} Cr", "({n}) Dr", "({n}) Cr", "-{n}-", "(-{n})", "--{n}", "{n} Dr Cr",
    "Dr {n}", "INR {n} EUR", "$₹{n}", "{n} mn", "{n} L", "{n} lakh", "{n} Crore", "{a} Cr",
    "{a}.5 Cr", "{n}%",
)  # fmt: skip
DATES = (
    "%B %d, %Y", "%B %d, %y", "%d-%B-%Y", "%d %b %Y", "%d %B %y", "%d/%b/%Y", "%d/%B/%y",
    "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%b %d, %y", "%d-%b-%y",
)  # fmt: skip
TIMES = (
    "", " 00:00:00", " 9:15", " 23:59", "  10:00", " 09:15:00.000", " 9:15 PM", " 12:00:59\u202fam",
    "T09:15:00", "T23:59:59.999999Z", "T00:00-11:00", " 23:59:59 +0530",
)  # fmt: skip
INVALID_TIMES = (
    " 24:00", " 09:60", " 9:1", " 09", "T", " 13:15 PM", " 0:15 AM", " 09:15 IST",
    " 9:15 9:15", " 9:15Z+01",
)  # fmt: skip
NUMERIC_DATES = ("%d/%m/%y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%y", "%d %m %Y")

Case = tuple[str, tuple[Decimal | None, ...]]


def grouped(digits: str, separator: str, size: int) -> str:
    """Separate the last three digits, and the digits before them in groups of `size`."""
    head, groups = digits[:-3], [digits[-3:]]
    while separator and head:
        head, groups = head[:-size], [head[-size:], *groups]
    return head + separator.join(groups)


def amount_cases(rng: random.Random) -> Iterator[Case]:
    """Yield amounts in each notation, with the value of a withdrawal, a deposit and a balance."""
    for mark, signs in MARKS.items():
        for currency in CURRENCIES:
            for separator in ("", ",", *BLANKS, "'", "’"):
                amount = Decimal(rng.randrange(10 ** rng.randint(1, 18))).scaleb(-2)
                whole, cents = f"{amount:.2f}".split(".")
                number = grouped(whole, separator, rng.choice((2, 3)) if separator == "," else 3)
                decimals = f".{cents}"
                if "cr" not in mark.lower():  # a number without two decimals may be in crores
                    decimals = rng.choice((decimals, decimals.removesuffix("0").removesuffix(".0")))
                inner, outer = rng.sample((mark, currency), 2)
                text = outer.format(inner.format(number + decimals))
                yield (
                    f"{rng.choice(BLANKS[:3])}{text} ",
                    tuple(sign and sign * amount for sign in signs),
                )
    for dash in DASHES:
        yield dash, (None, None, Decimal(0))


def ambiguous_amounts(rng: random.Random) -> Iterator[str]:
    """Yield the texts of AMBIGUOUS_AMOUNTS with random digits."""
    for template in AMBIGUOUS_AMOUNTS:
        for _ in range(5):
            yield template.format(
                a=rng.randrange(1, 1000),
                b=f"{rng.randrange(1000):03}",
                c=f"{rng.randrange(1000):03}",
                d=f"{rng.randrange(100):02}",
                n=f"{Decimal(rng.randrange(10**9)).scaleb(-2):,.2f}",
            )


def date_cases(rng: random.Random) -> Iterator[tuple[str, datetime.date | None]]:
    """Yield dates in each notation, and dates that are ambiguous or have an invalid time."""
    for notation in DATES:
        for time in (*TIMES, *INVALID_TIMES):
            day = datetime.date(1970, 1, 1) + datetime.timedelta(days=rng.randrange(36_000))
            text = rng.choice((str, str.upper, str.lower))(day.strftime(notation) + time)
            yield text, None if time in INVALID_TIMES else day
            if day.month == 9 and time in TIMES:
                yield text.lower().replace("september", "sept"), day
    for notation in (*NUMERIC_DATES, "%Y%m%d"):
        yield day.strftime(notation), None
        yield day.strftime(notation) + " 00:00:00", None
    yield str((day - datetime.date(1899, 12, 30)).days), None  # the serial number of a spreadsheet


def test_amounts_and_dates_in_less_usual_notations(warehouse: Warehouse) -> None:
    rng = random.Random(SEED)  # noqa: S311 - for test data
    print("seed", SEED)
    amounts = [*amount_cases(rng), *((text, (None,) * 3) for text in ambiguous_amounts(rng))]
    dates = [*date_cases(rng)]
    rows = [
        {"withdrawal_amt": text, "deposit_amt": text, "balance_amt": text, "details": f"amount {n}"}
        for n, (text, _) in enumerate(amounts)
    ]
    rows += [{"date": text, "details": f"date {n}"} for n, (text, _) in enumerate(dates)]
    warehouse.load(rows, load_id=1)
    assert warehouse.dbt("run", "--select", "transactions").success

    columns = ("withdrawal_amount", "deposit_amount", "balance_amount", "transaction_date")
    found = warehouse.query(
        "reporter",
        f"select _unparsed, {', '.join(columns)} from staging.transactions order by _source_line",
    )
    expected = [(text, (*values, None)) for text, values in amounts]
    expected += [(text, (None, None, None, day)) for text, day in dates]
    differences = []
    for (text, values), (unparsed, *parsed) in zip(expected, found, strict=True):
        filled = columns[:3] if text in dict(amounts) else columns[3:]
        reported = {
            column: text.strip(" \u00a0\u202f")
            for column, value in zip(columns, values, strict=True)
            if column in filled and value is None and text not in DASHES
        }
        if tuple(parsed) != values or (unparsed or {}) != reported:
            differences.append((text, values, parsed, unparsed))
    assert differences == []


def test_the_report_says_why_a_value_is_not_parsed(warehouse: Warehouse) -> None:
    ambiguous = "day and month are ambiguous"
    separator = "the comma or the point may separate thousands or decimals"
    hints = {
        ("date", "29/06/17"): ambiguous,
        ("value_date", "05.03.2024"): ambiguous,
        ("date", "42915"): "the text is the serial number of a date in a spreadsheet",
        ("date", "Feb 30, 17"): None,
        ("balance_amt", "1.000,00"): separator,
        ("withdrawal_amt", "1,5"): separator,
        ("deposit_amt", "€ 1 000,00"): separator,
        ("balance_amt", "1.005"): separator,
        ("balance_amt", "KWD 0,125"): separator,
        ("balance_amt", "5.00 mn"): None,
        ("account_no", "4.09E+11"): "the text is no account number",
    }
    warehouse.load([{column: text} for column, text in hints], load_id=1)
    assert warehouse.dbt("run", "--select", "transactions", "loads").success
    assert not warehouse.dbt("test", "--select", "every_value_is_parsed").success
    found = warehouse.query(
        "reporter", "select hint from audit.every_value_is_parsed order by _source_line"
    )
    assert [hint and hint.split(":")[0] for (hint,) in found] == list(hints.values())


def test_statements_that_a_spreadsheet_has_written(warehouse: Warehouse) -> None:
    """Lakhs, dashes on the unused side, quoted numbers, and then account numbers that are lost."""

    def row(account: str, day: str, withdrawal: str, deposit: str, balance: str) -> dict[str, str]:
        columns = (
            "account_no",
            "date",
            "value_date",
            "withdrawal_amt",
            "deposit_amt",
            "balance_amt",
        )
        return dict(zip(columns, (account, day, day, withdrawal, deposit, balance), strict=True))

    lakhs, dashes = "700000000014", "00700020"
    rows = [
        row(f"{lakhs}'", "Oct 1, 24", "", "45,67,890.25", "45,67,890.25"),
        row(f"{lakhs}'", "Oct 2, 24", "3,21,098.75", "", "42,46,791.50"),
        row(f"{lakhs}'", "Oct 3, 24", "", "1,20,00,000.00", "1,62,46,791.50"),
        row(f'="{dashes}"', "05-Nov-24", " -   ", " 250.75 ", " 250.75 "),
        row(f'="{dashes}"', "06-Nov-24", " 250.75 ", "-", " -   "),
    ]
    warehouse.load(rows, load_id=1)
    assert warehouse.dbt("run").success
    assert not_passed(warehouse.dbt("test", *WITHOUT_UNIT_TESTS)) == {}
    query = (
        "select account_number, withdrawal_amount, deposit_amount, balance_amount"
        " from marts.accounts order by 1"
    )
    accounts = [
        (dashes, Decimal("250.75"), Decimal("250.75"), Decimal("0.00")),
        (lakhs, Decimal("321098.75"), Decimal("16567890.25"), Decimal("16246791.50")),
    ]
    assert warehouse.query("reporter", query) == accounts

    lost = "7.0E+11"
    rows = [
        row(lost, "01-Dec-24", "", "900.00", "900.00"),
        row(lost, "02-Dec-24", "", "70.00", "70.00"),  # of another account
        row("#N/A", "03-Dec-24", "30.00", "", "40.00"),
    ]
    warehouse.load(rows, load_id=2)
    assert warehouse.dbt("run").success
    failed = not_passed(warehouse.dbt("test", *WITHOUT_UNIT_TESTS))
    assert (
        failed.items()
        >= {"every_value_is_parsed": "fail", "account_number_is_present": "fail"}.items()
    )
    unparsed = warehouse.query(
        "reporter", "select _unparsed from audit.every_value_is_parsed order by _source_line"
    )
    assert unparsed == [({"account_number": text},) for text in (lost, lost, "#N/A")]
    assert warehouse.query("reporter", query) == accounts
