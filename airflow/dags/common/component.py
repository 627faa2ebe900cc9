"""Run a component's program as a task of a DAG, in the runtime that `ELT_RUNTIME` names.

A DAG names a component and the arguments; this module picks the operator. DAGs never import a
component. Each component is a program with its own environment, and its exit code is its result.
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
from typing import Any, ClassVar

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseHook, BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from docker.errors import APIError, NotFound
from docker.types import Mount
from requests.exceptions import ConnectionError

# The only variables that a component inherits: Airflow's own environment is full of its secrets.
INHERITED = re.compile(r"DATA_DIR|DBT_\w+|ELT_ENV|HOME|LANG|TMPDIR|TZ")
# Key of the container's id in the task state store, which all tries of a task share.
CONTAINER_KEY = "container"


def component_task(
    task_id: str,
    *,
    component: str,
    arguments: Sequence[str],
    connection: str,
    reads_files: bool = False,
    fatal_exit_codes: Collection[int] = (),
    **options: Any,
) -> BaseOperator:
    """Make a task that runs a component's program.

    Args:
        task_id: Name of the task.
        component: Folder of the component in the project; also names its program and its image.
        arguments: Arguments of the program, each a Jinja template. An argument that renders to an
            empty string is left out. No shell interprets the values, so text from the trigger
            form cannot become a command.
        connection: Airflow connection whose parts the program gets as PGHOST, PGUSER, …
        reads_files: Whether the program sees the data folder.
        fatal_exit_codes: Exit codes after which a retry is useless, so that none follows.
        **options: Any argument of an operator (retries, outlets, …).

    Raises:
        ValueError: ELT_RUNTIME is not one of RUNTIMES.
    """
    runtime = os.environ.get("ELT_RUNTIME", "process")
    if runtime not in RUNTIMES:
        raise ValueError(f"ELT_RUNTIME is {runtime!r}; it can be: {', '.join(sorted(RUNTIMES))}")
    return RUNTIMES[runtime](
        task_id=task_id,
        component=component,
        arguments=arguments,
        connection=connection,
        reads_files=reads_files,
        skip_on_exit_code=fatal_exit_codes,
        **options,
    )


def program(component: str) -> str:
    """Return the name of a component's program, which is also the entry point of its image."""
    return component.replace("_", "-")


def libpq_environment(connection_id: str) -> dict[str, str]:
    """Return an Airflow connection as the variables that libpq, psycopg2 and dbt read.

    The password is in two variables: dbt masks DBT_ENV_SECRET_… in its logs. A part that the
    connection lacks is left out, so that libpq uses its default.
    """
    connection = BaseHook.get_connection(connection_id)
    variables = {
        "PGHOST": connection.host,
        "PGPORT": str(connection.port or 5432),
        "PGDATABASE": connection.schema,
        "PGUSER": connection.login,
        "PGPASSWORD": connection.password,
        "DBT_ENV_SECRET_PGPASSWORD": connection.password,
    }
    return {name: value for name, value in variables.items() if value}


@contextmanager
def fail_instead_of_skip() -> Iterator[None]:
    """Fail the task, without a retry, where the operator would skip it.

    Both operators can map exit codes to the state "skipped" (`skip_on_exit_code`), but not to
    "failed, no retry".

    Raises:
        AirflowFailException: In place of the AirflowSkipException of the operator.
    """
    try:
        yield
    except AirflowSkipException as skip:
        raise AirflowFailException("no retry: the log lines above give the reason") from skip


class ProcessTask(BashOperator):
    """Run the program as a process beside Airflow, in the component's own environment.

    The component is in $ELT_HOME/<component>, its environment in `.venv` there. The process sees
    all files of the user who runs Airflow, so `reads_files` has no effect. On Linux the program
    dies with the process that waits for it. Otherwise it could still run when its retry starts.
    """

    template_fields = ("command",)
    template_fields_renderers: ClassVar = {"command": "json"}

    def __init__(
        self,
        *,
        component: str,
        arguments: Sequence[str],
        connection: str,
        reads_files: bool,  # noqa: ARG002
        **options: Any,
    ) -> None:
        home = Path(os.environ.get("ELT_HOME", Path(__file__).parents[3]), component)
        super().__init__(bash_command="", cwd=str(home), do_xcom_push=False, **options)
        self.command = [program(component), *arguments]
        self.connection = connection

    def get_env(self, context: Context) -> dict[str, str]:
        """Return the environment of the program. Credentials are read here, when the task runs."""
        path = f"{self.cwd}/.venv/bin:{os.environ['PATH']}"
        self.env = {name: os.environ[name] for name in os.environ if INHERITED.fullmatch(name)}
        self.env |= {"PATH": path, "PYTHONUNBUFFERED": "1", **libpq_environment(self.connection)}
        return super().get_env(context)

    def execute(self, context: Context) -> None:
        """Run the program.

        Raises:
            AirflowFailException: The program ended with a fatal exit code.
            AirflowException: It ended with another exit code than 0.
        """
        command = [part for part in self.command if part]
        if shutil.which("setpriv"):  # of util-linux
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        self.bash_command = "exec " + shlex.join(command)
        with fail_instead_of_skip():
            super().execute(context)


class ContainerTask(DockerOperator):
    """Run the program in a container of the component's image, on the stack's network.

    The image's entry point is the program. docker-proxy only accepts a container with the options
    that are set here: whoever adds an option also has to add it to docker-proxy/haproxy.cfg.

    A container survives a scheduler that is killed. The id of the container is therefore stored
    for the next try, which first removes the container of the interrupted try.
    """

    template_fields = ("command",)
    template_fields_renderers: ClassVar = {"command": "json"}

    def __init__(
        self,
        *,
        component: str,
        arguments: Sequence[str],
        connection: str,
        reads_files: bool,
        **options: Any,
    ) -> None:
        data = Mount("/data", os.environ["DATA_FOLDER"], type="bind", read_only=True)
        super().__init__(
            image=os.environ[f"{component.upper()}_IMAGE"],
            command=list(arguments),
            mounts=[data] if reads_files else [],
            network_mode=os.environ["TASK_NETWORK"],
            mem_limit=os.environ["TASK_MEMORY"],
            mount_tmp_dir=False,
            auto_remove="never",  # `execute` removes it, also after a failure
            do_xcom_push=False,
            **options,
        )
        self.connection = connection

    @property
    def container(self) -> dict[str, Any]:
        """The engine's answer to the creation of the container; the operator sets it."""
        return self._container

    @container.setter
    def container(self, container: dict[str, Any]) -> None:
        self._container = container
        if container is not None:
            self._state.set(CONTAINER_KEY, container["Id"])

    def execute(self, context: Context) -> None:
        """Run the container, then remove it. Fails like `ProcessTask.execute`."""
        self._state = context["task_state_store"]
        leftover = self._state.get(CONTAINER_KEY)
        if isinstance(leftover, str) and self._remove(leftover):
            self.log.warning("removed the container of a try that was cut off: %s", leftover)
        self.command = [argument for argument in self.command or [] if argument]
        self.environment = {"ELT_ENV": os.environ["ELT_ENV"]}
        self._private_environment = libpq_environment(self.connection)
        try:
            with fail_instead_of_skip():
                super().execute(context)
        finally:
            if self.container is not None:
                self._remove(self.container["Id"])

    def _remove(self, container: str) -> bool:
        """Remove a container; return whether it existed. Retries while the engine restarts."""
        for seconds in (1, 2, 4, 8, 15):
            try:
                self.cli.remove_container(container, force=True)
                return True
            except NotFound:
                return False
            except (APIError, ConnectionError) as error:
                self.log.warning("cannot remove container %s yet: %s", container, error)
                time.sleep(seconds)
        return False

    def on_kill(self) -> None:
        """Remove the container at once.

        Airflow allows five seconds for this, and a graceful stop may take ten. Killing is safe:
        a component's writes are one transaction.
        """
        if self.container is not None:
            self.cli.remove_container(self.container["Id"], force=True)


# To add a runtime, add a class that takes the same arguments.
RUNTIMES: dict[str, Callable[..., BaseOperator]] = {
    "process": ProcessTask,
    "docker": ContainerTask,
}
