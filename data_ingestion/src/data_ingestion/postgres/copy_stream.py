"""A file for COPY that one thread writes while another thread sends it to the server."""

from contextlib import suppress
from queue import Empty, Full, Queue

from data_ingestion.postgres.copy_format import COPY_BEGIN, COPY_END


class CopyStream:
    """Rows in COPY's binary format, block by block.

    `read` waits for the next block, and `write` waits while the block before is unread. Memory
    therefore holds at most three blocks.
    """

    def __init__(self) -> None:
        self._blocks: Queue[bytes | memoryview | None] = Queue(maxsize=1)  # None: no more blocks
        self._unread = memoryview(COPY_BEGIN)
        self._cancelled = False
        self._has_reader = True

    def write(self, block: bytes | memoryview) -> bool:
        """Add rows; return false if nobody reads them, because the COPY has failed."""
        self._put(block)
        return self._has_reader

    def close(self) -> None:
        """End the file, so that the server stores the rows."""
        self._put(COPY_END)
        self._put(None)

    def cancel(self) -> None:
        """Make the COPY fail when it reads the next block. Does not wait."""
        self._cancelled = True
        with suppress(Full):  # then the reader is not waiting for a block
            self._blocks.put_nowait(None)

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; none at the end of the file.

        Raises:
            InterruptedError: The writer has cancelled the COPY.
        """
        while not self._unread:
            block = None if self._cancelled else self._blocks.get()
            if self._cancelled:
                raise InterruptedError("the rows are not complete")
            if block is None:
                return b""
            self._unread = memoryview(block)
        part, self._unread = self._unread[:size], self._unread[size:]
        return bytes(part)

    def stop_reading(self) -> None:
        """Let no writer wait for the reader any more."""
        self._has_reader = False
        with suppress(Empty):
            self._blocks.get_nowait()

    def _put(self, block: bytes | memoryview | None) -> None:
        # If `stop_reading` runs between these two lines, the queue is empty and takes the block.
        if self._has_reader:
            self._blocks.put(block)
