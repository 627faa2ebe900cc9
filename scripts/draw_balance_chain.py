#!/usr/bin/env python3
"""Draw docs/pictures/balance-chain.svg: three days of an account, of which one row is missing.

After a change of this script, run `python3 scripts/draw_balance_chain.py` and commit the picture.
"""

from __future__ import annotations

from pathlib import Path

PICTURE = Path(__file__).parents[1] / "docs/pictures/balance-chain.svg"
# The balances of the account, and the row that leads to each: its amount and its line in the file.
BALANCES = (1000, 1250, 1200, 900, 1320, 1230, 1730, 1700)
LINES = (2, 3, 4, None, 5, 6, 7)  # None: the row is missing
# Each day with the positions of its first and last balance.
DAYS = (("3 March", 0, 2), ("4 March", 2, 5), ("5 March", 5, 7))

WIDTH, HEIGHT, TOP = 980, 420, 76
PAPER, BAND, INK, QUIET, EDGE, BREAK = (
    "#ffffff", "#f1f5f9", "#1e293b", "#64748b", "#0369a1", "#c2410c",
)  # fmt: skip
RADIUS = 36  # half the width of the box around a balance


def x(position: int) -> float:
    """Return the middle of a balance, from left to right in the order of time."""
    return 70 + position * 120


def y(position: int) -> float:
    """Return the height of a balance: a higher balance is further up."""
    return 258 - (BALANCES[position] - 900) * 0.12


def text(left: float, top: float, words: str, color: str = INK, style: str = "") -> str:
    """Return a centred line of text."""
    return f'<text x="{left:.0f}" y="{top:.0f}" fill="{color}" {style}>{words}</text>'


def balance(position: int) -> str:
    """Return the box with a balance. The boxes beside the break have its colour."""
    beside_break = None in LINES[max(position - 1, 0) : position + 1]
    color = BREAK if beside_break else INK
    return (
        f'<rect x="{x(position) - RADIUS:.0f}" y="{y(position) - 13:.0f}" width="{2 * RADIUS}"'
        f' height="26" rx="13" fill="{PAPER}" stroke="{color}" stroke-width="1.5"/>'
        + text(x(position), y(position) + 5, f"{BALANCES[position]:,}.00", color)
    )


def edge(position: int) -> str:
    """Return the arrow from a balance to the next one, with the amount and the line of its row."""
    line, amount = LINES[position], BALANCES[position + 1] - BALANCES[position]
    is_row = line is not None
    color = EDGE if is_row else BREAK
    left, right = x(position) + RADIUS + 2, x(position + 1) - RADIUS - 4
    middle = (left + right) / 2
    heights = y(position), y(position + 1)
    sign = "+" if amount > 0 else "−"
    arrow = (
        f'<line x1="{left}" y1="{y(position):.0f}" x2="{right}" y2="{y(position + 1):.0f}"'
        f' stroke="{color}" stroke-width="2"'
        + (' marker-end="url(#arrow)"/>' if is_row else ' stroke-dasharray="5 5"/>')
    )
    return (
        arrow
        + text(middle, min(heights) - 22, f"{sign}{abs(amount)}.00" if is_row else "no row", color)
        + text(middle, max(heights) + 30, f"line {line}" if is_row else "", QUIET, 'font-size="12"')
    )


def day(name: str, first: int, last: int) -> str:
    """Return the column of a day: its name, and where it starts, where it ends, and the verdict."""
    missing = [position for position in range(first, last) if LINES[position] is None]
    starts = [first, *(position + 1 for position in missing)]
    ends = [*missing, last]
    left, right, middle = x(first), x(last), (x(first) + x(last)) / 2
    color = BREAK if missing else INK
    verdict = "two starts: a break" if missing else "one start, one end: whole"
    names = [" and ".join(f"{BALANCES[p]:,}.00" for p in side) for side in (starts, ends)]
    return (
        f'<rect x="{left + 3:.0f}" y="{TOP - 22}" width="{right - left - 6:.0f}" height="330"'
        f' rx="8" fill="{BAND}"/>'
        + text(middle, TOP, name, INK, 'font-weight="bold"')
        + text(middle, 334, f"starts at {names[0]}", QUIET, 'font-size="12"')
        + text(middle, 352, f"ends at {names[1]}", QUIET, 'font-size="12"')
        + text(middle, 372, verdict, color, 'font-weight="bold"')
    )


def draw() -> str:
    """Return the picture. Its paper is white, because GitHub shows it on white and on black."""
    broken = LINES.index(None)
    before, after = BALANCES[broken], BALANCES[broken + 1]
    report = (
        f"broken, 4 March: {before:,}.00 after line {LINES[broken - 1]}, {after:,}.00 before line"
        f" {LINES[broken + 1]}, difference {after - before}.00"
    )
    title = "Each row leads from one balance to the next"
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
            f' width="{WIDTH}" height="{HEIGHT}" role="img" font-size="14" text-anchor="middle"'
            ' font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif">',
            f"<title>{title}. {report}.</title>",
            '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6"'
            f' markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" fill="{EDGE}"/></marker>',
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="{PAPER}"/>',
            text(WIDTH / 2, 32, title, INK, 'font-size="17" font-weight="bold"'),
            *(day(*each) for each in DAYS),
            *(edge(position) for position in range(len(LINES))),
            *(balance(position) for position in range(len(BALANCES))),
            text(WIDTH / 2, 406, report, BREAK),
            "</svg>\n",
        )
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
