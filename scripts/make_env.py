#!/usr/bin/env python3
"""Write .env from .env.example. Each empty value becomes a random secret.

An existing .env keeps its values. Missing settings are appended, and empty ones are filled. This
script runs first on a new machine, so it needs only Python 3.8 and its standard library.
"""

import base64
import os
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# python-dotenv and Compose also accept blanks around the name, and `export` before it.
NAME = r"^[ \t]*(?:export[ \t]+)?({})[ \t]*="
SETTING = re.compile(NAME.format("[A-Z][A-Z0-9_]*") + "(.*)$", re.MULTILINE)
BLANK = " \t\"'"  # a value of only these characters is empty


def random_secret(name: str) -> str:
    """Return 64 random bytes, or 32 for a Fernet key, as URL-safe base64."""
    size = 32 if name.endswith("FERNET_KEY") else 64
    return base64.urlsafe_b64encode(os.urandom(size)).decode()


def fill(match: "re.Match[str]") -> str:
    """Return a line of .env.example, with a random secret if its value is empty."""
    name, value = match.groups()
    return f"{name}={value or random_secret(name)}"


def put(text: str, name: str, line: str) -> str:
    """Return the text of .env with a line in place of the empty setting, or appended."""
    text, count = re.subn(NAME.format(name) + f"[{BLANK}]*$", line, text, flags=re.MULTILINE)
    return text if count else text.rstrip("\n") + f"\n{line}\n"


def replace(path: Path, text: str) -> None:
    """Replace a file atomically, with mode 600. A lost secret could not be recovered."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as out:
        out.write(text)
    part.replace(path)


def main() -> None:
    """Write .env, or complete it, and print the changes."""
    example = (PROJECT / ".env.example").read_text()
    env_file = PROJECT / ".env"
    if not env_file.exists():
        with os.fdopen(os.open(env_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
            out.write(SETTING.sub(fill, example))
        print(".env: written, with new random secrets")
        return
    text = env_file.read_text()
    present = {name for name, value in dict(SETTING.findall(text)).items() if value.strip(BLANK)}
    missing = [match for match in SETTING.finditer(example) if match.group(1) not in present]
    for match in missing:
        text = put(text, match.group(1), fill(match))
    if missing:
        replace(env_file.resolve(), text)
        print(".env: added " + ", ".join(match.group(1) for match in missing))


if __name__ == "__main__":
    main()
