"""Ports on this machine, and asking what listens there."""

from __future__ import annotations

import socket

import requests

from elt_stack.errors import StackError

PORTS = ("WAREHOUSE_PORT", "AIRFLOW_PORT", "SUPERSET_PORT")  # the settings that name ours


def check_port(port: int, setting: str) -> None:
    """See that nobody listens on a loopback port.

    Raises:
        StackError: somebody does; the message names the setting that moves it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"port {port} is not free ({error.strerror}): stop what uses it, or set another "
                f"{setting} in .env"
            ) from None


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def session() -> requests.Session:
    """A session with a service on loopback, where a proxy of the shell has no business."""
    direct = requests.Session()
    direct.trust_env = False
    return direct
