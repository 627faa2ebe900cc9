"""Describe the machine and the versions, so that readers can compare the figures."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

import warehouse
from steps import PROJECT

# The packages that matter for speed, by environment.
PACKAGES = {
    "benchmarks": (
        *("adbc-driver-postgresql", "dlt", "pandas", "polars", "pyarrow", "sqlalchemy"),
        "psycopg2-binary",
    ),
    "data_ingestion": ("pandas", "pyarrow", "numpy", "psycopg2-binary", "xxhash"),
    "dbt": ("dbt-core", "dbt-postgres"),
    "airflow": ("apache-airflow",),
    "superset": ("apache-superset",),
}


def describe() -> dict:
    """Return date, machine, versions of packages, and settings of the server."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "os": _os(),
        },
        "python": platform.python_version(),
        "postgres": warehouse.settings(),
        "versions": {component: _versions(component) for component in PACKAGES},
    }


def _cpu() -> str:
    """Return the name of the processor, on Linux from /proc/cpuinfo."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _os() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, kernel {platform.release()}"
    except OSError:
        return platform.platform()


def _versions(component: str) -> dict[str, str]:
    """Return the versions of a component's packages."""
    folders = (PROJECT / component / ".venv" / "lib").glob("python*/site-packages")
    found = distributions(path=[str(folder) for folder in folders])
    versions = {package.name.lower().replace("_", "-"): package.version for package in found}
    return {name: versions[name] for name in PACKAGES[component] if name in versions}
