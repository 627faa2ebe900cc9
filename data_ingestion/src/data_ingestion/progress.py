"""Show the progress of a load: a bar on a terminal, otherwise a log line every few seconds."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from data_ingestion.errors import printable
from data_ingestion.formats.sources import Source

log = logging.getLogger(__name__)


class Progress:
    """Shows how much of a file was read; `interval` is the time between log lines in seconds."""

    def __init__(self, interval: float = 10.0, bar: bool | None = None) -> None:
        self._interval = interval
        self._bar = sys.stderr.isatty() if bar is None else bar

    @contextmanager
    def of(self, name: str, source: Source) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes the number of rows read so far and shows the progress."""
        name = printable(name, 40)
        if self._bar:
            from tqdm import tqdm  # slow to import, and needed only on a terminal

            with tqdm(total=source.size, desc=name, unit="B", unit_scale=True, leave=False) as bar:

                def advance(rows: int) -> None:
                    bar.set_postfix_str(f"{rows:,} rows", refresh=False)
                    bar.update(source.position() - bar.n)

                yield advance
        else:
            yield self._logger(name, source)

    def _logger(self, name: str, source: Source) -> Callable[[int], None]:
        started = logged = time.monotonic()

        def advance(rows: int) -> None:
            nonlocal logged
            now = time.monotonic()
            if now - logged >= self._interval:
                logged = now
                percent = 100 * source.position() / max(source.size, 1)
                rate = rows / (now - started)
                log.info(
                    "%s: %.0f %%, %s rows, %s rows/s", name, percent, f"{rows:,}", f"{rate:,.0f}"
                )

        return advance
