#!/usr/bin/env python3
"""Report known vulnerabilities of the locked packages, and licences that a person must read.

    python scripts/check_dependencies.py UV PROJECT ...

pip-audit asks OSV (https://osv.dev), or the service in OSV_URL. The file
scripts/allowed_vulnerabilities.toml lists accepted vulnerabilities, each with a reason and an
expiry date.

Exit codes:
    0  There is no known vulnerability, except accepted ones.
    1  At least one known vulnerability is not accepted.
    2  Nothing was checked: the service did not answer, or did not report a vulnerability that is
       known to exist.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
PIP_AUDIT = Path(sys.executable).with_name("pip-audit")
# jinja2 2.4.1 has vulnerabilities from 2014 and 2019. A service that reports none does not work.
CANARY = "jinja2==2.4.1 --hash=sha256:" + "0" * 64 + "\n"
# Licences with obligations for those who distribute the software.
COPYLEFT = re.compile(r"\b[AL]?GPL|Affero|Lesser General|General Public|MPL|Mozilla|EPL|EUPL|CDDL")
LIST_LICENCES = """
import json, importlib.metadata as metadata
def licence(package):
    classifiers = [each.split(" :: ")[-1] for each in package.get_all("Classifier") or []
                   if each.startswith("License ::")]
    text = package["License-Expression"] or "; ".join(classifiers) or package["License"] or ""
    return text.split("\\n")[0]
print(json.dumps({f"{each.name} {each.version}": licence(each.metadata)
                  for each in metadata.distributions() if not each.read_text("direct_url.json")}))
"""


class ServiceError(Exception):
    """The check could not run. The message states the reason in one line."""


@dataclass(frozen=True, order=True)
class Vulnerability:
    """A known vulnerability of a package in one project's lock."""

    package: str
    version: str
    identifier: str  # for example PYSEC-2026-1
    project: str
    fixed_in: str


def look_up(requirements: str, project: str) -> list[Vulnerability]:
    """Look up the vulnerabilities of pinned requirements.

    Args:
        requirements: the text of a requirements.txt with versions and hashes.
        project: the folder of the project, for the report.

    Raises:
        ServiceError: the service did not answer for every package.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        command = [str(PIP_AUDIT), "--requirement", file.name, "--require-hashes", "--disable-pip",
                   "--strict", "--vulnerability-service", "osv", "--format", "json",
                   "--progress-spinner", "off"]  # fmt: skip
        if "OSV_URL" in os.environ:
            command += ["--osv-url", os.environ["OSV_URL"]]
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
        return [
            Vulnerability(package["name"], package["version"], each["id"], project,
                          ", ".join(each["fix_versions"]) or "no version yet")
            for package in packages for each in package["vulns"]
        ]  # fmt: skip
    except (ValueError, KeyError):  # pip-audit exits with 1 for a finding and for a traceback
        lines = done.stderr.strip().splitlines() or ["pip-audit printed nothing"]
        raise ServiceError(lines[-1]) from None


def accepted(today: date) -> dict[tuple[str, str], str]:
    """Read the reasons of accepted vulnerabilities that have not expired.

    Returns:
        The reasons, by package and identifier.
    """
    entries = tomllib.loads((HERE / "allowed_vulnerabilities.toml").read_text()).get("allowed", [])
    return {
        (each["package"], each["id"]): each["reason"] for each in entries if each["until"] >= today
    }


def vulnerabilities(uv: str, projects: list[str]) -> int:
    """Print the known vulnerabilities of each project's lock.

    Returns:
        The number of vulnerabilities that are not accepted.

    Raises:
        ServiceError: the service does not work.
    """
    if not look_up(CANARY, "canary"):
        raise ServiceError("the service reports none for jinja2 2.4.1, which has known ones")
    found = []
    for project in projects:
        export = [uv, "export", "--quiet", "--frozen", "--no-emit-local", "--all-groups"]
        pinned = subprocess.run(
            [*export, "--project", project], capture_output=True, text=True, check=True
        ).stdout
        found += look_up(pinned, project)
    reasons = accepted(datetime.now(UTC).date())
    rejected = 0
    for each in sorted(found):
        reason = reasons.get((each.package, each.identifier))
        rejected += reason is None
        print(
            f"  {'✗' if reason is None else '·'} {each.package} {each.version} in "
            f"{each.project}: {each.identifier}, fixed in {each.fixed_in}"
            + (f" (accepted: {reason})" if reason else "")
        )
    print(f"{len(found)} known vulnerabilities, {rejected} of them not accepted")
    return rejected


def licences(projects: list[str]) -> None:
    """Print the packages with a copyleft or unknown licence, and the projects that use them.

    Raises:
        ServiceError: a project has no environment yet.
    """
    used: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for project in projects:
        python = Path(project, ".venv", "bin", "python")
        listed = subprocess.run([python, "-c", LIST_LICENCES], capture_output=True, text=True)
        if listed.returncode != 0:
            raise ServiceError(f"{project} has no environment, run `make install-{project}`")
        for package, licence in json.loads(listed.stdout).items():
            used[package, licence].append("tools" if project == "." else project)
    to_read = {key: users for key, users in used.items() if COPYLEFT.search(key[1]) or not key[1]}
    print(f"copyleft or unknown licences, of {len(used)} packages:")
    for (package, licence), users in sorted(to_read.items()):
        print(f"  {package:<36}{(licence or 'not stated')[:60]:<62}{', '.join(users)}")


def main() -> int:
    """Print licences and vulnerabilities, and return the exit code."""
    uv, *projects = sys.argv[1:]
    try:
        licences(projects)
        return min(vulnerabilities(uv, projects), 1)
    except ServiceError as error:
        print(f"check_dependencies: cannot check for vulnerabilities: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
