"""Generate the pages of settings and of command lines, from the files and programs themselves."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values

PROJECT = Path(__file__).resolve().parents[2]
RANDOM = "a random secret, which `make env` writes"
ENVIRONMENTS = ("dev", "test", "staging", "prod")
# In .env.example, `# text` is a comment and `#NAME=value` is a setting. A comment explains the
# settings below it, up to the next comment.
BLOCK = re.compile(r"(?!$)((?:# .*\n)*)((?:#?[A-Z].*\n)*)")
SECTION = re.compile(r"# (.+?) -{9,}\n")
SETTING = re.compile(r"^#?(\w+)=(.*)$", re.MULTILINE)
SETTINGS = """# Settings

[`.env.example`](../.env.example) declares every setting, and this page is generated from it.
[Environments](../docs/environments.md) explains where a value comes from. `make config` shows the
values in use.

## What .env contains
"""
COMMANDS = """# Commands

This page is generated from the programs' own help.

## make

{make}

## elt

The program is `stack/.venv/bin/elt`.

{elt}

## data-ingestion

The loader is the program `data_ingestion/.venv/bin/data-ingestion`.
[Its page](../data_ingestion/README.md) shows examples.

{loader}
"""
# Runs in the environment of a component, and prints the help of a program and of all its commands.
HELP = """
import argparse, importlib, json, sys
def helps(parser):
    yield parser.prog, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from helps(command)
module, function = sys.argv[1:]
print(json.dumps(list(helps(getattr(importlib.import_module(module), function)()))))
"""


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown. Its cells are Markdown."""
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    cells = ([cell.replace("|", r"\|").replace("\n", " ") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def prose(text: str) -> str:
    """Return plain text as a paragraph in Markdown, in which only `code` is marked."""
    return html.escape(text, quote=False) + "\n"


def code(text: str) -> str:
    """Return text as code inside a line, or nothing for empty text."""
    return f"`{text}`" if text else ""


def setting_group(settings: list[tuple[str, str]], explanation: str) -> str:
    """Return the settings that share an explanation, with their values."""
    shared = {name: dotenv_values(PROJECT / "config" / f"{name}.env") for name in ENVIRONMENTS}
    if settings[0][0] not in shared["dev"]:
        lines = (f"**{name}**: {code(value) or RANDOM}\\\n" for name, value in settings)
        return "".join(lines) + explanation
    rows = [
        [f"**{name}**", *(code(shared[environment][name] or "") for environment in shared)]
        for name, _ in settings
    ]
    return f"{explanation}\n{table(['setting', *ENVIRONMENTS], rows)}"


def settings() -> str:
    """Return the page of settings: the sections, comments and settings of .env.example."""
    page = [SETTINGS]
    _, *blocks = (PROJECT / ".env.example").read_text().split("\n\n")  # the first is about the file
    for block in blocks:
        for comment, declared in BLOCK.findall(f"{block}\n"):
            if section := SECTION.match(comment):
                page.append(f"## {section[1]}\n")
            explanation = prose(comment[section.end() if section else 0 :].replace("# ", ""))
            group = SETTING.findall(declared)
            page.append(setting_group(group, explanation) if group else explanation)
    return "\n".join(page)


def make_targets() -> str:
    """Return a table of make's targets for each of its groups, from `make help`."""
    command = ["make", "--no-print-directory", "help"]
    text = subprocess.check_output(command, cwd=PROJECT, text=True)
    page = []
    for group in text.strip().split("\n\n"):
        title, *lines = group.splitlines() if not group.startswith("make") else ["Help", group]
        rows = (line.split(maxsplit=2)[1:] for line in lines)
        targets = [(f"`make {name}`", prose(effect).strip()) for name, effect in rows]
        page.append(f"### {title}\n\n{table(['command', 'effect'], targets)}")
    return "\n".join(page)


def command_lines(component: str, module: str, function: str) -> str:
    """Return the `--help` of a component's program and of each of its commands."""
    python = PROJECT / component / ".venv" / "bin" / "python"
    environment = os.environ | {"COLUMNS": "90", "NO_COLOR": "1"}
    output = subprocess.check_output([python, "-c", HELP, module, function], env=environment)
    (_, general), *commands = json.loads(output)
    fence = "```text\n{}```\n".format
    return "\n".join([fence(general), *(f"### {name}\n\n{fence(text)}" for name, text in commands)])


def pages() -> dict[str, str]:
    """Return the generated pages by their names."""
    programs = {
        "elt": command_lines("stack", "elt_stack.cli", "parser"),
        "loader": command_lines("data_ingestion", "data_ingestion.cli", "_parser"),
    }
    return {
        "settings": settings(),
        "commands": COMMANDS.format(make=make_targets(), **programs),
    }
