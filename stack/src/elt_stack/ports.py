"""The stack's ports: the settings that name them, and HTTP sessions with the services there."""

from __future__ import annotations

import socket

import requests

from elt_stack.errors import StackError

# The settings that name a loopback port, and those that name a port of Caddy.
PORTS = ("WAREHOUSE_PORT", "AIRFLOW_PORT", "SUPERSET_PORT")
PUBLIC_PORTS = ("HTTP_PORT", "HTTPS_PORT")


def check_port(port: int, setting: str, address: str = "127.0.0.1") -> None:
    """Check that a port is free.

    Args:
        port: the port's number.
        setting: the setting that chooses this port.
        address: the address on which the port is used.

    Raises:
        StackError: another program listens on the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            return  # a port below 1024: the Docker engine may use it, this process may not
        except OSError as error:
            raise StackError(
                f"port {port} is not free ({error.strerror}): stop the program that uses it, or "
                f"set another {setting} in .env"
            ) from None


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def loopback_session() -> requests.Session:
    """Return an HTTP session that ignores the proxy settings of the shell.

    A proxy cannot reach a service on the loopback address of this machine.
    """
    session = requests.Session()
    session.trust_env = False
    return session
