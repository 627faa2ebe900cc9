"""The macros with which views of declared sources read texts, compared with known values."""

import datetime
import random
from decimal import Decimal

import pytest
from conftest import Warehouse

DAY = datetime.date(2024, 9, 2)
DATES = [
    # format, text, date
    ("%d.%m.%Y", "02.09.2024", DAY),
    ("%d.%m.%Y", "2.9.2024", DAY),
    ("%d.%m.%Y", "02.09.2024 13:45", DAY),
    ("%d.%m.%Y", "02.09.2024.", DAY),
    ("%d.%m.%Y", "02/09/2024", None),
    ("%d.%m.%Y", "31.02.2024", None),
    ("%d.%m.%Y", "02.09.24", None),
    ("%d.%m.%Y", "2024-09-02", None),
    ("%d.%m.%Y", "02.13.2024", None),
    ("%m/%d/%y", "09/02/24", DAY),
    ("%m/%d/%y", "09/02/2024", None),
    ("%m/%d/%y", "09/02/70", datetime.date(1970, 9, 2)),
    ("%m/%d/%y", "09/02/69", datetime.date(2069, 9, 2)),
    ("%Y%m%d", "20240902", DAY),
    ("%Y%m%d", "20240902T10:11:12", DAY),
    ("%Y%m%d", "2024092", None),
    ("%Y:%m:%d", "2024:09:02", DAY),
    ("%Y-%m-%d", "2024-09-02T10:11:12.123Z", DAY),
    ("%d/%m/%Y", "02/09/2024-09:15:00", DAY),
    ("%d/%m/%Y", "02/09/2024-09", None),
    ("%Y年%m月%d日", "2024年9月2日", DAY),
    ("%d %b %Y", "2 Sep 2024", DAY),
    ("%d %b %Y", "02 Sept 2024", DAY),
    ("%d %b %Y", "2 Sept. 2024", DAY),
    ("%d %b %Y", "2 SEPTEMBER 2024", DAY),
    ("%d %b %Y", "2 września 2024", DAY),
    ("%d %b %Y", "2 СЕНТЯБРЯ 2024", DAY),
    ("%d %b %Y", "2\u00a0sep 2024", DAY),
    ("%d %b %Y", "2 Foo 2024", None),
    ("%d-%b-%y", "02-août-24", datetime.date(2024, 8, 2)),
    ("%b %d, %Y", "Sep 2, 2024", DAY),
    ("%d.%m.%Y", "", None),
    ("%d.%m.%Y", "today", None),
]
AMOUNTS = [
    # decimal, group, side, text, amount
    (".", ",", "amount", "1,234.56", "1234.56"),
    (".", ",", "amount", "12,34,567.00", "1234567.00"),
    (".", ",", "amount", "-1,234.5", "-1234.50"),
    (".", ",", "amount", "1234.56-", "-1234.56"),
    (".", ",", "amount", "(1,234.56)", "-1234.56"),
    (".", ",", "amount", "($1,234.56)", "-1234.56"),
    (".", ",", "amount", "-$5", "-5.00"),
    (".", ",", "amount", "£ 5.00", "5.00"),
    (".", ",", "amount", "R1,000.00", "1000.00"),
    (".", ",", "amount", "+.50", "0.50"),
    (".", ",", "amount", "-.5", "-0.50"),
    (".", ",", "amount", "5.", "5.00"),
    (",", ".", "amount", "5.", None),
    (".", ",", "amount", "12.3400", "12.34"),
    (".", ",", "amount", "12.345", None),
    (".", ",", "amount", "1,23", None),
    (".", ",", "amount", "1.234,56", None),
    (".", ",", "amount", "0,125", None),
    (".", None, "amount", "1,234.56", None),
    (".", None, "amount", "1234", "1234.00"),
    (",", ".", "amount", "1.234,56", "1234.56"),
    (",", ".", "amount", "-1.234,56 EUR", "-1234.56"),
    (",", ".", "amount", "1,234.56", None),
    (",", ".", "amount", "1.234", "1234.00"),
    (",", ".", "amount", "1.23", None),
    (",", " ", "amount", "-1 234,56", "-1234.56"),
    (",", " ", "amount", "1\u202f234,56 zł", "1234.56"),
    (".", "'", "amount", "1'234.56", "1234.56"),
    (".", "'", "amount", "1\u2019234.56", "1234.56"),
    (".", ",", "amount", "100 Dr", "-100.00"),
    (".", ",", "amount", "100.00CR", "100.00"),
    (".", ",", "withdrawal", "100.00 Dr", "100.00"),
    (".", ",", "withdrawal", "100.00 Cr", None),
    (".", ",", "deposit", "100.00 Dr", None),
    (".", ",", "balance", "100.00D", "-100.00"),
    (".", ",", "amount", "-100.00 Dr", None),
    (".", ",", "amount", "\u2212100.00", "-100.00"),
    (".", ",", "amount", "", None),
    (".", ",", "amount", "-", None),
    (".", ",", "amount", "12 34", None),
    (".", ",", "amount", "1e5", None),
    (".", ",", "amount", "12345678901234567.00", None),
    (".", ",", "amount", "5.00 mn", None),
]
TEXTS = {
    "plain_text": {
        ' ="00500021" ': "00500021",
        "=2024-08-27": "2024-08-27",
        "'00500021": "00500021",
        "'PL12 3456'": "PL12 3456",
        "_00500021": "00500021",
        "\tabc\u00a0\r\n": "abc",
        "'": "'",
        "=": "=",
        "a=b'": "a=b'",
    },
    "parse_currency": {"EUR": "EUR", "usd": "USD", "€": "EUR", "£": "GBP", "$": None, "": None},
    "parse_declared_account": {
        "DE12 0030 0000 0417 7123 33": "DE120030000004177123 33".replace(" ", ""),
        "12 345 678": "12 345 678",
        "4.09E+11": None,
        "#N/A": None,
        "": None,
        "Current": "Current",
        "1" * 101: None,
    },
}


def read(warehouse: Warehouse, calls: list[tuple[str, str]]) -> list[str | None]:
    """Return the result of a macro call for each text. `{}` in a call stands for the text."""
    warehouse.query("transformer", "create table staging.texts (number int, value text)")
    for number, (_, text) in enumerate(calls):
        warehouse.query("transformer", "insert into staging.texts values (%s, %s)", (number, text))
    select = "\nunion all\n".join(
        f"select number, ({{{{ {call} }}}})::text from staging.texts where number = {number}"
        for number, (call, _) in enumerate(calls)
    )
    result = warehouse.dbt("compile", "--quiet", "--inline", select)
    assert result.success, result.exception
    sql = result.result.results[0].node.compiled_code
    return [value for _, value in sorted(warehouse.query("transformer", sql))]


def quoted(text: str | None) -> str:
    return "none" if text is None else '"' + text.replace('"', '\\"') + '"'


def test_dates_have_the_declared_form(warehouse):
    calls = [(f"parse_declared_date('value', {quoted(form)})", text) for form, text, _ in DATES]
    found = read(warehouse, calls)
    wanted = [day and day.isoformat() for *_, day in DATES]
    wrong = [
        (row[:2], got) for row, got, day in zip(DATES, found, wanted, strict=True) if got != day
    ]
    assert not wrong


def test_days_of_all_months_in_words_and_numbers(warehouse, rng: random.Random):
    days = [
        datetime.date(1970, 1, 1) + datetime.timedelta(rng.randrange(36_000)) for _ in range(40)
    ]
    forms = [rng.choice(["%d.%m.%Y", "%m/%d/%y", "%Y%m%d", "%d %b %Y", "%b %d, %y"]) for _ in days]
    calls = [
        (f"parse_declared_date('value', {quoted(form)})", day.strftime(form))
        for form, day in zip(forms, days, strict=True)
    ]
    assert read(warehouse, calls) == [day.isoformat() for day in days]


def test_amounts_have_the_declared_form(warehouse):
    calls = [
        (
            f"parse_declared_amount('value', {quoted(decimal)}, {quoted(group)}, {quoted(side)})",
            text,
        )
        for decimal, group, side, text, _ in AMOUNTS
    ]
    found = read(warehouse, calls)
    wrong = [(row, got) for row, got in zip(AMOUNTS, found, strict=True) if got != row[-1]]
    assert not wrong


BEFORE = [
    "$",
    "US$",
    "R$",
    "£",
    "€",
    "₹",
    "₺",
    "₴",
    "₪",
    "₫",
    "฿",
    "₱",
    "₩",
    "￥",
    "¥",
    "R",
    "Rs.",
    "Rp",
]
BEHIND = [
    "zł",
    "Kč",
    "Ft",
    "kr",
    "kr.",
    "TL",
    "円",
    "元",
    "원",
    "руб.",
    "грн",
    "₽",
    "€",
    "EUR",
    "USD",
]


def test_currencies_stand_before_or_behind_an_amount(warehouse):
    texts = [f"-{sign}5.00" for sign in BEFORE] + [f"{sign} 5.00" for sign in BEFORE]
    texts += [f"5.00 {sign}" for sign in BEHIND] + [f"-5.00{sign}" for sign in BEHIND]
    found = read(warehouse, [("parse_declared_amount('value')", text) for text in texts])
    wanted = ["-5.00" if text.startswith("-") else "5.00" for text in texts]
    pairs = zip(texts, found, wanted, strict=True)
    assert not [(text, got) for text, got, value in pairs if got != value]


def test_amounts_in_the_notations_of_countries(warehouse, rng: random.Random):
    calls, wanted = [], []
    for _ in range(60):
        amount = Decimal(
            rng.randrange(-(10 ** rng.randint(1, 16)), 10 ** rng.randint(1, 16))
        ).scaleb(-2)
        decimal, group = rng.choice([(".", ","), (",", "."), (",", " "), (".", "'"), (",", None)])
        text = f"{amount:,.2f}".translate(str.maketrans({",": group or "", ".": decimal}))
        calls.append((f"parse_declared_amount('value', {quoted(decimal)}, {quoted(group)})", text))
        wanted.append(f"{amount:.2f}")
    assert read(warehouse, calls) == wanted


@pytest.mark.parametrize("macro", TEXTS)
def test_texts_lose_the_marks_of_spreadsheets(warehouse, macro):
    calls = [(f"{macro}('value')", text) for text in TEXTS[macro]]
    assert read(warehouse, calls) == list(TEXTS[macro].values())


def test_missing_values_are_empty(warehouse):
    call = """plain_text('value', ["n/a", "it's none"])"""
    texts = ["n/a", " it's none ", "n/a.", ""]
    assert read(warehouse, [(call, text) for text in texts]) == ["", "", "n/a.", ""]


def test_details_are_joined_with_one_blank(warehouse):
    sql = "(select {{ joined_details(['a', 'b', 'c']) }} from (values {}) as v (a, b, c))"
    cases = {
        "('Shop ', '', ' Card  payment')": "Shop Card  payment",
        "('''Tesco', '-', '')": "Tesco",
        "('=\"Tea\"', '=', '')": "Tea =",
        "('', ' ', '-')": None,
        "('a', E'b\\nc', 'd')": "a b\nc d",
    }
    select = " union all ".join(
        f"select {number}, " + sql.replace("{}", row) for number, row in enumerate(cases)
    )
    result = warehouse.dbt("compile", "--quiet", "--inline", select)
    assert result.success
    found = warehouse.query("transformer", result.result.results[0].node.compiled_code)
    assert [value for _, value in sorted(found)] == list(cases.values())
