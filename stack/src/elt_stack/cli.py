"""`elt`: what the Makefile's targets call.

Exit codes: 0 done; 1 not as it should be, with a line that says why; a wrapped command's own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from elt_stack import demo, docker, postgres, superset_export
from elt_stack.backup import dump, restore
from elt_stack.errors import StackError
from elt_stack.runtimes import OWNERS
from elt_stack.settings import PROJECT, Settings
from elt_stack.stack import Stack


def up(settings: Settings, _: argparse.Namespace) -> int:
    """start the stack and wait until all of it is healthy"""
    demo.start(settings)
    demo.wait_for_superset(settings)
    return 0


def run_demo(settings: Settings, _: argparse.Namespace) -> int:
    """start the stack, run the DAG on the sample, show what came of it"""
    return demo.demo(settings)


def down(settings: Settings, _: argparse.Namespace) -> int:
    """stop the stack; data stays"""
    print("stopped" if Stack(settings).down() else "nothing was running")
    return 0


def reset(settings: Settings, _: argparse.Namespace) -> int:
    """stop the stack and forget all its data"""
    Stack(settings).reset()
    print("stopped, and all its data removed")
    return 0


def status(settings: Settings, _: argparse.Namespace) -> int:
    """show the processes, and whether Airflow is healthy"""
    processes = Stack(settings).processes()
    if not processes:
        print("nothing is running: `make demo` starts it")
        return 1
    for process in processes:
        print(f"  {process['name']:<24}{process['statename']:<10}{process['description']}")
    health = {
        "Airflow": demo.airflow(settings).healthy(),
        "Superset": demo.superset_answers(settings),
    }
    for name, healthy in health.items():
        print(f"  {name} is {'healthy' if healthy else 'not healthy (yet)'}")
    print(demo.addresses(settings))
    return 0 if all(health.values()) else 1


def trigger(settings: Settings, arguments: argparse.Namespace) -> int:
    """trigger the DAG and watch it; status 0 when each task succeeded"""
    fields = ("file", "full_refresh", "backdated_transactions")
    params = {name: value for name in fields if (value := getattr(arguments, name))}
    tasks = demo.run_dag(settings, **params)
    return 0 if all(task["state"] == "success" for task in tasks.values()) else 1


def logs(settings: Settings, _: argparse.Namespace) -> int:
    """follow all logs"""
    files = sorted(str(path) for path in settings.logs.glob("**/*.log"))
    if not files:
        raise StackError(f"no log in {settings.logs}: `make demo` starts the stack")
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])


def psql(settings: Settings, arguments: argparse.Namespace) -> int:
    """open psql in the warehouse, or run one statement"""
    environment = os.environ | settings.libpq_environment(arguments.role)
    options = ["--command", arguments.statement] if arguments.statement else []
    os.execve(environment["PSQL"], ["psql", *options], environment)


def dbt(settings: Settings, arguments: argparse.Namespace) -> int:
    """run dbt in the warehouse, as the role the DAG uses"""
    command = arguments.command
    if command[:2] == ["docs", "serve"] and "--port" not in command:
        command = [*command, "--port", "8081"]  # dbt's default is Airflow's
    environment = settings.base_environment() | settings.libpq_environment("transformer")
    program = PROJECT / "dbt" / ".venv" / "bin" / "dbt"
    return subprocess.run([program, *command], cwd=PROJECT / "dbt", env=environment).returncode


def dashboard_export(settings: Settings, _: argparse.Namespace) -> int:
    """write the dashboard, as it is in Superset now, into superset/assets"""
    address = f"http://127.0.0.1:{settings['SUPERSET_PORT']}"
    login = settings["SUPERSET_ADMIN_USER"], settings["SUPERSET_ADMIN_PASSWORD"]
    changed = superset_export.export(address, *login, PROJECT / "superset" / "assets")
    print("\n".join(changed) or "nothing differs from what git has")
    return 0


def take_backup(settings: Settings, _: argparse.Namespace) -> int:
    """dump all databases into a new folder of BACKUP_DIR"""
    print(f"written: {dump.take(settings)}")
    print("keep .env elsewhere: a backup is of no use without its keys, and does not have them")
    return 0


def restore_backup(settings: Settings, arguments: argparse.Namespace) -> int:
    """replace the databases by those of a backup"""
    restore.restore(settings, arguments.folder, arguments.only, sure=arguments.force)
    return 0


def docker_check(settings: Settings, _: argparse.Namespace) -> int:
    """see that Docker can run the stack"""
    docker.check(settings)
    return 0


def docker_explain(_: Settings, __: argparse.Namespace) -> int:
    """print why containers of the stack ended"""
    print(docker.explain())
    return 0


def addresses(settings: Settings, _: argparse.Namespace) -> int:
    """print where the stack in Docker is, and its logins"""
    print(demo.addresses(settings))
    return 0


def execute(settings: Settings, arguments: argparse.Namespace) -> int:
    """become a command of a component, with all that component needs in its environment"""
    environments = {
        "airflow": settings.airflow_environment,
        "superset": settings.superset_environment,
    }
    environment = environments[arguments.component]()
    os.environ["PATH"] = environment["PATH"]
    os.execvpe(arguments.command[0], arguments.command, environment)


def with_postgres(arguments: argparse.Namespace) -> int:
    """run a command with a warehouse of its own, which is gone afterwards"""
    with postgres.throwaway(PROJECT / "init_db.sql") as environment:
        return subprocess.run(arguments.command, env=os.environ | environment).returncode


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="elt", description=__doc__.splitlines()[0])
    commands = root.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, function) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=function.__doc__)
        command.set_defaults(function=function)
        return command

    for name, function in {
        "demo": run_demo, "up": up, "down": down,
        "reset": reset, "status": status, "logs": logs, "docker-check": docker_check,
        "docker-explain": docker_explain, "addresses": addresses,
        "dashboard-export": dashboard_export, "backup": take_backup,
    }.items():  # fmt: skip
        add(name, function)
    command = add("trigger", trigger)
    command.add_argument("--file", help="name of a file in the data folder")
    command.add_argument("--full-refresh", action="store_true", help="build all tables anew")
    command.add_argument("--backdated-transactions", choices=["error", "warn"])
    command = add("restore", restore_backup)
    command.add_argument("--only", choices=list(OWNERS), help="that database, and no other")
    command.add_argument("--force", action="store_true", help="without asking")
    command.add_argument("folder", help="a backup: its path, or its name in BACKUP_DIR")
    command = add("psql", psql)
    command.add_argument("--role", default=postgres.SUPERUSER, choices=postgres.ROLES)
    command.add_argument("statement", nargs="?")
    command = add("exec", execute)
    command.add_argument("component", choices=["airflow", "superset"])
    command.add_argument("command", nargs="+")
    for name, function in {"dbt": dbt, "with-postgres": with_postgres}.items():
        add(name, function).add_argument("command", nargs="*")
    return root


def main() -> int:
    """Run one command; a mistake of the user's is one line on stderr."""
    arguments = parser().parse_args()
    try:
        if arguments.function is with_postgres:
            return with_postgres(arguments)
        return arguments.function(Settings.load(), arguments)
    except StackError as error:
        print(f"elt: {error}", file=sys.stderr)
    except PermissionError as error:
        print(f"elt: {error}: see AIRFLOW_ADMIN_PASSWORD in .env", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1
