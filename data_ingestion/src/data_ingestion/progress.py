"""Progress for people: a bar on a terminal, otherwise a log line with the rate now and then."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from data_ingestion.errors import printable
from data_ingestion.sources import Source

log = logging.getLogger(__name__)


class Progress:
    """Shows how far files are; `every` is the number of seconds between two log lines."""

    def __init__(self, every: float = 10.0, bar: bool | None = None) -> None:
        self._every = every
        self._bar = sys.stderr.isatty() if bar is None else bar

    @contextmanager
    def of(self, name: str, source: Source) -> Iterator[Callable[[int], None]]:
        """Gives a function that takes the number of rows read so far and shows it."""
        name = printable(name, 40)
        if self._bar:
            from tqdm import tqdm  # a slow import, of use on terminals only

            with tqdm(total=source.size, desc=name, unit="B", unit_scale=True, leave=False) as bar:

                def advance(rows: int) -> None:
                    bar.set_postfix_str(f"{rows:,} rows", refresh=False)
                    bar.update(source.position() - bar.n)

                yield advance
        else:
            yield self._logger(name, source)

    def _logger(self, name: str, source: Source) -> Callable[[int], None]:
        began = said = time.monotonic()

        def advance(rows: int) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= self._every:
                said = now
                share = 100 * source.position() / max(source.size, 1)
                rate = rows / (now - began)
                log.info(
                    "%s: %.0f %%, %s rows, %s rows/s", name, share, f"{rows:,}", f"{rate:,.0f}"
                )

        return advance
