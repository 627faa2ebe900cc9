"""gunicorn's settings for Superset. The command line sets the address."""

import os
from pathlib import Path

# Threads suffice, because requests mostly wait for the warehouse. Each further process would need
# another 300 MB of memory.
worker_class = "gthread"
workers = 1
threads = 8
# The timeout, in seconds, exceeds the limit for a query (SUPERSET_WEBSERVER_TIMEOUT).
timeout = 90
graceful_timeout = 5
keepalive = 5
# Keep the worker's heartbeat file in memory. A slow disk would block the worker, which updates the
# file twice a second.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# By default, gunicorn believes the X-Forwarded-Proto of a client on this machine.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "")
forwarder_headers = ""  # by default, a client behind the proxy may set SCRIPT_NAME
accesslog = None
errorlog = "-"
loglevel = "warning"
# Since version 25, gunicorn opens a control socket in ~/.gunicorn. All gunicorn servers of a user
# share the path of the socket. The stack does not use it.
control_socket_disable = True
