"""`elt`: operate the stack. The Makefile's targets call this command.

Exit codes: 0 success; 1 failure, with one line that says why; 130 interrupted. A command that runs
another program ends with that program's exit code.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from elt_stack import demo, docker, environments, postgres, services, sources, superset_export
from elt_stack.backup.dump import create_backup
from elt_stack.backup.restore import restore
from elt_stack.errors import StackError
from elt_stack.runtime_base import OWNERS
from elt_stack.setting_files import PROJECT, declared_names
from elt_stack.setting_rules import CHOICES
from elt_stack.settings import Settings
from elt_stack.supervisor import Supervisor
from elt_stack.throwaway import throwaway_server

Command = Callable[[argparse.Namespace], int]


def run_demo(_: argparse.Namespace) -> int:
    """Start the stack, run the DAG on the sample, show the result."""
    return demo.demo(Settings.load(to_start=True))


def up(_: argparse.Namespace) -> int:
    """Start the stack and wait until it is healthy."""
    settings = Settings.load(to_start=True)
    services.start(settings)
    services.wait_for_superset(settings)
    return 0


def down(_: argparse.Namespace) -> int:
    """Stop the stack, keep its data."""
    print("stopped" if Supervisor(Settings.read()).down() else "nothing was running")
    return 0


def reset(_: argparse.Namespace) -> int:
    """Stop the stack, delete all its data."""
    Supervisor(Settings.read()).reset()
    print("stopped, and all its data deleted")
    return 0


def status(_: argparse.Namespace) -> int:
    """Show the processes, and whether Airflow and Superset are healthy."""
    settings = Settings.load()
    processes = Supervisor(settings).processes()
    if not processes:
        print("nothing is running: `make demo` starts it")
        return 1
    for process in processes:
        print(f"  {process['name']:<24}{process['statename']:<10}{process['description']}")
    health = {
        "Airflow": services.airflow_client(settings).is_healthy(),
        "Superset": services.superset_answers(settings),
    }
    for name, healthy in health.items():
        print(f"  {name} is {'healthy' if healthy else 'not healthy (yet)'}")
    print(services.addresses(settings))
    return 0 if all(health.values()) else 1


def trigger(arguments: argparse.Namespace) -> int:
    """Run the DAG and watch it; fail if a task fails."""
    fields = (
        *("file", "source", "duplicates", "max_rejects", "full_refresh"),
        *("backdated_transactions", "unreconciled_balances"),
    )
    params = {name: value for name in fields if (value := getattr(arguments, name)) is not None}
    tasks = services.run_dag(Settings.load(), **params)
    return 0 if all(task["state"] == "success" for task in tasks.values()) else 1


def logs(_: argparse.Namespace) -> int:
    """Follow all logs."""
    folder = Settings.load().logs
    files = sorted(str(path) for path in folder.glob("**/*.log"))
    if not files:
        raise StackError(f"there is no log in {folder}: `make demo` starts the stack")
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])


def psql(arguments: argparse.Namespace) -> int:
    """Open psql in the warehouse, or run one statement."""
    environment = os.environ | environments.libpq_environment(Settings.load(), arguments.role)
    options = ["--command", arguments.statement] if arguments.statement else []
    # psql fails if argv[0] is a bare name that is not on the PATH, so pass the whole path.
    os.execve(environment["PSQL"], [environment["PSQL"], *options], environment)


def dbt(arguments: argparse.Namespace) -> int:
    """Run dbt in the warehouse, with the role that the DAG uses."""
    command = arguments.command
    if command[:2] == ["docs", "serve"] and "--port" not in command:
        command = [*command, "--port", "8081"]  # dbt's default is Airflow's port, 8080
    environment = environments.developer_environment(Settings.load())
    folder = PROJECT / "dbt"
    program = [folder / ".venv" / "bin" / "python", folder / "bin" / "dbt"]
    return subprocess.run([*program, *command], cwd=folder, env=environment).returncode


def dashboard_export(_: argparse.Namespace) -> int:
    """Write the dashboard, as it is in Superset now, into superset/assets."""
    settings = Settings.load()
    archive = superset_export.download(settings)
    changed = superset_export.export(archive, PROJECT / "superset" / "assets")
    print("\n".join(changed) or "superset/assets is up to date")
    return 0


def backup(_: argparse.Namespace) -> int:
    """Dump all databases into a new folder in BACKUP_DIR."""
    print(f"written: {create_backup(Settings.load())}")
    print("keep a copy of .env elsewhere: a backup does not contain the keys that it needs")
    return 0


def restore_backup(arguments: argparse.Namespace) -> int:
    """Replace the databases with those of a backup."""
    restore(
        Settings.load(to_start=True), arguments.folder, arguments.only, confirmed=arguments.force
    )
    return 0


def docker_check(_: argparse.Namespace) -> int:
    """Check that Docker can run the stack."""
    docker.check(Settings.load(to_start=True))
    return 0


def config(arguments: argparse.Namespace) -> int:
    """Show each setting, its value and where the value comes from; with a name, only the value."""
    if arguments.setting:
        print(Settings.read().shown(arguments.setting))
    else:
        print(Settings.read().table(), flush=True)
        Settings.load()  # reports what is wrong
    return 0


def docker_explain(_: argparse.Namespace) -> int:
    """Show why containers of the stack failed."""
    print(docker.explain_failures(Settings.load()))
    return 0


def compose(arguments: argparse.Namespace) -> int:
    """Run a `docker compose` command with the settings of .env."""
    docker.check_installed()
    # The settings are not checked, so that a stack whose .env is invalid can be stopped.
    environment = docker.compose_environment(Settings.read())
    os.chdir(PROJECT)
    os.execvpe("docker", ["docker", "compose", *arguments.command], environment)


def addresses(_: argparse.Namespace) -> int:
    """Show the addresses and logins of the stack, once Caddy has a certificate for them."""
    settings = Settings.load()
    if settings["TLS"]:
        services.wait_for_caddy(settings)
    print(services.addresses(settings))
    return 0


def execute(arguments: argparse.Namespace) -> int:
    """Run a program of Airflow or Superset in the environment of that component."""
    factories = {
        "airflow": environments.airflow_environment,
        "superset": environments.superset_environment,
    }
    environment = factories[arguments.component](Settings.load())
    os.execvpe(arguments.command[0], arguments.command, environment)


def with_postgres(arguments: argparse.Namespace) -> int:
    """Run a program with a temporary warehouse."""
    with throwaway_server() as environment:
        return subprocess.run(arguments.command, env=os.environ | environment).returncode


def new_source(arguments: argparse.Namespace) -> int:
    """Add a bank's kind of file to the stack, after a trial with one file."""
    return sources.new_source(arguments.source, arguments.file, arguments.answers)


def remove_source(arguments: argparse.Namespace) -> int:
    """Remove a kind of file that new-source has added."""
    return sources.remove_source(arguments.source)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole_lines = argparse.RawDescriptionHelpFormatter
    root = argparse.ArgumentParser(prog="elt", description=__doc__, formatter_class=whole_lines)
    commands = root.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, function: Command) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=(function.__doc__ or "").rstrip("."))
        command.set_defaults(function=function)
        return command

    simple: dict[str, Command] = {
        "demo": run_demo, "up": up, "down": down,
        "reset": reset, "status": status, "logs": logs, "docker-check": docker_check,
        "docker-explain": docker_explain, "addresses": addresses,
        "dashboard-export": dashboard_export, "backup": backup,
    }  # fmt: skip
    for name, function in simple.items():
        add(name, function)
    command = add("trigger", trigger)
    command.add_argument("--file", help="a file in the data folder")
    command.add_argument("--source", help="only the files of this declared source")
    command.add_argument("--duplicates", choices=CHOICES["LOADER_DUPLICATES"])
    command.add_argument(
        "--max-rejects", type=int, metavar="N", help="load files with up to N rejected lines"
    )
    command.add_argument(
        "--full-refresh", action="store_true", default=None, help="rebuild all tables"
    )
    command.add_argument("--backdated-transactions", choices=["error", "warn"])
    command.add_argument("--unreconciled-balances", choices=["error", "warn"])
    command = add("restore", restore_backup)
    command.add_argument("--only", choices=list(OWNERS), help="restore only this database")
    command.add_argument("--force", action="store_true", help="do not ask")
    command.add_argument("folder", help="the backup's path, or its name in BACKUP_DIR")
    command = add("psql", psql)
    command.add_argument("--role", default=postgres.SUPERUSER, choices=postgres.ROLES)
    command.add_argument("statement", nargs="?")
    command = add("config", config)
    command.add_argument("setting", nargs="?", choices=declared_names(), metavar="NAME")
    command = add("exec", execute)
    command.add_argument("component", choices=["airflow", "superset"])
    command.add_argument("command", nargs="+")
    command = add("new-source", new_source)
    command.add_argument("source", help="the name of the source and its table")
    command.add_argument("file", type=Path, help="a file of this kind")
    command.add_argument("answers", nargs="*", metavar="KEY=VALUE", help="answers to questions")
    command = add("remove-source", remove_source)
    command.add_argument("source", help="the name of the source")
    programs: dict[str, Command] = {
        "compose": compose, "dbt": dbt, "with-postgres": with_postgres,
    }  # fmt: skip
    for name, function in programs.items():
        add(name, function).add_argument("command", nargs="*")
    return root


def main() -> int:
    """Run a command. Report an error that the user can fix as one line on stderr."""
    arguments = parser().parse_args()
    function: Command = arguments.function
    try:
        return function(arguments)
    except (StackError, OSError) as error:
        print(f"elt: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1
