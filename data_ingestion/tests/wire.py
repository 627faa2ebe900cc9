"""A proxy between a client and Postgres that counts statements and bytes.

The counts do not depend on the client's driver or its number of connections.
Message format: https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

SIMPLE_QUERY, EXECUTE = b"Q", b"E"


@dataclass
class Traffic:
    """Statements, bytes to the server and bytes from the server, over all connections."""

    statements: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, statements: int = 0, sent: int = 0, received: int = 0) -> None:
        """Add to the counts. The threads of all connections call this."""
        with self._lock:
            self.statements += statements
            self.bytes_sent += sent
            self.bytes_received += received


class _Statements:
    """Counts the messages in a client's stream that make the server run a statement."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._started = False

    def count(self, data: bytes) -> int:
        """Return how many messages that run a statement begin in the next piece of the stream.

        The pieces must come in order; a piece may end anywhere in a message.
        """
        data, found = self._rest + data, 0
        while True:
            skipped = min(self._skip, len(data))
            data, self._skip = data[skipped:], self._skip - skipped
            head = 5 if self._started else 4  # the first message has a length but no type
            if len(data) < head:
                self._rest = data
                return found
            self._skip = int.from_bytes(data[head - 4 : head]) + head - 4
            found += self._started and data[:1] in (SIMPLE_QUERY, EXECUTE)
            self._started = True


def _pass_on(source: socket.socket, target: socket.socket, counted) -> None:
    """Forward all bytes, then the end of the stream."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            counted(data)
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _serve(client: socket.socket, address: tuple[str, int], traffic: Traffic) -> None:
    """Serve one connection until it ends."""
    statements = _Statements()

    def sent(data: bytes) -> None:
        traffic.add(statements=statements.count(data), sent=len(data))

    with client, socket.create_connection(address) as server:
        back = threading.Thread(
            target=_pass_on, args=(server, client, lambda data: traffic.add(received=len(data)))
        )
        back.start()
        _pass_on(client, server, sent)
        back.join()


@contextlib.contextmanager
def counting(host: str, port: int) -> Iterator[tuple[int, Traffic]]:
    """Run the proxy on a port of 127.0.0.1 for the length of a block.

    The client must turn encryption off (PGSSLMODE=disable, PGGSSENCMODE=disable).

    Args:
        host: Host of the real server.
        port: Port of the real server.

    Yields:
        The proxy's port and the counts, which are complete only after the block.
    """
    traffic, threads = Traffic(), []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):  # the listener was closed
                while True:
                    client = listener.accept()[0]
                    thread = threading.Thread(target=_serve, args=(client, (host, port), traffic))
                    thread.start()
                    threads.append(thread)

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()[1], traffic
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()
