#!/usr/bin/env python3
"""Write .env from .env.example, with random secrets where that leaves a value empty.

What is in .env already stays as it is; what it lacks is added at its end. Only the standard
library, any Python 3.8 or newer: this is the first thing that runs on a new machine.
"""

import base64
import os
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SETTING = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def random_secret(name: str) -> str:
    """A secret of 64 random bytes, or of the 32 that a Fernet key has, as URL-safe base64."""
    size = 32 if name.endswith("FERNET_KEY") else 64
    return base64.urlsafe_b64encode(os.urandom(size)).decode()


def fill(match: "re.Match[str]") -> str:
    """A line of .env.example as it goes into .env."""
    name, value = match.groups()
    return f"{name}={value or random_secret(name)}"


def main() -> None:
    """Write or complete .env, readable by its owner alone, and say what was done."""
    example = (PROJECT / ".env.example").read_text()
    env_file = PROJECT / ".env"
    if not env_file.exists():
        with os.fdopen(os.open(env_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
            out.write(SETTING.sub(fill, example))
        print(".env: written, with secrets of its own")
        return
    present = {name for name, _ in SETTING.findall(env_file.read_text())}
    missing = [match for match in SETTING.finditer(example) if match.group(1) not in present]
    if missing:
        with env_file.open("a") as out:
            out.write("\n" + "".join(fill(match) + "\n" for match in missing))
        print(".env: added " + ", ".join(match.group(1) for match in missing))


if __name__ == "__main__":
    main()
