"""The format of a backup: a folder with a dump of each database, a manifest and checksums.

20261122T030000Z/
    superset.dump  airflow.dump  warehouse.dump    in pg_dump's custom format
    manifest.json                                  versions, sizes and key fingerprints
    SHA256SUMS                                     checksums, in the format of `sha256sum --check`
"""

from __future__ import annotations

import hashlib
import hmac
import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elt_stack.errors import StackError
from elt_stack.runtime_base import OWNERS
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings

FORMAT = 2
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
# The keys that encrypt secrets in the metadata databases: connections, variables, passwords.
KEYS = {"airflow": "AIRFLOW__CORE__FERNET_KEY", "superset": "SUPERSET_SECRET_KEY"}
PACKAGES = {"airflow": "apache-airflow", "superset": "apache-superset"}


def dump_file(folder: Path, name: str) -> Path:
    """Return the path of a database's dump in a backup."""
    return folder / f"{name}.dump"


@dataclass(frozen=True)
class Dump:
    """A database in a backup.

    Attributes:
        database_size: the size of the database when it was dumped, in bytes.
        postgres: the version of its server.
        contents: a summary of the database, for people.
    """

    database_size: int
    postgres: str
    contents: str


@dataclass(frozen=True)
class Manifest:
    """The manifest of a backup.

    Attributes:
        taken_at: the time when the backup began, as ISO 8601.
        stack: the name of the runtime.
        keys: the fingerprints of the keys in `KEYS`, by setting.
        versions: the versions of Airflow and Superset.
        databases: the dumps, by database.
    """

    taken_at: str
    stack: str
    keys: dict[str, str]
    versions: dict[str, str]
    databases: dict[str, Dump]

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read a manifest, after a check of the checksums of all files.

        Raises:
            StackError: the folder is not a backup, or it is incomplete or damaged. The message
                names the file.
        """
        _check_sums(folder)
        try:
            content = json.loads((folder / MANIFEST).read_text())
            version = content.pop("format")
            dumps = content.pop("databases")
            if version == 1:
                for dump in dumps.values():
                    dump["contents"] = dump.pop("holds")
            elif version != FORMAT:
                raise StackError(
                    f"{folder} was made by another version of this project: use that version"
                )
            return cls(databases={name: Dump(**dumps[name]) for name in OWNERS}, **content)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise StackError(f"{folder}: {MANIFEST} is not the manifest of a backup") from None

    def write(self, folder: Path, sums: dict[str, str]) -> None:
        """Write the manifest and the checksums.

        Args:
            folder: the folder of the backup.
            sums: the SHA-256 checksums of the dumps, by file name.

        Raises:
            OSError: a file could not be written.
        """
        text = json.dumps({"format": FORMAT} | asdict(self), indent=2) + "\n"
        (folder / MANIFEST).write_text(text)
        sums = sums | {MANIFEST: hashlib.sha256(text.encode()).hexdigest()}
        (folder / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))

    def check_fits(self, settings: Settings, names: Collection[str]) -> None:
        """Check that this project can use some databases of the backup.

        Args:
            settings: the settings of the stack that is to use the databases.
            names: the databases.

        Raises:
            StackError: a key of the backup differs from the key in .env, or this project has an
                older Airflow or Superset.
        """
        for name in (name for name in KEYS if name in names):
            key = KEYS[name]
            if not fingerprint_fits(settings[key], self.keys[key]):
                raise StackError(
                    f"{key} in .env is not the one this backup was made with, so {name} could not "
                    "decrypt its secrets: restore that .env first, or only the warehouse "
                    "(ONLY=warehouse)"
                )
            installed = locked_version(name)
            if _numbers(self.versions[name]) > _numbers(installed):
                raise StackError(
                    f"this backup is of {name} {self.versions[name]}, but this project has "
                    f"{installed}: use the version of this project that made the backup"
                )


def _check_sums(folder: Path) -> None:
    """Check that each file of a backup exists and has its checksum.

    Raises:
        StackError: a file is missing or differs, or there are no checksums.
    """
    expected = sorted([MANIFEST, *(dump_file(folder, name).name for name in OWNERS)])
    if not (folder / SUMS).is_file():
        raise StackError(f"{folder} is not a complete backup: it has no {SUMS}")
    lines = (folder / SUMS).read_text(errors="replace").splitlines()
    sums = [line.partition("  ")[::2] for line in lines]
    if [name for _, name in sums] != expected:
        raise StackError(f"{folder} is damaged: {SUMS} does not list its files")
    for sha256, name in sums:
        try:
            with (folder / name).open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as error:
            raise StackError(f"{folder} is damaged: {name}: {error.strerror}") from None
        if found != sha256:
            raise StackError(f"{folder} is damaged: the checksum of {name} differs")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def fingerprint(key: str) -> str:
    """Return a fingerprint by which `make restore` recognises a key.

    HMAC-SHA256 with the key reveals nothing about a random key, and both keys are random (32 and 64
    bytes from `make env`). A weak key of a user's own could be guessed, but a slow hash would not
    prevent that: the dumps beside the manifest contain secrets encrypted with the same key, and a
    guess can be tested on those secrets as fast.
    """
    return hmac.digest(key.encode(), b"elt-stack backup key", "sha256").hex()


def fingerprint_fits(key: str, expected: str) -> bool:
    """Return whether a fingerprint belongs to a key.

    Manifests of format 1 have `salt$digest`, where digest is the scrypt hash of the key.
    """
    salt, separator, _ = expected.partition("$")
    if not separator:
        return hmac.compare_digest(fingerprint(key), expected)
    digest = hashlib.scrypt(key.encode(), salt=salt.encode(), n=2**14, r=8, p=1)
    return hmac.compare_digest(f"{salt}${digest.hex()}", expected)


def locked_version(component: str) -> str:
    """Return the version of Airflow or Superset that this project runs."""
    lock = tomllib.loads((PROJECT / component / "uv.lock").read_text())
    packages: Mapping[str, Any] = {package["name"]: package for package in lock["package"]}
    return str(packages[PACKAGES[component]]["version"])
