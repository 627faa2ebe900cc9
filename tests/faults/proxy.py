"""What stands between a loader and the server, and does something bad at one exact moment.

A moment is a number of bytes that passed, or a statement that the loader sends: then the proxy
calls `strike`, which may cut this very connection (`Link`) or hurt somebody else.
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

SO_ATTACH_FILTER = 26  # Linux; Python has no name for it


class Link:
    """One connection through the proxy, and the ways in which it can end."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.broken = False

    def reset(self) -> None:
        """Both ends get an RST, as when a machine in between forgets the connection."""
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.finish()

    def finish(self) -> None:
        """Both ends get a FIN."""
        self.broken = True
        self.client.close()
        self.server.close()

    def silence(self) -> None:
        """No packet passes any more, and none is acknowledged: the cable is pulled.

        A filter on our sockets that keeps 0 bytes of each packet makes our kernel deaf to both.
        """
        self.broken = True
        keep_nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        program = struct.pack("HxxxxxxP", 1, ctypes.addressof(keep_nothing))
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def hold(self) -> None:
        """Nothing passes until the client has hung up."""
        self.broken = True
        self.client.settimeout(60)
        with contextlib.suppress(OSError):
            while self.client.recv(1 << 16):
                pass
        self.finish()


@dataclass
class Moment:
    """When to strike: one of `sent` and `received` (bytes of one connection), `statement`.

    At a statement (the first one that holds this text, and comes after one that holds `after`) it
    happens before the server gets it; when `answered`, before the client gets the answer.
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
    """Listens on `port` of 127.0.0.1 and passes on to the server on another port of it."""

    server_port: int
    sent: int = 0  # bytes, of all connections
    received: int = 0
    struck: threading.Event = field(default_factory=threading.Event)

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

    def arm(self, moment: Moment, strike: Callable[[Link], None]) -> None:
        """Strike once, at the first connection that comes to that moment."""
        self._armed = (moment, strike)

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
        except OSError:  # refused: so are we
            client.close()
            return
        link = Link(client, server)
        self._links.append(link)
        with contextlib.suppress(OSError):  # one of them is gone
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
                    kept = self._due(data, counts[key.fileobj], up)
                    if kept is not None:
                        other[key.fileobj].sendall(data[:kept])
                        self._strike(link)
                        if link.broken:
                            return
                        data = data[kept:]
                    other[key.fileobj].sendall(data)
                    self.sent += len(data) * up
                    self.received += len(data) * (not up)

    def _due(self, data: bytes, count: int, up: bool) -> int | None:
        """How much of this piece still passes before it happens; None: it does not happen here."""
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
        """The statements that have to pass, in this order, before it happens."""
        moment = self._armed[0] if self._armed else Moment()
        return [text for text in (moment.after, moment.statement) if text]

    def _strike(self, link: Link) -> None:
        (_, strike), self._armed = self._armed, None
        self.struck.set()
        strike(link)
