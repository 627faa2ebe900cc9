"""Check the balance chain on thousands of statements, against a judge that knows the truth.

Each scenario puts all its accounts into one warehouse, because the start of dbt costs seconds.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import date
from pathlib import Path

import chain_oracle
from bank import Bank, Break, Closings
from chain_judge import ACCEPTED, EXPLAINED, NAMED, UNSEEN, Judge
from conftest import Warehouse
from mutations import MUTATIONS, spoil, stated_limit
from statements import Row, displace, edges_by_day, files, statement

MUTATED = 1_000


def wrong_closings(rows: Sequence[Row], found: Closings) -> list[str]:
    """Describe the closing balances of a whole statement that are wrong, missing or guessed."""
    wrong = []
    for day, (known, possible) in chain_oracle.closing_balances(edges_by_day(rows)).items():
        balance = found[rows[0].account, day]
        if {balance} != possible and (balance is not None or len(known) == 1):
            wrong.append(f"account {rows[0].account}, {day}: {balance}, possible are {possible}")
    return wrong


def test_all_files_in_any_order_give_the_true_closing_balances(
    warehouse: Warehouse, rng: random.Random
) -> None:
    bank = Bank(warehouse)
    whole = [statement(rng, f"{number:04}") for number in range(240)]
    displaced = [displace(rng, f"d{number:03}") for number in range(60)]
    loaded_rows = whole + [rows for rows, _ in displaced]
    pieces = [piece for rows in loaded_rows for piece in files(rng, rows)]
    rng.shuffle(pieces)
    pieces[:50] = [[*pieces[n], *pieces[n + 1]] for n in range(0, 100, 2)]  # of several accounts
    del pieces[50:100]
    for begin in range(0, len(pieces), len(pieces) // 3 + 1):
        bank.load(pieces[begin : begin + len(pieces) // 3 + 1])
        loaded = {row for found in bank.files.values() for piece in found.values() for row in piece}
        breaks, closings = bank.breaks(), bank.closings()
        faults = []
        for rows in whole:
            part = [row for row in rows if row in loaded]
            if not part:
                continue
            is_whole = chain_oracle.first_failing_day(edges_by_day(part)) is None
            if is_whole != (not breaks[rows[0].account]):
                faults.append(
                    f"account {rows[0].account}: whole {is_whole}, {breaks[rows[0].account]}"
                )
            if is_whole:
                faults += wrong_closings(part, closings)
        assert not faults, "\n".join(faults)
    for rows, merged in displaced:
        faults += [f"{breaks[rows[0].account]}, {rows}"] if breaks[rows[0].account] else []
        faults += wrong_closings(merged, closings)
    assert not faults, "\n".join(faults)
    reports = bank.reports()
    assert warehouse.dbt("run", "--full-refresh").success
    assert bank.reports() == reports


def test_no_mutation_is_unseen(warehouse: Warehouse, rng: random.Random) -> None:
    bank = Bank(warehouse)
    whole = [statement(rng, f"w{number:03}") for number in range(100)]
    mutated, true, missing = {}, {}, []
    pieces = [piece for rows in whole for piece in files(rng, rows)]
    for number in range(MUTATED):
        account = f"{number:04}"
        kind = list(MUTATIONS)[number % len(MUTATIONS)]
        true[account] = rows = statement(rng, account)
        mutated[account] = spoiled = spoil(rng, kind, rows, statement(rng, "other"))
        pieces += files(rng, spoiled.rows, [spoiled.cut] if spoiled.cut is not None else [])
        if spoiled.cut is not None:
            missing.append([row for row in rows if row not in spoiled.rows])
    rng.shuffle(pieces)
    bank.load(pieces[:1_000])
    bank.load(pieces[1_000:])

    breaks, states = bank.breaks(), bank.states()
    faults = [f"{rows[0].account}: a whole statement" for rows in whole if breaks[rows[0].account]]
    table = {kind: Counter[str]() for kind in MUTATIONS}
    limits = Counter[str]()
    for account, spoiled in mutated.items():
        judge, found = Judge(spoiled, bank.files[account]), breaks[account]
        limit = stated_limit(true[account], spoiled)
        result, wrong = judge.verdict(found, limit)
        table[spoiled.kind].update(tried=1, visible=not limit, **{result: 1})
        limits[limit or ""] += 1
        if states[account][0] != state_of(found) or states[account][6] != len(found):
            wrong.append(f"marts.reconciliation has {states[account]}")
        if wrong:
            faults.append("\n".join([*wrong, judge.describe(found)]))
    publish(table, limits)
    assert not faults, "\n\n".join([f"{len(faults)} faults", *sorted(faults, key=len)])

    bank.load(missing)
    breaks, closings, states = bank.breaks(), bank.closings(), bank.states()
    late = [true[rows[0].account] for rows in missing]
    assert not any(breaks[rows[0].account] for rows in late)
    assert not [fault for rows in late for fault in wrong_closings(rows, closings)]
    assert not [fault for rows in late + whole for fault in wrong_states(rows, states)]
    reports = bank.reports()
    assert warehouse.dbt("run", "--full-refresh").success
    assert bank.reports() == reports


def state_of(found: Sequence[Break]) -> str:
    """Return the state of an account with these breaks."""
    kinds = {broken.kind for broken in found}
    return "broken" if kinds - {"gap"} else "incomplete" if kinds else "reconciled"


def wrong_states(rows: Sequence[Row], states: dict[str, tuple]) -> list[str]:
    """Describe a row of marts.reconciliation that does not fit a whole statement."""
    days = edges_by_day(rows)
    first = min(days)
    known, _ = chain_oracle.closing_balances(days)[max(days)]
    starts, _ = chain_oracle.starts_and_ends(days[first])
    deposits = sum(row.amount for row in rows if row.amount > 0)
    opening, closing = rows[0].edge[0], rows[-1].balance
    state, found_opening, found_closing, *rest = states[rows[0].account]
    expected = [deposits, deposits + opening - closing, len(rows), 0, first, max(days)]
    right = (
        state == "reconciled"
        and found_opening in ([opening] if starts else [None, opening])
        and found_closing in ([closing] if len(known) == 1 else [None, closing])
        and rest == expected
    )
    return [] if right else [f"{states[rows[0].account]}, not {opening, closing, *expected}"]


def test_balances_of_opposite_sign_are_told_apart(warehouse: Warehouse) -> None:
    """If hashes ignored signs, two rows from -1 to 1 would have the sums of a path from -2 to 2."""
    days = [date(2024, 1, day) for day in (1, 2, 3)]
    first, last = Row("1", days[0], -2, -2, "a"), Row("1", days[2], 3, 5, "d")
    twice = [Row("1", days[1], 2, 1, "b"), Row("1", days[1], 2, 1, "c")]
    bank = Bank(warehouse)
    bank.load([[first, *twice, last]])
    assert bank.breaks()["1"]
    assert bank.closings()["1", days[1]] != 2


def test_a_dropped_duplicate_is_named_if_the_balances_need_it(warehouse: Warehouse) -> None:
    day = date(2024, 1, 1)
    into, out = Row("1", day, 100, 100, "in"), Row("1", day, -100, 0, "out")
    earlier, later = Row("1", date(2023, 1, 1), 5, 0, "a"), Row("1", date(2025, 1, 1), 5, 105, "b")
    unneeded = [replace(row, account="2") for row in (into, into, later)]
    Bank(warehouse).load([[earlier, into, out, into, later], unneeded])
    hints = warehouse.query("reporter", "select account_number, hint from marts.balance_breaks")
    assert [account for account, _ in hints] == ["1"]
    assert "line 5 of file_1.csv was dropped as a duplicate" in hints[0][1].lower()


def without_balances(rng: random.Random, rows: list[Row]) -> list[Row]:
    """Leave out the balances of some days, and of the last rows of some other days."""
    days = {row.day: rng.choice(("all", "all", "none", "last")) for row in rows}
    result = []
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        is_last = following is None or following.day != row.day
        bare = days[row.day] == "none" or (days[row.day] == "last" and is_last)
        result.append(replace(row, balance=None) if bare else row)
    return result


def possible_closings(rows: Sequence[Row]) -> dict[date, Set[int]]:
    """Return the balances with which each day can end, by the days up to it.

    The rows of a day without a balance come before all others of the day, or behind them.
    """
    result: dict[date, Set[int]] = {}
    carried: Set[int] | None = None
    for day in sorted({row.day for row in rows}):
        edges = [row.edge for row in rows if row.day == day and row.balance is not None]
        net = sum(row.amount for row in rows if row.day == day and row.balance is None)
        if edges:
            begins = carried and {balance + net for balance in carried}
            first = chain_oracle.possible_ends(edges, begins)
            last = {end + net for end in chain_oracle.possible_ends(edges, carried)}
            carried = first | last
        elif carried:
            carried = {balance + net for balance in carried}
        result[day] = carried or set()
    return result


def test_rows_without_a_balance_add_to_the_last_known_balance(
    warehouse: Warehouse, rng: random.Random
) -> None:
    bank = Bank(warehouse)
    true = {f"{number:04}": statement(rng, f"{number:04}") for number in range(200)}
    stated = {account: without_balances(rng, rows) for account, rows in true.items()}
    stated |= {"n000": [replace(row, balance=None) for row in statement(rng, "n000")]}
    bank.load(piece for rows in stated.values() for piece in files(rng, rows))
    breaks, closings, states = bank.breaks(), bank.closings(), bank.states()
    faults = []
    for account, rows in true.items():
        if breaks[account]:
            faults.append(f"account {account}: {breaks[account]}")
        for day, possible in possible_closings(stated[account]).items():
            balance = [row.balance for row in rows if row.day == day][-1]
            found = closings[account, day]
            if found != (balance if len(possible) == 1 else None):
                faults.append(f"account {account}, {day}: {found}, {balance} in {possible}")
    assert not faults, "\n".join(faults)
    assert states["n000"][0] == "no balances"
    assert {balance for (account, _), balance in closings.items() if account == "n000"} == {None}


def scattered_statement(rng: random.Random, account: str) -> list[Row]:
    """Return a statement in which any row may lack its balance. Amounts hardly ever coincide."""
    balance, rows = rng.randrange(10**7), []
    for day in range(rng.randint(4, 8)):
        for _ in range(rng.randint(3, 7)):
            amount = rng.choice((-1, 1)) * rng.randrange(1, 10**7)
            balance += amount
            stated = None if rng.random() < 0.4 else balance
            details = f"transfer {len(rows)}"
            rows.append(Row(account, date(2024, 1, 1 + day), amount, stated, details))
    return rows


def test_rows_without_a_balance_can_stand_at_several_places_of_a_day(
    warehouse: Warehouse, rng: random.Random
) -> None:
    whole = {f"{number:04}": scattered_statement(rng, f"{number:04}") for number in range(200)}
    # Without a row between two rows with a balance, the amounts no longer add up.
    torn = {}
    for account, rows in whole.items():
        known = [number for number, row in enumerate(rows) if row.balance is not None]
        gone = rng.randrange(known[0] + 1, known[-1])
        torn["n" + account] = [
            replace(row, account="n" + account) for row in rows[:gone] + rows[gone + 1 :]
        ]
    bank = Bank(warehouse)
    bank.load(rows[:: rng.choice((1, -1))] for rows in [*whole.values(), *torn.values()])
    breaks, closings = bank.breaks(), bank.closings()
    assert not {account: found for account, found in breaks.items() if account in whole}
    assert not [account for account in torn if not breaks[account]]
    unknown = 0
    for account, rows in whole.items():
        anchor = next(number for number, row in enumerate(rows) if row.balance is not None)
        balance = rows[anchor].balance - sum(row.amount for row in rows[: anchor + 1])
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            balance += row.amount
            if following is None or following.day != row.day:
                found = closings[account, row.day]
                assert found in (balance, None), (account, row.day)
                unknown += found is None
    assert unknown < len(whole) * 2, unknown


def test_the_amounts_of_rows_without_a_balance_can_cancel_out(warehouse: Warehouse) -> None:
    first, second, third = (date(2024, 1, day) for day in (1, 2, 3))

    def cancelling(account: str, next_balance: int) -> list[Row]:
        amounts = [(5, None), (10, 115), (-5, None)]
        rows = [Row(account, second, amount, balance, "a") for amount, balance in amounts]
        return [*rows, Row(account, third, 1, next_balance, "b")]

    opening = [Row("1", first, 100, 100, "c")]
    # After 100, 105, 115 and 110, the third day begins at 110. In account 2, a row of 5 is missing.
    torn = [replace(opening[0], account="2"), *cancelling("2", 116)]
    begun = cancelling("3", 111)  # the balance before the first row is unknown
    amounts = [(10, 110), (5, None), (5, 120), (1, None), (9, 130)]
    two_loads = [Row("4", first, 100, 100, "c")]
    two_loads += [Row("4", second, amount, balance, "d") for amount, balance in amounts]
    bank = Bank(warehouse)
    pieces = [opening + cancelling("1", 111), torn, begun, two_loads]
    bank.load([*pieces, [Row("4", second, 7, None, "e"), Row("4", third, 1, 138, "f")]])
    assert [(account, found[0].date_after) for account, found in bank.breaks().items()] == [
        ("2", third)
    ]
    closings, states = bank.closings(), bank.states()
    assert [closings["1", day] for day in (first, second, third)] == [100, 110, 111]
    assert closings["4", second] == 137
    assert {account: states[account][1] for account in "134"} == {"1": 0, "3": 100, "4": 0}


def publish(table: dict[str, Counter], limits: Counter) -> None:
    """Print the results, and write them to the folder that RELIABILITY_RESULTS names."""
    columns = ["mutation", "tried", "visible", NAMED, EXPLAINED, ACCEPTED, UNSEEN]
    counts = table | {"all": sum(table.values(), Counter())}
    rows = [[kind, *(found[column] for column in columns[1:])] for kind, found in counts.items()]
    for row in [columns, *rows]:
        print(*row, sep=" | ")
    print("limits:", dict(limits))
    if folder := os.environ.get("RELIABILITY_RESULTS"):
        text = json.dumps({"columns": columns, "rows": rows}, indent=2)
        Path(folder, "balance_chain.json").write_text(text + "\n")
