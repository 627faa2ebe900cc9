"""gunicorn's settings for Superset. The command line sets the address to listen on."""

from pathlib import Path

# Threads suffice, because requests mostly wait for the warehouse. Each further process would take
# another 300 MB of memory.
worker_class = "gthread"
workers = 1
threads = 8
# In seconds. Longer than the limit for a query (SUPERSET_WEBSERVER_TIMEOUT).
timeout = 90
graceful_timeout = 5
keepalive = 5
# The worker updates its heartbeat file twice a second. In memory, a slow disk cannot block it.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
accesslog = None
errorlog = "-"
loglevel = "warning"
# Since version 25, gunicorn offers a control socket in ~/.gunicorn, which all its servers of a user
# share. Nothing here uses it.
control_socket_disable = True
