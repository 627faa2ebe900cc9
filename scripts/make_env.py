#!/usr/bin/env python3
"""Write .env from .env.example, with random secrets where that leaves a value empty.

What is in .env already stays as it is; what it lacks is added at its end, and what is empty there
is filled. Only the standard library, any Python 3.8 or newer: this is the first thing that runs
on a new machine.
"""

import base64
import os
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SETTING = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
NOTHING = " \t\"'"  # what an empty value may be made of


def random_secret(name: str) -> str:
    """A secret of 64 random bytes, or of the 32 that a Fernet key has, as URL-safe base64."""
    size = 32 if name.endswith("FERNET_KEY") else 64
    return base64.urlsafe_b64encode(os.urandom(size)).decode()


def fill(match: "re.Match[str]") -> str:
    """A line of .env.example as it goes into .env."""
    name, value = match.groups()
    return f"{name}={value or random_secret(name)}"


def put(text: str, name: str, line: str) -> str:
    """The text of .env with that line: where the setting stands empty, or at the end."""
    text, found = re.subn(f"^{name}=[{NOTHING}]*$", line, text, flags=re.MULTILINE)
    return text if found else text.rstrip("\n") + f"\n{line}\n"


def replace(path: Path, text: str) -> None:
    """Write it whole or not at all, for its owner alone: a lost secret cannot be had again."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as out:
        out.write(text)
    part.replace(path)


def main() -> None:
    """Write or complete .env, readable by its owner alone, and say what was done."""
    example = (PROJECT / ".env.example").read_text()
    env_file = PROJECT / ".env"
    if not env_file.exists():
        with os.fdopen(os.open(env_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
            out.write(SETTING.sub(fill, example))
        print(".env: written, with secrets of its own")
        return
    text = env_file.read_text()
    present = {name for name, value in dict(SETTING.findall(text)).items() if value.strip(NOTHING)}
    missing = [match for match in SETTING.finditer(example) if match.group(1) not in present]
    for match in missing:
        text = put(text, match.group(1), fill(match))
    if missing:
        replace(env_file.resolve(), text)
        print(".env: added " + ", ".join(match.group(1) for match in missing))


if __name__ == "__main__":
    main()
