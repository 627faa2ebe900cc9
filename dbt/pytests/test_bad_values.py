"""Check that invalid values become null, that tests report them, and that no run stops."""

import random

from conftest import WITHOUT_UNIT_TESTS, Warehouse, not_passed

SEED = 20170630
MOST_DIGITS = "9" * 16
DATES = (
    "Feb 30, 17", "Feb 29, 17", "31-Jun-17", "2017-13-01", "2017-02-30", "00-Jan-17", "29/06/17",
    "20170629", "42915", "today", "infinity", "-infinity", "epoch", "now()", "0000-00-00", "Jun 29",
    "٢٩-Jun-17", "2017-06-٢٩", "２９-Jun-17", "Jun\u00a029, 17", "\tJun 29, 17", "Jun 29, 17\n",
    "29-Jun-99999", "Jun 29, 1", "2017-06-29T24:00:00Z", "BC", "allballs", "J2451187",
)  # fmt: skip
AMOUNTS = (
    "1.000,00", "1 000,00", "1\u00a000.00", "1'00.00", "1,00,00.00", "1,5", "₹1,00.00", "$5.005",
    "1 CR", "5.00- Dr", "+5.00", "1e5", "1E400", "1e-400", "NaN", "nan", "Infinity", "-inf",
    "0x1F", "0b1", "0o7", "1_000", "١٢٣", "１２３", "1.005", "1.", ".5", "--1", "-x", "()",
    f"1{MOST_DIGITS}.00", f"-1{MOST_DIGITS}", "9" * 40, "9" * 200_000, "1,000.00\n", "\t1.00",
    "½", "²", "−−5.00", "1.00%", "5.00 5.00", ",", ".", "=1+1",
)  # fmt: skip
TEXTS = (
    "'); drop table raw.transactions; --", "$$; select 1", "{{ 1 / 0 }}", "%s %(x)s", "\\", "\\x00",
    "=cmd|' /C calc'!A0", "\x1b[2J\x1b]0;owned\x07", "\x01\x7f\x85\u2028\u202e", '{"a": "\\u0000"}',
    "NULL", "👩‍👩‍👧‍👦", "e\u0301", "\ufeff", "'", '"',
)  # fmt: skip
ACCOUNTS = (
    "4.09E+11", "4.09e11", "4,09000611074E+11", "4E+11", "-4.09E-5", '="4.09E+11', "409000611074.0",
    "409000611074.00", "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "########", "=1+1", "=B2",
    "Total", "-", "N/A", "null", "٤٠٩", "x1" * 51,
)  # fmt: skip
PARSED = {
    "account_no": ("account_number", ACCOUNTS),
    "date": ("transaction_date", DATES),
    "value_date": ("value_date", DATES),
    "withdrawal_amt": ("withdrawal_amount", AMOUNTS),
    "deposit_amt": ("deposit_amount", AMOUNTS),
    "balance_amt": ("balance_amount", AMOUNTS),
}


def row(number: int, **columns: str) -> dict[str, str]:
    """Return a valid withdrawal of an account of its own, with the given columns replaced."""
    return {
        "account_no": f"{409000600000 + number}'",
        "date": "29-Jun-17",
        "value_date": "29-Jun-17",
        "withdrawal_amt": "5.00",
        "balance_amt": "7.00",
        "details": f"row {number}",
    } | columns


def test_an_unparsable_value_is_null_and_reported_with_its_text(warehouse: Warehouse) -> None:
    rng = random.Random(SEED)  # noqa: S311 - for test data
    print("seed", SEED)
    # A random text cannot be compressed to fit into an index entry.
    long = "".join(rng.choices("0123456789abcdef", k=100_000))
    bad = [(column, text) for column, (_, texts) in PARSED.items() for text in (*texts, long)]
    bad += [(column, text) for column in PARSED if column != "account_no" for text in TEXTS]
    warehouse.load([row(n, **{column: text}) for n, (column, text) in enumerate(bad)], load_id=1)
    assert warehouse.dbt("run").success
    texts = (*TEXTS, long)
    # Two of the texts give the same account, so the balances continue from row to row.
    text_rows = [
        row(n, account_no=f"0{text[:90]}", details=text, balance_amt=f"{-5 * n}.00")
        for n, text in enumerate(texts)
    ]
    warehouse.load(text_rows, load_id=2)
    assert warehouse.dbt("run").success

    assert not_passed(warehouse.dbt("test", *WITHOUT_UNIT_TESTS)) == {
        "every_value_is_parsed": "fail",
        "transaction_date_is_present": "fail",
        "value_date_is_present": "fail",
        "account_number_is_present": "fail",
        "balance_amount_is_present": "fail",
        "withdrawal_or_deposit_is_present": "warn",
    }
    names = [name for name, _ in PARSED.values()]
    found = warehouse.query(
        "reporter",
        f"select failure._unparsed, array[{', '.join(f'staged.{name}::text' for name in names)}]"
        " from audit.every_value_is_parsed as failure"
        " inner join staging.transactions as staged using (transaction_id)"
        " order by failure._source_line",
    )
    differences = []
    for (column, text), (unparsed, values) in zip(bad, found, strict=True):
        name = PARSED[column][0]
        value = values[names.index(name)]
        if unparsed != {name: text.strip(" ")} or value is not None:
            differences.append((column, text[:40], str(unparsed)[:80], value))
    assert differences == []
    details = warehouse.query(
        "reporter",
        "select transaction_details from staging.transactions where _load_id = 2"
        " order by _source_line",
    )
    assert [text for (text,) in details] == list(texts), "a text column was changed"


def test_each_pair_of_amounts_fails_exactly_the_expected_tests(warehouse: Warehouse) -> None:
    both, neither = "ensure_withdrawal_or_deposit", "withdrawal_or_deposit_is_present"
    negative = "{}_amount_is_not_negative".format
    pairs = {
        ("5.00", ""): set(),
        ("", "5.00"): set(),
        ("5.00", "0.00"): set(),  # how some exports write "none"
        ("-0.00", "5.00"): set(),
        ("5.00", "6.00"): {both},
        ("-5.00", "6.00"): {both, negative("withdrawal")},
        ("-5.00", ""): {negative("withdrawal")},
        ("", "(5.00)"): {negative("deposit")},
        ("-0.01", "-0.01"): {both, negative("withdrawal"), negative("deposit")},
        ("", ""): {neither},
        ("0.00", ""): {neither},
        ("0", "-0.00"): {neither},
        ("1,5", ""): {neither, "every_value_is_parsed"},
        ("1,5", "5.00"): {"every_value_is_parsed"},
    }
    rows = [
        row(n, withdrawal_amt=withdrawal, deposit_amt=deposit)
        for n, (withdrawal, deposit) in enumerate(pairs)
    ]
    balances = {"-7.00": set(), "0.00": set(), "": {"balance_amount_is_present"}}
    rows += [row(100 + n, balance_amt=text) for n, text in enumerate(balances)]
    warehouse.load(rows, load_id=1)
    assert warehouse.dbt("run").success
    tests = not_passed(warehouse.dbt("test", *WITHOUT_UNIT_TESTS))
    failures: dict[int, set[str]] = {}
    for test in tests:
        for (line,) in warehouse.query("reporter", f"select _source_line from audit.{test}"):
            failures.setdefault(line, set()).add(test)
    expected = [*pairs.items(), *balances.items()]
    differences = [
        (amounts, failures.get(line, set()))
        for line, (amounts, tests) in enumerate(expected, start=2)
        if failures.get(line, set()) != tests
    ]
    assert differences == []
