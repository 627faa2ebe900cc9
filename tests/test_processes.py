"""What the processes of the stack show of themselves: addresses, command lines, secrets."""

from __future__ import annotations

import contextlib
import itertools

import psutil

from elt_stack.ports import PORTS


def of_each_process(stack, what):
    """What `what` says of each process of the stack, by pid, without those that end meanwhile."""
    said = {}
    for process in [stack.supervisord, *stack.supervisord.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            said[process.pid] = what(process)
    return said


def test_nothing_listens_beyond_loopback(stack):
    connections = of_each_process(stack, lambda process: process.net_connections("inet"))
    assert len(connections) > 4
    listening = {
        connection.laddr
        for connection in itertools.chain(*connections.values())
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in listening} == {"127.0.0.1"}
    ports = {int(stack.environment[name]) for name in PORTS}
    assert {address.port for address in listening} == ports


def test_no_secret_is_in_a_log_or_on_a_command_line(stack):
    values = {
        name: value
        for name, value in stack.environment.items()
        if name.endswith("_PASSWORD") and len(value) > 12
    }
    assert len(values) >= 6
    files = [path for path in (stack.folder / "state" / "logs").glob("**/*") if path.is_file()]
    assert len(files) > 10
    texts = {str(path): path.read_text(errors="replace") for path in files}
    for pid, words in of_each_process(stack, psutil.Process.cmdline).items():
        texts[f"process {pid}"] = " ".join(words)
    found = [
        (place, name)
        for place, text in texts.items()
        for name, value in values.items()
        if value in text
    ]
    assert found == []


def test_airflow_has_no_secret_of_others(stack):
    """A DAG sees what its processes see."""
    others = ("POSTGRES", "REPORTER", "SUPERSET_DB", "SUPERSET_ADMIN")
    values = {stack.environment[f"{name}_PASSWORD"] for name in others}
    assert len(values) == len(others)
    # (A process that has given itself a title may have written it over its environment.)
    seen = [
        environment
        for pid, environment in of_each_process(stack, psutil.Process.environ).items()
        if "AIRFLOW_HOME" in environment and pid != stack.supervisord.pid
    ]
    assert len(seen) >= 2
    for environment in seen:
        assert stack.environment["LOADER_PASSWORD"] in environment["AIRFLOW_CONN_WAREHOUSE_LOADER"]
        assert not [name for name, value in environment.items() if value in values]
        assert "SUPERSET_SECRET_KEY" not in environment
