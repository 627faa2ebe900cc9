"""Check the judge of balance chains against all orders of a few rows."""

import itertools
import random

import chain_oracle
import pytest
from mutations import MUTATIONS, spoil
from statements import displace, edges_by_day, statement


def ends_of_all_orders(edges, begins):
    """Try all orders of the edges."""
    return {
        order[-1][1]
        for order in itertools.permutations(edges)
        if all(one[1] == next_[0] for one, next_ in itertools.pairwise(order))
        and (begins is None or order[0][0] in begins)
    }


def test_the_judge_finds_what_all_orders_find(rng: random.Random) -> None:
    for _ in range(2_000):
        edges = [(rng.randrange(4), rng.randrange(4)) for _ in range(rng.randint(1, 5))]
        begins = rng.choice((None, {0, 1}, {rng.randrange(4)}))
        found = chain_oracle.possible_ends(edges, begins)
        assert found == ends_of_all_orders(edges, begins), (edges, begins)


@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_statement_is_whole_until_it_is_spoiled(kind: str, rng: random.Random) -> None:
    seen = 0
    for _ in range(200):
        rows = statement(rng, "1")
        assert chain_oracle.first_failing_day(edges_by_day(rows)) is None
        assert chain_oracle.break_count(edges_by_day(rows)) == 0
        days = edges_by_day(spoil(rng, kind, rows, statement(rng, "2")).rows)
        seen += chain_oracle.first_failing_day(days) is not None
        assert (chain_oracle.first_failing_day(days, exact=False) is None) == (
            chain_oracle.break_count(days) == 0
        )
    assert seen > 100


def test_mixed_days_are_whole_together(rng: random.Random) -> None:
    mixed, merged = displace(rng, "1")
    assert chain_oracle.break_count(edges_by_day(mixed)) > 0
    assert chain_oracle.is_whole_with_merged_days(edges_by_day(mixed))
    assert chain_oracle.first_failing_day(edges_by_day(merged)) is None
