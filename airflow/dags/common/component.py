"""Run a component's program as a task of a DAG, in the runtime that `ELT_RUNTIME` names.

A DAG names a component and its arguments, and this module picks the operator. A DAG never imports a
component: each component is a program with its own Python environment. The exit code of the program
is the result of the task.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.hooks.subprocess import SubprocessHook, SubprocessResult
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseHook, BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from docker.errors import APIError, NotFound
from docker.types import Mount
from requests.exceptions import ConnectionError

from common.lineage import lineage_environment

# The only variables that a process inherits from Airflow, whose environment contains many secrets.
INHERITED = re.compile(r"DATA_DIR|DBT_\w+|HOME|LANG|TMPDIR|TZ")
# Settings that each task gets, in a process and in a container. airflow/service.env declares them.
TASK_SETTINGS = (
    *("ELT_ENV", "DBT_THREADS", "DBT_LOG_LEVEL"),
    *("BACKDATED_TRANSACTIONS", "UNRECONCILED_BALANCES", "DASHBOARD_URL"),
)
# Key of the container's id in Airflow's task state store. All tries of a task share the store.
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
        component: Folder of the component in the project. The names of the component's program and
            image follow from it.
        arguments: Arguments of the program, each a Jinja template. An argument that renders to an
            empty string is left out. No shell interprets the values, so text from the trigger
            form cannot become a command.
        connection: Airflow connection to the warehouse. The program receives its parts as PGHOST,
            PGUSER, …
        reads_files: Whether the program needs the data folder.
        fatal_exit_codes: Exit codes after which the task fails without a retry.
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


def task_settings() -> dict[str, str]:
    """Return the settings of the stack that a task gets as environment variables."""
    return {name: os.environ[name] for name in TASK_SETTINGS if name in os.environ}


def libpq_environment(connection_id: str) -> dict[str, str]:
    """Return an Airflow connection as the variables that libpq, psycopg2 and dbt read.

    Two variables contain the password. libpq reads PGPASSWORD. dbt reads DBT_ENV_SECRET_PGPASSWORD
    and masks its value in the logs. If the connection lacks a part, its variable is left out and
    libpq uses its default.
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
def tell_the_reason(last_line: Callable[[Exception], str]) -> Iterator[None]:
    """Put the last line of the program's output into the error of the task.

    Both operators can map exit codes to the state "skipped" (`skip_on_exit_code`). Neither can map
    them to the state "failed" without a retry, so this function does.

    Args:
        last_line: Returns the last line, given the error of the operator.

    Raises:
        AirflowFailException: The operator raised AirflowSkipException.
        AirflowException: The operator raised another AirflowException.
    """
    try:
        yield
    except AirflowSkipException as skip:
        raise AirflowFailException(f"no retry: {last_line(skip)}") from skip
    except AirflowException as error:
        raise AirflowException(f"{error} Last line: {last_line(error)}") from error


class RememberingHook(SubprocessHook):
    """A SubprocessHook that remembers the last line of the output."""

    last_line = ""

    def run_command(self, *args: Any, **options: Any) -> SubprocessResult:
        """Run the command, as SubprocessHook does."""
        result = super().run_command(*args, **options)
        self.last_line = result.output
        return result


class ProcessTask(BashOperator):
    """Run the program as a process beside Airflow, in the component's own environment.

    The component's folder is $ELT_HOME/<component>, and its environment is the subfolder `.venv`. A
    script in its subfolder `bin` replaces the environment's program of the same name.
    The process can read all files of the user who runs Airflow, so `reads_files` has no effect.

    On Linux, the kernel kills the program when the task's process dies. Otherwise the program could
    still run when the next try starts.
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

    @cached_property
    def subprocess_hook(self) -> RememberingHook:
        """The hook that runs the program."""
        return RememberingHook()

    def get_env(self, context: Context) -> dict[str, str]:
        """Return the environment of the program, with the credentials of the connection."""
        path = f"{self.cwd}/.venv/bin:{os.environ['PATH']}"
        self.env = {name: os.environ[name] for name in os.environ if INHERITED.fullmatch(name)}
        self.env |= {"PATH": path, "PYTHONUNBUFFERED": "1", **task_settings()}
        self.env |= libpq_environment(self.connection) | lineage_environment(context)
        return super().get_env(context)

    def execute(self, context: Context) -> None:
        """Run the program.

        Raises:
            AirflowFailException: The program ended with a fatal exit code.
            AirflowException: The program ended with another nonzero exit code.
        """
        command = [part for part in self.command if part]
        if (script := Path(self.cwd or "", "bin", command[0])).exists():
            # bash may read ~/.bashrc, which can put another Python into PATH.
            command[:1] = [f"{self.cwd}/.venv/bin/python", str(script)]
        if shutil.which("setpriv"):  # part of util-linux, so on Linux only
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        self.bash_command = "exec " + shlex.join(command)
        with tell_the_reason(lambda _: self.subprocess_hook.last_line):
            super().execute(context)


def last_log_line(error: Exception) -> str:
    """Return the last line of a container's output, given DockerOperator's error."""
    lines = getattr(error, "logs", None) or [""]
    last = lines[-1]
    return last.decode(errors="replace") if isinstance(last, bytes) else last


class ContainerTask(DockerOperator):
    """Run the program in a container of the component's image, on the stack's network.

    The image's entry point is the program. docker-proxy accepts exactly the options that this class
    sets, so a new option also needs a change of docker-proxy/haproxy.cfg.

    A container continues to run after its scheduler is killed. Each try therefore stores the id of
    its container, and the next try first removes that container.
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
            auto_remove="never",  # `execute` removes the container, also after a failure
            do_xcom_push=False,
            **options,
        )
        self.connection = connection

    @property
    def container(self) -> dict[str, Any]:
        """The engine's response to the creation of the container. The operator sets it."""
        return self._container

    @container.setter
    def container(self, container: dict[str, Any]) -> None:
        self._container = container
        if container is not None:
            self._state.set(CONTAINER_KEY, container["Id"])

    def execute(self, context: Context) -> None:
        """Run the container, then remove it. Raises the errors of `ProcessTask.execute`."""
        self._state = context["task_state_store"]
        leftover = self._state.get(CONTAINER_KEY)
        if isinstance(leftover, str) and self._remove(leftover):
            self.log.warning("removed the container of a try that was cut off: %s", leftover)
        self.command = [argument for argument in self.command or [] if argument]
        self.environment = task_settings()
        self._private_environment = libpq_environment(self.connection)
        self._private_environment |= lineage_environment(context)
        try:
            with tell_the_reason(last_log_line):
                super().execute(context)
        finally:
            if self.container is not None:
                self._remove(self.container["Id"])

    def _remove(self, container: str) -> bool:
        """Remove a container and return whether this call removed it.

        Five tries span 15 s, in which the engine may restart. If all of them fail, the container
        stays, and the log has a warning for each try.
        """
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

        Airflow allows five seconds for this method, but a graceful stop may take ten. Killing is
        safe: the loader writes each file, and dbt each model, in one transaction.
        """
        if self.container is not None:
            self.cli.remove_container(self.container["Id"], force=True)


# To add a runtime, add a class that takes the same arguments.
RUNTIMES: dict[str, Callable[..., BaseOperator]] = {
    "process": ProcessTask,
    "docker": ContainerTask,
}
