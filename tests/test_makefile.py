"""What removes data asks before, with Docker or without, and takes no answer for no."""

from __future__ import annotations

import os
import subprocess

import pytest

from support import PROJECT, stack_environment

QUESTION = "Type yes: "


@pytest.fixture(params=["demo-reset", "clean"])
def remover(request, tmp_path):
    """A target, a file in the state that it removes, and what stands for Docker."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history").touch()
    history = tmp_path / "state" / "history"
    program = f'#!/bin/sh\ncase "$*" in *--volumes*) rm "{history}" ;; esac\n'
    (tmp_path / "docker").write_text(program)
    (tmp_path / "docker").chmod(0o755)
    return request.param, tmp_path


def make(place, *arguments: str, said: str | None = None) -> subprocess.CompletedProcess:
    """Run make on a stack in that folder; standard input is closed, or what is `said`."""
    environment = stack_environment(place) | {"PATH": f"{place}:{os.environ['PATH']}"}
    closed = ["sh", "-c", 'exec "$@" <&-', "sh"] if said is None else []
    return subprocess.run(
        [*closed, "make", "--no-print-directory", *arguments], cwd=PROJECT, env=environment,
        input=said, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize("said", [None, "", "\n", "no\n", "y\n", "yes please\n"])
def test_nothing_is_removed_unless_somebody_says_yes(remover, said):
    target, place = remover
    done = make(place, target, said=said)
    assert done.returncode != 0
    assert QUESTION in done.stdout
    assert "nothing was removed" in done.stdout
    assert "Error 1" in done.stdout  # the recipe's own exit code; make's is 2
    assert (place / "state" / "history").exists()


@pytest.mark.parametrize(("force", "said"), [([], "yes\n"), (["FORCE=1"], None)])
def test_it_is_removed_for_a_yes_or_with_force(remover, force, said):
    target, place = remover
    done = make(place, target, *force, said=said)
    assert done.returncode == 0, done.stdout
    assert (QUESTION in done.stdout) is (said is not None)
    assert not (place / "state" / "history").exists()


def test_where_there_is_nothing_nobody_is_asked(tmp_path):
    done = make(tmp_path, "demo-reset")
    assert done.returncode == 0, done.stdout
    assert QUESTION not in done.stdout
