"""What a backup is: a folder with a dump of each database, a manifest and checksums.

20261122T030000Z/
    superset.dump  airflow.dump  warehouse.dump    pg_dump's custom format
    manifest.json                                  what they are of
    SHA256SUMS                                     for `sha256sum --check`, too
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tomllib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from elt_stack.errors import StackError
from elt_stack.runtimes import OWNERS
from elt_stack.settings import PROJECT, Settings

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
# What the metadata's own secrets (connections, variables, databases) are encrypted with.
KEYS = {"airflow": "AIRFLOW__CORE__FERNET_KEY", "superset": "SUPERSET_SECRET_KEY"}
PACKAGES = {"airflow": "apache-airflow", "superset": "apache-superset"}


def dump_file(folder: Path, name: str) -> Path:
    """The dump of the database `name` in a backup."""
    return folder / f"{name}.dump"


@dataclass(frozen=True)
class Dump:
    """One database in a backup.

    Attributes:
        database_size: of the database when it was dumped, in bytes.
        postgres: version of the server.
        holds: what a person would like to know of it, as it was just after.
    """

    database_size: int
    postgres: str
    holds: str


@dataclass(frozen=True)
class Manifest:
    """What stands in a backup's manifest.

    Attributes:
        taken_at: when it was begun, as ISO 8601.
        stack: the kind of stack it is of.
        keys: fingerprints of the keys of `KEYS`, by the settings' names.
        versions: of Airflow and Superset.
        databases: what is in it.
    """

    taken_at: str
    stack: str
    keys: dict[str, str]
    versions: dict[str, str]
    databases: dict[str, Dump]

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of the backup in `folder`, all of whose files are as they were written.

        Raises:
            StackError: it is no backup, not whole, or damaged; the message names the file.
        """
        _check_sums(folder)
        try:
            content = json.loads((folder / MANIFEST).read_text())
            if content.pop("format") == FORMAT:
                dumps = content.pop("databases")
                return cls(databases={name: Dump(**dumps[name]) for name in OWNERS}, **content)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise StackError(f"{folder}: {MANIFEST} is none of a backup") from None
        raise StackError(f"{folder} was made by another version of this project: use that one")

    def write(self, folder: Path, sums: dict[str, str]) -> None:
        """Write it, and the sha256 of all files, of which `sums` has those of the dumps by name.

        Raises:
            OSError: it could not be written.
        """
        text = json.dumps({"format": FORMAT} | asdict(self), indent=2) + "\n"
        (folder / MANIFEST).write_text(text)
        sums = sums | {MANIFEST: hashlib.sha256(text.encode()).hexdigest()}
        (folder / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))

    def check_fits(self, settings: Settings, names: Collection[str]) -> None:
        """See that this project, with these settings, can use those databases of the backup.

        Raises:
            StackError: it cannot; the message says what to do.
        """
        for name in (name for name in KEYS if name in names):
            key = KEYS[name]
            if not fingerprint_fits(settings[key], self.keys[key]):
                raise StackError(
                    f"{key} in .env is not the one this backup was made with, and what {name} has "
                    "encrypted could not be read: put that .env back, or restore ONLY=warehouse"
                )
            here = locked_version(name)
            if _numbers(self.versions[name]) > _numbers(here):
                raise StackError(
                    f"this backup is of {name} {self.versions[name]}, and here is {here}: use the "
                    "version of this project that it was made with"
                )


def _check_sums(folder: Path) -> None:
    """See that each file of a backup is there and is what was written.

    Raises:
        StackError: one is not, or there are no checksums.
    """
    expected = sorted([MANIFEST, *(dump_file(folder, name).name for name in OWNERS)])
    if not (folder / SUMS).is_file():
        raise StackError(f"{folder} is no backup, or not a whole one: it has no {SUMS}")
    lines = (folder / SUMS).read_text(errors="replace").splitlines()
    sums = [line.partition("  ")[::2] for line in lines]
    if [name for _, name in sums] != expected:
        raise StackError(f"{folder} is damaged: {SUMS} does not name its files")
    for sha256, name in sums:
        try:
            with (folder / name).open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as error:
            raise StackError(f"{folder} is damaged: {name}: {error.strerror}") from None
        if found != sha256:
            raise StackError(f"{folder} is damaged: {name} is not what was written")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def fingerprint(key: str) -> str:
    """What tells whether a key is this one, and from which nobody can tell the key."""
    return _scrypt(key, secrets.token_hex(16))


def fingerprint_fits(key: str, known: str) -> bool:
    """Whether a fingerprint is that of this key."""
    return secrets.compare_digest(_scrypt(key, known.partition("$")[0]), known)


def _scrypt(key: str, salt: str) -> str:
    digest = hashlib.scrypt(key.encode(), salt=salt.encode(), n=2**14, r=8, p=1)
    return f"{salt}${digest.hex()}"


def locked_version(component: str) -> str:
    """The version of Airflow or Superset that this project runs."""
    lock = tomllib.loads((PROJECT / component / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    return packages[PACKAGES[component]]["version"]
