#!/usr/bin/env python3
"""Look up what the lock files name among the known vulnerabilities, and list licences to be read.

    python scripts/check_dependencies.py UV PROJECT ...

pip-audit asks OSV (https://osv.dev), or what OSV_URL names. What was understood and is kept stands
in scripts/allowed_vulnerabilities.toml with a reason and a day until which that counts.

Exit code: 0 nothing was found that is not allowed; 1 something was; 2 the service could not be
asked, or does not know what everybody knows: then nothing is known, and nothing has passed.
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
# Known since 2014 and 2019. A service that has nothing to say of it knows nothing.
CANARY = "jinja2==2.4.1 --hash=sha256:" + "0" * 64 + "\n"
# Licences that ask something of who passes the software on; a person is to read those.
COPYLEFT = re.compile(r"\b[AL]?GPL|Affero|Lesser General|General Public|MPL|Mozilla|EPL|EUPL|CDDL")
LIST_LICENCES = """
import json, importlib.metadata as metadata
def licence(of):
    classifiers = [each.split(" :: ")[-1] for each in of.get_all("Classifier") or []
                   if each.startswith("License ::")]
    said = of["License-Expression"] or "; ".join(classifiers) or of["License"] or ""
    return said.split("\\n")[0]
print(json.dumps({f"{each.name} {each.version}": licence(each.metadata)
                  for each in metadata.distributions() if not each.read_text("direct_url.json")}))
"""


class AuditError(Exception):
    """Why nothing can be said; its text is one line."""


@dataclass(frozen=True, order=True)
class Finding:
    """A known vulnerability of a package in one of the locks."""

    package: str
    version: str
    identity: str
    project: str
    fixed: str


def audit(requirements: str, project: str) -> list[Finding]:
    """Ask for the vulnerabilities of pinned requirements.

    Raises:
        AuditError: there was no answer for each of them.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        command = [PIP_AUDIT, "--requirement", file.name, "--require-hashes", "--disable-pip",
                   "--strict", "--vulnerability-service", "osv", "--format", "json",
                   "--progress-spinner", "off"]  # fmt: skip
        if "OSV_URL" in os.environ:
            command += ["--osv-url", os.environ["OSV_URL"]]
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
        return [
            Finding(package["name"], package["version"], each["id"], project,
                    ", ".join(each["fix_versions"]) or "nowhere yet")
            for package in packages for each in package["vulns"]
        ]  # fmt: skip
    except (ValueError, KeyError):  # its exit code is 1 for a finding and for a traceback
        said = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
        raise AuditError(said[-1]) from None


def allowed(today: date) -> dict[tuple[str, str], str]:
    """Reasons of what is allowed today, by package and identity."""
    entries = tomllib.loads((HERE / "allowed_vulnerabilities.toml").read_text()).get("allowed", [])
    return {
        (each["package"], each["id"]): each["reason"] for each in entries if each["until"] >= today
    }


def vulnerabilities(uv: str, projects: list[str]) -> int:
    """Print what is known of each project's lock; returns how much of it is not allowed.

    Raises:
        AuditError: the service cannot be relied on.
    """
    if not audit(CANARY, "canary"):
        raise AuditError("it knows nothing of jinja2 2.4.1, which has vulnerabilities")
    findings = []
    for project in projects:
        export = [uv, "export", "--quiet", "--frozen", "--no-emit-local", "--all-groups"]
        pinned = subprocess.run(
            [*export, "--project", project], capture_output=True, text=True, check=True
        ).stdout
        findings += audit(pinned, project)
    reasons = allowed(datetime.now(UTC).date())
    bad = 0
    for finding in sorted(findings):
        reason = reasons.get((finding.package, finding.identity))
        bad += reason is None
        print(
            f"  {'✗' if reason is None else '·'} {finding.package} {finding.version} in "
            f"{finding.project}: {finding.identity}, mended in {finding.fixed}"
            + (f" (allowed: {reason})" if reason else "")
        )
    print(f"{len(findings)} known vulnerabilities, {bad} of them not allowed")
    return bad


def licences(projects: list[str]) -> None:
    """Print the packages whose licence a person is to read, and where they are used."""
    used = defaultdict(list)
    for project in projects:
        python = Path(project, ".venv", "bin", "python")
        listed = subprocess.run([python, "-c", LIST_LICENCES], capture_output=True, text=True)
        if listed.returncode != 0:
            raise AuditError(f"{project} has no environment: run `make install-{project}`")
        for package, licence in json.loads(listed.stdout).items():
            used[package, licence].append("tools" if project == "." else project)
    to_read = {key: where for key, where in used.items() if COPYLEFT.search(key[1]) or not key[1]}
    print(f"licences to be read, of {len(used)} packages:")
    for (package, licence), where in sorted(to_read.items()):
        print(f"  {package:<36}{(licence or 'not stated')[:60]:<62}{', '.join(where)}")


def main() -> int:
    """List licences and vulnerabilities."""
    uv, *projects = sys.argv[1:]
    try:
        licences(projects)
        return min(vulnerabilities(uv, projects), 1)
    except AuditError as error:
        print(f"check_dependencies: nothing is known of vulnerabilities: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
