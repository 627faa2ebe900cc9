"""How gunicorn serves Superset; the address to listen on is given on its command line."""

from pathlib import Path

# Requests wait for the warehouse most of the time, so threads do: one process keeps what it has
# learnt of the metadata in memory once, and takes 300 MB once.
worker_class = "gthread"
workers = 1
threads = 8
# Longer than the longest query may take (SUPERSET_WEBSERVER_TIMEOUT).
timeout = 90
graceful_timeout = 5
keepalive = 5
# A sign of life is written to a file twice a second: in memory, where a disk cannot stall it.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
accesslog = None
errorlog = "-"
loglevel = "warning"
