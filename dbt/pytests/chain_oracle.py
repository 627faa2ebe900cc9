"""An exact judge of balance chains. It shares no code with the models.

A row is an edge from the balance before it to the balance after it. The statement of an account is
whole if the edges of each day can be ordered so that the edges of all days form one path.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date

Edge = tuple[int, int]
Days = Mapping[date, Sequence[Edge]]


def starts_and_ends(edges: Iterable[Edge]) -> tuple[Counter[int], Counter[int]]:
    """Return the balances that more edges leave than reach, and the other way round."""
    edges = list(edges)
    befores, afters = Counter(before for before, _ in edges), Counter(after for _, after in edges)
    return befores - afters, afters - befores


def is_connected(edges: Sequence[Edge]) -> bool:
    """Return whether the edges are in one piece, whatever their directions."""
    reached, rest = set(edges[0]), list(edges)
    while touching := [edge for edge in rest if reached & set(edge)]:
        reached.update(*touching)
        rest = [edge for edge in rest if edge not in touching]
    return not rest


def possible_ends(edges: Sequence[Edge], begins: Set[int] | None, exact: bool = True) -> Set[int]:
    """Return the balances at which a path over all edges can end.

    Args:
        edges: the rows of one day.
        begins: the balances at which the path may begin; None means any.
        exact: False leaves out the check that the edges are connected, as the definition does.
    """
    starts, ends = starts_and_ends(edges)
    if starts.total() > 1 or (exact and not is_connected(edges)):
        return set()
    if starts:
        return set(ends) if begins is None or begins & starts.keys() else set()
    balances = {balance for edge in edges for balance in edge}
    return balances if begins is None else balances & begins


def first_failing_day(days: Days, exact: bool = True) -> date | None:
    """Return the first day by which the edges are not one path."""
    carried: Set[int] | None = None
    for day in sorted(days):
        carried = possible_ends(days[day], carried, exact)
        if not carried:
            return day
    return None


def is_whole_with_merged_days(days: Days, carried: Set[int] | None = None) -> bool:
    """Return whether the definition can accept the days, if it merges a torn day with others.

    This is the weakest reading of the definition: a day with several starts merges with any number
    of days beside it, and edges need not be connected.
    """
    in_order = sorted(days)
    for count in range(1, len(days) + 1):
        window = [days[day] for day in in_order[:count]]
        if count > 1 and not any(starts_and_ends(edges)[0].total() > 1 for edges in window):
            continue
        ends = possible_ends([edge for edges in window for edge in edges], carried, exact=False)
        rest = {day: days[day] for day in in_order[count:]}
        if ends and is_whole_with_merged_days(rest, ends):
            return True
    return not days


def break_count(days: Days) -> int:
    """Count the breaks by the definition, without merging days."""
    carried: Set[int] | None = None
    count = 0
    for day in sorted(days):
        starts, ends = starts_and_ends(days[day])
        if starts:
            count += starts.total() - (1 if carried is None or carried & starts.keys() else 0)
            carried = set(ends)
        else:
            balances = {balance for edge in days[day] for balance in edge}
            kept = balances if carried is None else carried & balances
            count += not kept
            carried = kept or balances
    return count


def is_doubled(days: Days) -> bool:
    """Return whether the removal of one copy of an edge leaves fewer breaks."""
    whole = break_count(days)
    for day, edges in days.items():
        for edge in [edge for edge, copies in Counter(edges).items() if copies > 1]:
            fewer = list(edges)
            fewer.remove(edge)
            if break_count({**days, day: fewer}) < whole:
                return True
    return False


def closing_balances(days: Days) -> dict[date, tuple[Set[int], Set[int]]]:
    """Return the balances with which each day can end, by the days up to it and by all days."""
    forward: dict[date, Set[int]] = {}
    carried: Set[int] | None = None
    for day in sorted(days):
        carried = forward[day] = possible_ends(days[day], carried)
    result = {}
    carried = None
    for day in sorted(days, reverse=True):
        result[day] = (forward[day], forward[day] if carried is None else forward[day] & carried)
        carried = possible_ends([(after, before) for before, after in days[day]], carried)
    return result
