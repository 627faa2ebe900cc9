"""A server between a client and Postgres that counts what the client sends and gets.

Whatever driver the client uses, however many connections it opens: this is all that reaches the
server. Format: https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

SIMPLE_QUERY, EXECUTE = b"Q", b"E"


@dataclass
class Traffic:
    """What passed: statements, bytes to the server, bytes from it, over all connections."""

    statements: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, statements: int = 0, sent: int = 0, received: int = 0) -> None:
        """Count; called from the threads of all connections."""
        with self._lock:
            self.statements += statements
            self.bytes_sent += sent
            self.bytes_received += received


class _Statements:
    """Finds the messages in a client's stream that make the server run a statement."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._started = False

    def count(self, data: bytes) -> int:
        """How many begin in this piece of the stream; pieces come in order, cut anywhere."""
        data, found = self._rest + data, 0
        while True:
            skipped = min(self._skip, len(data))
            data, self._skip = data[skipped:], self._skip - skipped
            head = 5 if self._started else 4  # the first message has a length and no type
            if len(data) < head:
                self._rest = data
                return found
            self._skip = int.from_bytes(data[head - 4 : head]) + head - 4
            found += self._started and data[:1] in (SIMPLE_QUERY, EXECUTE)
            self._started = True


def _pass_on(source: socket.socket, target: socket.socket, counted) -> None:
    """Pass all bytes on, and the end, too."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            counted(data)
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _serve(client: socket.socket, address: tuple[str, int], traffic: Traffic) -> None:
    """One connection, to its end."""
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
    """Listens on a port of 127.0.0.1 and passes on to that server; yields port and counts.

    The counts are complete after the block, when every connection has ended. The client has to
    have TLS off (PGSSLMODE=disable, PGGSSENCMODE=disable).
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
