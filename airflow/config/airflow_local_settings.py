"""Local settings: every process of Airflow imports this module when it starts."""

import ctypes
import json
import os
import signal
import sys


def die_with_parent() -> None:
    """Ask the kernel to kill each forked child when its parent dies (Linux only).

    The scheduler's executor forks workers, and the workers fork tasks. Without this function, the
    workers of a killed scheduler wait forever and ignore SIGTERM. They hold copies of the
    scheduler's connections to the metadata database, so its row locks stay, and the next scheduler
    skips the locked rows. A running task would also continue beside its own retry.

    The function breaks the option `--daemon` of Airflow's commands, because the parent of a daemon
    exits. Supervisor and Docker start Airflow without that option.
    """
    if sys.platform != "linux":
        return
    pr_set_pdeathsig = 1  # from <linux/prctl.h>
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def in_child() -> None:
        nonlocal parent
        libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before prctl took effect
            os._exit(1)
        parent = os.getpid()

    os.register_at_fork(after_in_child=in_child)


def limit_lineage() -> None:
    """Set the transport of OpenLineage's events, so that a receiver that is away costs little.

    With the default transport, each event would be sent up to six times with a timeout of 5 s, and
    the scheduler would wait for up to 30 s for these tries before it stops.
    """
    if not os.environ.get("OPENLINEAGE_URL"):
        return
    key = os.environ.get("OPENLINEAGE_API_KEY")
    transport = {
        "type": "http",
        "url": os.environ["OPENLINEAGE_URL"],
        "timeout": 2,
        "retry": {"total": False},
        "auth": {"type": "api_key", "apiKey": key} if key else {},
    }
    os.environ["AIRFLOW__OPENLINEAGE__TRANSPORT"] = json.dumps(transport)


def turn_on_metrics() -> None:
    """Send Airflow's metrics to OTEL_EXPORTER_OTLP_ENDPOINT, if it is set.

    Airflow needs a switch of its own in addition to OpenTelemetry's standard variables. A receiver
    that does not answer must not hold up a task that ends: it sends its last metrics for at most
    two seconds.
    """
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        os.environ["AIRFLOW__METRICS__OTEL_ON"] = "True"
        os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "2")


die_with_parent()
limit_lineage()
turn_on_metrics()
