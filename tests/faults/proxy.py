"""A proxy between a loader and Postgres that injects one fault at an exact moment.

The moment is given as a number of transferred bytes or as a statement that the loader sends. At
this moment the proxy calls a function, which may break the connection (`Link`) or kill a process.
"""

from __future__ import annotations

import contextlib
import ctypes
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

SO_ATTACH_FILTER = 26  # Linux's value; Python's socket module does not define the constant


class Link:
    """One connection through the proxy, and the ways to break it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.broken = False

    def reset(self) -> None:
        """Send an RST to both ends, as when a router forgets the connection."""
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.finish()

    def finish(self) -> None:
        """Close both ends, which sends each a FIN."""
        self.broken = True
        self.client.close()
        self.server.close()

    def silence(self) -> None:
        """Drop all packets without an acknowledgement, like an unplugged cable.

        A socket filter that accepts 0 bytes of each packet makes the kernel drop the packets.
        """
        self.broken = True
        accept_nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        program = struct.pack("HxxxxxxP", 1, ctypes.addressof(accept_nothing))
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def hold(self) -> None:
        """Forward nothing until the client closes the connection."""
        self.broken = True
        self.client.settimeout(60)
        with contextlib.suppress(OSError):
            while self.client.recv(1 << 16):
                pass
        self.finish()


@dataclass
class Moment:
    """The moment of a fault. Exactly one of `sent`, `received` and `statement` is set.

    Attributes:
        sent: Bytes that the client has sent on one connection.
        received: Bytes that the client has received on one connection.
        statement: Text of a statement. The fault happens before the server receives the first
            statement with this text.
        answered: True to inject the fault later: after the server has executed the statement,
            and before the client receives the answer.
        after: Text of an earlier statement. An occurrence of `statement` before it is ignored.
    """

    sent: int | None = None
    received: int | None = None
    statement: bytes | None = None
    answered: bool = False
    after: bytes = b""

    def __str__(self) -> str:
        if self.statement:
            return f"{'the answer to ' if self.answered else ''}{self.statement.decode()}"
        return f"{self.sent or self.received:,} bytes {'sent' if self.sent else 'received'}"


@dataclass
class Proxy:
    """A proxy that listens on `port` of 127.0.0.1 and forwards to `server_port` of 127.0.0.1."""

    server_port: int
    sent: int = 0  # bytes over all connections
    received: int = 0
    injected: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Proxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._armed: tuple[Moment, Callable[[Link], None]] | None = None
        self._threads: list[threading.Thread] = []
        self._links: list[Link] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for thread in self._threads:
            thread.join()
        for link in self._links:
            link.finish()

    def arm(self, moment: Moment, inject: Callable[[Link], None]) -> None:
        """Call `inject` once, with the first connection that reaches the moment."""
        self._armed = (moment, inject)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client = self._listener.accept()[0]
                thread = threading.Thread(target=self._serve, args=(client,))
                thread.start()
                self._threads.append(thread)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.server_port))
        except OSError:  # the server refused the connection, so refuse the client's
            client.close()
            return
        link = Link(client, server)
        self._links.append(link)
        with contextlib.suppress(OSError):  # an end closed its connection
            self._pass_on(link)
        if not link.broken:
            link.finish()

    def _pass_on(self, link: Link) -> None:
        counts = {link.client: 0, link.server: 0}
        other = {link.client: link.server, link.server: link.client}
        self._awaited = self._texts()
        with selectors.DefaultSelector() as ready:
            for end in counts:
                ready.register(end, selectors.EVENT_READ)
            while not link.broken:
                for key, _ in ready.select():
                    data = key.fileobj.recv(1 << 16)
                    if not data:
                        return
                    counts[key.fileobj] += len(data)
                    up = key.fileobj is link.client
                    before = self._bytes_before_fault(data, counts[key.fileobj], up)
                    if before is not None:
                        other[key.fileobj].sendall(data[:before])
                        self._inject(link)
                        if link.broken:
                            return
                        data = data[before:]
                    other[key.fileobj].sendall(data)
                    self.sent += len(data) * up
                    self.received += len(data) * (not up)

    def _bytes_before_fault(self, data: bytes, count: int, up: bool) -> int | None:
        """Return how many bytes of `data` to forward before the fault, or None without a fault.

        Args:
            data: The next piece of one direction's stream.
            count: Bytes of that direction so far, including `data`.
            up: True for the direction from client to server.
        """
        if self._armed is None:
            return None
        moment = self._armed[0]
        if moment.statement:
            while up and self._awaited and self._awaited[0] in data:
                del self._awaited[0]
            return None if self._awaited or up == moment.answered else 0
        at = moment.sent if up else moment.received
        return None if at is None or count < at else len(data) - (count - at)

    def _texts(self) -> list[bytes]:
        """Return the statements that the client must send, in this order, before the fault."""
        moment = self._armed[0] if self._armed else Moment()
        return [text for text in (moment.after, moment.statement) if text]

    def _inject(self, link: Link) -> None:
        (_, inject), self._armed = self._armed, None
        self.injected.set()
        inject(link)
