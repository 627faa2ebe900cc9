"""Every command in the documentation is run by a test, or a list says why not.

A command with `make` is run if a test runs its target, and sets its variables in the same test.
The values may differ. Settings such as AIRFLOW_PORT do not count: every target reads them in the
same way, and the tests of the environments check it.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
from collections import defaultdict

import pytest

from support import PROJECT
from test_docs import CODE, CURRENT_PAGES, FENCE, project_files, read

BLOCK = re.compile(r"^```(?:sh|cron)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SESSION = re.compile(r"^```console\n\$ (.*)$", re.MULTILINE)
# A command in the middle of a text: `make` alone, or a program with arguments.
INLINE = re.compile(
    r"(\w+=\S+ )*(make|(make|elt|(\S+/)?data-ingestion|dbt|docker|git|rsync|sha256sum|tar) .*)"
)
MAKE = re.compile(r"(\w+=\S+ )*make( |$)")
VARIABLE = re.compile(r"\b([A-Z][A-Z_]+)=")
SETTINGS = set(re.findall(r"^#?([A-Z]\w+)=", read(".env.example"), re.MULTILINE))
# How a test names a target: make(…, 'target'), 'make target' or ['make', '--option', 'target'].
RUN = re.compile(r"\bmake\((?:\w+, )?'([a-z-]+)'|'make(?: |', ')(?:--[a-z-]+(?: |', '))*([a-z-]+)")
CI = re.compile(r"^make ([a-z-]+)$", re.MULTILINE)

# Other commands, by their beginning: the file with the test, and the text that runs them there.
RUN_ELSEWHERE = {
    ".venv/bin/pytest ": ("tests/test_commands.py", "--collect-only"),
    "(cd stack && .venv/bin/pytest ": ("tests/test_commands.py", "--collect-only"),
    "stack/.venv/bin/elt with-postgres -- ": ("tests/test_commands.py", "--collect-only"),
    "elt with-postgres -- ": ("tests/test_commands.py", "--collect-only"),
    "cp Umsatzliste_2024-09.csv": ("tests/test_add_your_bank.py", "for line in COMMANDS:"),
    "data_ingestion/.venv/bin/data-ingestion inspect": ("tests/test_statements.py", '"inspect"'),
    "data-ingestion init": ("data_ingestion/tests/test_sources.py", 'run("init")'),
    "data-ingestion sample": ("data_ingestion/tests/test_package.py", '"sample", "--rows"'),
    "data-ingestion --help": ("tests/test_site.py", '[program, "--help"]'),
    "data-ingestion load --help": ("tests/test_site.py", 'commands[0], "--help"]'),
    "data-ingestion load": ("tests/faults/warehouse.py", '[LOADER, "load"'),
    "data-ingestion inspect": ("data_ingestion/tests/test_inspect.py", 'main(["inspect"'),
    "data-ingestion dbt-view": ("tests/test_add_your_bank.py", 'command("make new-source")'),
    "dbt source freshness": ("dbt/pytests/test_project.py", 'dbt("source", "freshness")'),
    "dbt run": ("dbt/pytests/bank.py", 'dbt("run")'),
    "dbt test": ("dbt/pytests/test_project.py", 'dbt("test"'),
    "docker inspect": ("tests/docker/test_stack.py", 'docker("inspect"'),
    "docker compose": ("tests/docker/test_stack_removal.py", '["docker", "compose"'),
    "sha256sum --check SHA256SUMS": ("tests/test_restore.py", '"sha256sum"'),
}
SERVER = "needs a server to change; test_server.py checks the page's settings and unit files"
NOT_RUN = {
    "0 3 * * * cd /srv/elt && make --silent backup": "needs a second machine",
    "editor .env": SERVER,
    "exit": SERVER,
    "export COMPOSE_PROJECT_NAME": SERVER,
    "export ELT_ENV=staging": SERVER,
    "git checkout OLD_VERSION": "needs a second version",
    "git clone https://github.com/MarquezProject": "needs GitHub and an image registry",
    "git clone YOUR_REPOSITORY": SERVER,
    "git fetch --tags": "needs a second version",
    "journalctl": SERVER,
    "make env && mkdir /srv/elt/data": SERVER,
    "make restore FROM=$(": SERVER,
    "sudo ": SERVER,
    "systemctl": SERVER,
    "docker container prune": "would remove containers of other projects on the machine",
    "docker push": "needs a registry",
    "docker tag": "needs a registry",
    "git diff": "only shows a change",
    "git tag": "publishes a release",
    "make bench": "takes from 15 to 80 minutes",
    "make budget": "rewrites the budget that test_budget.py checks",
    "make check-dependencies": "needs today's list of vulnerabilities; test_check_dependencies.py"
    " tests the script",
    "make format": "would change the files; `make lint` runs the same programs",
    "make hooks": "would change the clone",
    "make lock": "would change the locks; `make lint` checks them",
    "make screenshots": "would change the pictures; test_browser.py takes them in another folder",
    "make test-faults": "takes hours; `make test-all` injects the same faults less often",
    "make update": "would change the locks",
    "rsync": "needs a second machine",
    "tar -c FOLDER": "an example with a program that the project does not use",
}


def documented() -> dict[str, str]:
    """Return each command of the documentation, and a page that contains it."""
    found = {}
    for page in CURRENT_PAGES:
        text = read(page)
        lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
        inline = filter(INLINE.fullmatch, CODE.findall(FENCE.sub("", text)))
        for line in [*lines, *SESSION.findall(text), *inline]:
            found[re.sub(r"\s+# .*", "", line)] = page
    return found


@pytest.fixture(scope="module")
def run() -> dict[str, set[str]]:
    """Return each target that a test or CI runs, and the variables that tests set with it."""
    variables: dict[str, set[str]] = defaultdict(set)
    for tree in map(ast.parse, map(read, project_files("tests/*.py"))):
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            source = ast.unparse(function)
            for called, typed in RUN.findall(source):
                variables[called or typed] |= set(VARIABLE.findall(source))
    command = ["make", "--print-data-base", "--question", "--no-builtin-rules", "help"]
    database = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True).stdout
    needs = dict(re.findall(r"^([\w.-]+):(?!=)(.*)$", database, re.MULTILINE))
    waiting = [*variables, *CI.findall(read(".ci/run"))]
    for target in waiting:  # a target runs the targets that it needs
        variables[target] |= set()
        waiting += [name for name in needs.get(target, "").split() if name not in waiting]
    return variables


def is_run(command: str, run: dict[str, set[str]]) -> bool:
    """Return whether a test runs a command."""
    if not MAKE.match(command):
        place = next((RUN_ELSEWHERE[key] for key in RUN_ELSEWHERE if command.startswith(key)), None)
        return place is not None and place[1] in read(place[0])
    words = shlex.split(command)
    targets = [word for word in words[words.index("make") + 1 :] if "=" not in word] or ["help"]
    needed = {word.partition("=")[0] for word in words if "=" in word} - SETTINGS
    return all(target in run and needed <= run[target] for target in targets)


def reasons(command: str) -> list[str]:
    """Return the beginnings in NOT_RUN that fit a command."""
    return [beginning for beginning in NOT_RUN if command.startswith(beginning)]


@pytest.mark.parametrize(("command", "page"), documented().items())
def test_a_command_is_run_or_a_reason_says_why_not(command, page, run):
    assert is_run(command, run) or reasons(command), f"{page}: no test runs {command}"


def test_the_lists_have_only_what_the_documentation_needs(run):
    others = [command for command in documented() if not is_run(command, run)]
    assert {reason for command in others for reason in reasons(command)} == set(NOT_RUN)
    for beginning in RUN_ELSEWHERE:
        assert any(command.startswith(beginning) for command in documented()), beginning


@pytest.mark.parametrize(
    "command", [command for command in documented() if ".venv/bin/pytest " in command]
)
def test_a_command_that_selects_tests_finds_them(command):
    environment = os.environ | {"PYTEST_ADDOPTS": "--collect-only --quiet"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=PROJECT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d tests collected", done.stdout)
