"""The stack's processes listen on loopback only and expose no secret."""

from __future__ import annotations

import contextlib
import itertools

import psutil

from elt_stack.ports import PORTS


def for_each_process(stack, function):
    """Call the function with each process of the stack; return its results by pid."""
    results = {}
    for process in [stack.supervisord, *stack.supervisord.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # the process has ended in the meantime
            results[process.pid] = function(process)
    return results


def test_the_stack_listens_on_loopback_only(stack):
    connections = for_each_process(stack, lambda process: process.net_connections("inet"))
    assert len(connections) > 4
    listening = {
        connection.laddr
        for connection in itertools.chain(*connections.values())
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in listening} == {"127.0.0.1"}
    ports = {int(stack.environment[name]) for name in PORTS}
    assert {address.port for address in listening} == ports


def test_no_log_or_command_line_contains_a_secret(stack):
    assert len(stack.passwords) >= 6
    files = [path for path in (stack.folder / "state" / "logs").glob("**/*") if path.is_file()]
    assert len(files) > 10
    texts = {str(path): path.read_text(errors="replace") for path in files}
    for pid, words in for_each_process(stack, psutil.Process.cmdline).items():
        texts[f"process {pid}"] = " ".join(words)
    found = [
        (source, name)
        for source, text in texts.items()
        for name, value in stack.passwords.items()
        if value in text
    ]
    assert found == []


def test_airflow_has_no_secret_of_other_services(stack):
    """Any DAG could read the secrets in the environment of Airflow's processes."""
    foreign = ("POSTGRES", "REPORTER", "SUPERSET_DB", "SUPERSET_ADMIN")
    values = {stack.environment[f"{name}_PASSWORD"] for name in foreign}
    assert len(values) == len(foreign)
    # A process that sets its title may overwrite its environment. Such processes are not checked.
    environments = [
        environment
        for pid, environment in for_each_process(stack, psutil.Process.environ).items()
        if "AIRFLOW_HOME" in environment and pid != stack.supervisord.pid
    ]
    assert len(environments) >= 2
    for environment in environments:
        assert stack.environment["LOADER_PASSWORD"] in environment["AIRFLOW_CONN_WAREHOUSE_LOADER"]
        assert not [name for name, value in environment.items() if value in values]
        assert "SUPERSET_SECRET_KEY" not in environment
