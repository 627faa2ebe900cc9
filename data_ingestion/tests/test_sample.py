"""The sample's truth file matches a second count, made from the CSV with csv and Decimal only."""

import csv
import json
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from data_ingestion.errors import InputError
from data_ingestion.sample import write_sample

COMMITTED = Path(__file__).parents[1] / "data" / "transactions_data.csv"


def amount(text: str) -> Decimal:
    return Decimal(text.replace(",", "")) if text else Decimal()


def day(text: str) -> datetime:
    return datetime.strptime(text, "%b %d, %y")


def count(path: Path) -> dict:
    """Compute the truth about a sample from its lines."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [tuple(row) for row in csv.reader(file)][1:]
    distinct = list(dict.fromkeys(rows))
    accounts: dict[str, dict] = {}
    for number, _, _, _, _, withdrawal, deposit, balance, dot in distinct:
        assert number.endswith("'") and dot == "."
        assert (withdrawal == "") != (deposit == "")
        account = accounts.setdefault(
            number[:-1], {"transactions": 0, "withdrawals": Decimal(), "deposits": Decimal()}
        )
        account["transactions"] += 1
        account["withdrawals"] += amount(withdrawal)
        account["deposits"] += amount(deposit)
        assert amount(balance) == account["deposits"] - account["withdrawals"], "running balance"
        account["balance"] = amount(balance)
    days = [day(row[1]) for row in distinct]
    return {
        "rows": len(rows),
        "distinct_rows": len(distinct),
        "duplicates": len(rows) - len(distinct),
        "backdated": sum(day(row[4]) < day(row[1]) for row in distinct),
        "accounts": {
            number: {key: str(value) for key, value in account.items()}
            | {"transactions": account["transactions"]}
            for number, account in accounts.items()
        },
        "first_date": min(days).date().isoformat(),
        "last_date": max(days).date().isoformat(),
    }


@pytest.mark.parametrize(("rows", "seed"), [(1_000, 1), (1_234, 2), (5_001, 3)])
def test_the_truth_file_matches_the_sample(tmp_path, rows, seed):
    path = tmp_path / "sample.csv"
    truth = write_sample(rows, seed, path)
    assert json.loads((tmp_path / "sample.truth.json").read_text()) == truth
    assert {"seed": seed} | count(path) == truth
    assert truth["rows"] == rows
    assert truth["duplicates"] == round(rows * 0.005)
    assert truth["backdated"] == round(truth["distinct_rows"] * 0.003)
    withdrawn = [Decimal(account["withdrawals"]) for account in truth["accounts"].values()]
    assert sorted(total > 1_000_000_000 for total in withdrawn) == [False] * 5 + [True] * 5
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_the_committed_sample_matches_the_generator(tmp_path):
    path = tmp_path / "transactions_data.csv"
    write_sample(20_000, 1, path)
    assert path.read_bytes() == COMMITTED.read_bytes()
    truth = path.with_suffix(".truth.json")
    assert truth.read_bytes() == COMMITTED.with_suffix(".truth.json").read_bytes()


def test_the_sample_has_the_quirks_of_the_export():
    lines = COMMITTED.read_text(encoding="utf-8").splitlines()
    assert lines[0] == (
        "Account No,DATE,TRANSACTION DETAILS,CHQ.NO.,VALUE DATE,"
        " WITHDRAWAL AMT , DEPOSIT AMT ,BALANCE AMT,."
    )
    assert lines[1].startswith("409000611074',\"") and lines[1].endswith(
        ',,"1,000,000.00 ","1,000,000.00 ",.'
    )
    with COMMITTED.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    assert any("  " in row[2] for row in rows) and any("," in row[2] for row in rows)
    cheques = [row[3] for row in rows if row[3]]
    assert 0 < len(cheques) < len(rows) / 2 and all(map(str.isdigit, cheques))
    assert {row[1][-2:] for row in rows} == {"15", "16", "17", "18", "19"}
    positions: dict[tuple, list[int]] = {}
    for position, row in enumerate(rows):
        positions.setdefault(tuple(row), []).append(position)
    copies = Counter(map(len, positions.values()))
    assert set(copies) == {1, 2}
    distances = [found[1] - found[0] for found in positions.values() if len(found) == 2]
    assert max(distances) > 1_000, "some copies are far apart"


def test_another_seed_gives_another_file(tmp_path):
    write_sample(1_000, 1, tmp_path / "a.csv")
    write_sample(1_000, 2, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "b.csv").read_bytes()


def test_an_impossible_sample_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least 1,000 rows"):
        write_sample(999, 1, tmp_path / "a.csv")
    with pytest.raises(InputError, match="cannot write"):
        write_sample(1_000, 1, tmp_path / "none" / "a.csv")
    assert list(tmp_path.iterdir()) == []
