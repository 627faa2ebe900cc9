"""Make targets that remove data ask first; other targets pass their variables to `elt`."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from support import PROJECT, stack_environment

QUESTION = "Type yes: "


@pytest.fixture(params=["demo-reset", "clean"])
def remover(request, tmp_path):
    """Return a target that removes data, and the folder of a stack with data and a fake Docker."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history").touch()
    history = tmp_path / "state" / "history"
    program = f'#!/bin/sh\ncase "$*" in *--volumes*) rm "{history}" ;; esac\n'
    (tmp_path / "docker").write_text(program)
    (tmp_path / "docker").chmod(0o755)
    return request.param, tmp_path


def make(folder, *arguments: str, answer: str | None = None) -> subprocess.CompletedProcess:
    """Run make for the stack in a folder. `answer` is make's standard input; None closes it."""
    environment = stack_environment(folder) | {"PATH": f"{folder}:{os.environ['PATH']}"}
    closed = ["sh", "-c", 'exec "$@" <&-', "sh"] if answer is None else []
    return subprocess.run(
        [*closed, "make", "--no-print-directory", *arguments], cwd=PROJECT, env=environment,
        input=answer, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize("answer", [None, "", "\n", "no\n", "y\n", "yes please\n"])
def test_nothing_is_removed_without_a_yes(remover, answer):
    target, folder = remover
    done = make(folder, target, answer=answer)
    assert done.returncode != 0
    assert QUESTION in done.stdout
    assert "nothing was removed" in done.stdout
    assert "Error 1" in done.stdout  # the exit code of the recipe; that of make is 2
    assert (folder / "state" / "history").exists()


@pytest.mark.parametrize(("force", "answer"), [([], "yes\n"), (["FORCE=1"], None)])
def test_a_yes_or_force_removes_the_data(remover, force, answer):
    target, folder = remover
    done = make(folder, target, *force, answer=answer)
    assert done.returncode == 0, done.stdout
    assert (QUESTION in done.stdout) is (answer is not None)
    assert not (folder / "state" / "history").exists()


def test_reset_without_data_does_not_ask(tmp_path):
    done = make(tmp_path, "demo-reset")
    assert done.returncode == 0, done.stdout
    assert QUESTION not in done.stdout


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        ([], ""),
        (["FILE=May (2).csv", "FULL_REFRESH=1"], " --file May (2).csv --full-refresh"),
        (["SOURCE=my_bank"], " --source my_bank"),
        (["DUPLICATES=keep", "MAX_REJECTS=0"], " --duplicates keep --max-rejects 0"),
        (
            ["BACKDATED=warn", "BALANCES=warn"],
            " --backdated-transactions warn --unreconciled-balances warn",
        ),
    ],
)
def test_trigger_passes_its_variables_to_elt(tmp_path, variables, arguments):
    done = make(tmp_path, "trigger", "ELT=echo elt", *variables)
    assert done.stdout.splitlines()[-1] == f"elt trigger{arguments}"


def test_restore_passes_its_variables_to_elt(tmp_path):
    done = make(tmp_path, "restore", "ELT=echo elt", "FROM=a b", "ONLY=warehouse", "FORCE=1")
    assert done.stdout.splitlines()[-1] == "elt restore --only warehouse --force a b"


def test_up_can_mount_the_code_of_this_folder(tmp_path):
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "elt").write_text('#!/bin/sh\necho "$COMPOSE_FILE: elt $@"\n')
    (tmp_path / "elt").chmod(0o755)
    done = make(tmp_path, "up", f"ELT={tmp_path}/elt", "DEV=1")
    files = "docker-compose.yaml:docker-compose.dev.yaml"
    assert f"{files}: elt compose -- up --detach --wait" in done.stdout


def test_make_alone_prints_each_target_with_its_effect(tmp_path):
    done = make(tmp_path, "help")
    assert done.returncode == 0
    described = re.findall(r"^([a-z-]+):.*## (.+)$", (PROJECT / "Makefile").read_text(), re.M)
    assert re.findall(r"^  make ([a-z-]+) +(.+)$", done.stdout, re.MULTILINE) == described
    assert make(tmp_path).stdout == done.stdout
