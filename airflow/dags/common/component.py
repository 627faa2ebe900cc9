"""One task of a DAG = one command of a component, in whatever runtime this Airflow has.

A DAG says what is to be run; `ELT_RUNTIME` says how. Components are never imported: they are
programs with environments of their own, and their exit codes are their answer.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseHook, BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from docker.errors import APIError, NotFound
from docker.types import Mount
from requests.exceptions import ConnectionError

# All that a component sees of Airflow's environment, which is full of Airflow's own secrets.
PASSED_ON = re.compile(r"DATA_DIR|DBT_\w+|ELT_ENV|HOME|LANG|TMPDIR|TZ")
# Key of a container's id among what Airflow keeps for a task of a run, over all its tries.
CONTAINER = "container"


def component_task(
    task_id: str,
    *,
    component: str,
    command: Sequence[str],
    connection: str,
    reads_files: bool = False,
    hopeless: Collection[int] = (),
    **options,
) -> BaseOperator:
    """Make the task that runs a component's command.

    Args:
        task_id: of the task.
        component: folder of the component in the project, and name of its image.
        command: program and arguments, each a template; those that render to nothing are left
            out. They never meet a shell unquoted, so a value from the trigger form stays a value.
        connection: the Airflow connection whose parts the command gets as PGHOST, PGUSER, …
        reads_files: whether it sees the data folder.
        hopeless: exit codes that say the same will happen again, so that no retry follows.
        **options: anything an operator takes (retries, outlets, …).

    Raises:
        ValueError: ELT_RUNTIME names a runtime that this Airflow does not know.
    """
    runtime = os.environ.get("ELT_RUNTIME", "process")
    if runtime not in RUNTIMES:
        raise ValueError(f"ELT_RUNTIME is {runtime!r}; it can be: {', '.join(sorted(RUNTIMES))}")
    return RUNTIMES[runtime](
        task_id=task_id,
        component=component,
        command=command,
        connection=connection,
        reads_files=reads_files,
        skip_on_exit_code=hopeless,
        **options,
    )


def libpq_environment(connection_id: str) -> dict[str, str]:
    """The parts of an Airflow connection under the names that libpq, psycopg2 and dbt read.

    The password stands there twice: under DBT_ENV_SECRET_… dbt keeps it out of its logs.
    """
    connection = BaseHook.get_connection(connection_id)
    return {
        "PGHOST": connection.host,
        "PGPORT": str(connection.port or 5432),
        "PGDATABASE": connection.schema,
        "PGUSER": connection.login,
        "PGPASSWORD": connection.password,
        "DBT_ENV_SECRET_PGPASSWORD": connection.password,
    }


@contextmanager
def no_retry_when_hopeless() -> Iterator[None]:
    """Both operators have a word for exit codes that end in a skip; here they end the task.

    Raises:
        AirflowFailException: in place of the skip; there will be no retry.
    """
    try:
        yield
    except AirflowSkipException as skip:
        raise AirflowFailException("the last lines above say why; no retry") from skip


class ProcessTask(BashOperator):
    """Runs the command as a process beside Airflow, in the component's own environment.

    The component is at $ELT_HOME/<component>, its environment in `.venv` there. It sees what the
    user who runs Airflow sees, so that `reads_files` changes nothing. On Linux the command ends
    with the process that waits for it, however that ends: it never runs on beside its own retry.
    """

    template_fields = ("command",)
    template_fields_renderers: ClassVar = {"command": "json"}

    def __init__(
        self,
        *,
        component: str,
        command: Sequence[str],
        connection: str,
        reads_files: bool,  # noqa: ARG002
        **options,
    ) -> None:
        home = Path(os.environ.get("ELT_HOME", Path(__file__).parents[3]), component)
        super().__init__(bash_command="", cwd=str(home), do_xcom_push=False, **options)
        self.command = command
        self.connection = connection

    def get_env(self, context: Context) -> dict[str, str]:
        """The environment of the command: credentials come in here, not before the task runs."""
        path = f"{self.cwd}/.venv/bin:{os.environ['PATH']}"
        self.env = {name: os.environ[name] for name in os.environ if PASSED_ON.fullmatch(name)}
        self.env |= {"PATH": path, "PYTHONUNBUFFERED": "1", **libpq_environment(self.connection)}
        return super().get_env(context)

    def execute(self, context: Context) -> None:
        """Run the command; see `no_retry_when_hopeless` for what a failure becomes."""
        parts = [part for part in self.command if part]
        if shutil.which("setpriv"):  # of util-linux
            parts = ["setpriv", "--pdeathsig", "KILL", *parts]
        self.bash_command = "exec " + shlex.join(parts)
        with no_retry_when_hopeless():
            super().execute(context)


class ContainerTask(DockerOperator):
    """Runs the command in a container of the component's image, on the stack's network.

    The first part of the command is the image's entry point. docker-proxy lets pass just what is
    asked for here: an option more, and its configuration has to say so too.

    A container outlives a scheduler that is killed. So its id is kept where the next try finds it,
    and that begins with removing what the last one left.
    """

    template_fields = ("command",)
    template_fields_renderers: ClassVar = {"command": "json"}

    def __init__(
        self,
        *,
        component: str,
        command: Sequence[str],
        connection: str,
        reads_files: bool,
        **options,
    ) -> None:
        data = Mount("/data", os.environ["DATA_FOLDER"], type="bind", read_only=True)
        super().__init__(
            image=os.environ[f"{component.upper()}_IMAGE"],
            command=command,
            mounts=[data] if reads_files else [],
            network_mode=os.environ["TASK_NETWORK"],
            mem_limit=os.environ["TASK_MEMORY"],
            mount_tmp_dir=False,
            auto_remove="never",  # but by this class
            do_xcom_push=False,
            **options,
        )
        self.connection = connection

    @property
    def container(self) -> dict | None:
        """What the engine answered when it made the container, which the operator keeps here."""
        return self._container

    @container.setter
    def container(self, container: dict | None) -> None:
        self._container = container
        if container is not None:
            self._kept.set(CONTAINER, container["Id"])

    def execute(self, context: Context) -> None:
        """Run the container; see `no_retry_when_hopeless` for what a failure becomes."""
        self._kept = context["task_state_store"]
        if (left := self._kept.get(CONTAINER)) and self._remove(left):
            self.log.warning("removed the container of a try that was cut off: %s", left)
        self.command = [part for part in self.command[1:] if part]
        self.environment = {"ELT_ENV": os.environ["ELT_ENV"]}
        self._private_environment = libpq_environment(self.connection)
        try:
            with no_retry_when_hopeless():
                super().execute(context)
        finally:
            if self.container is not None:
                self._remove(self.container["Id"])

    def _remove(self, container: str) -> bool:
        """Remove a container; whether it was there. A proxy that starts anew is waited for."""
        for seconds in (1, 2, 4, 8, 15):
            try:
                self.cli.remove_container(container, force=True)
                return True
            except NotFound:
                return False
            except (APIError, ConnectionError) as error:
                self.log.warning("cannot remove %s yet: %s", container, error)
                time.sleep(seconds)
        return False

    def on_kill(self) -> None:
        """Remove the container at once.

        Airflow leaves five seconds for this, and stopping politely may take ten. Components can be
        killed anywhere: what they do is one transaction.
        """
        if self.container is not None:
            self.cli.remove_container(self.container["Id"], force=True)


# A runtime is added here: a class that takes the same arguments.
RUNTIMES: dict[str, Callable[..., BaseOperator]] = {
    "process": ProcessTask,
    "docker": ContainerTask,
}
