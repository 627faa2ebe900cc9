"""Other programs can use the package, and `python -m` runs its command line."""

import subprocess
import sys
import threading

import pytest
from conftest import LOADS, line

import data_ingestion
from data_ingestion import Options, Warehouse, load_file
from data_ingestion.postgres.copy_errors import hide_printed_errors


def test_a_program_loads_a_file(warehouse, write):
    path = write(line(1), line(2), line(1))
    with Warehouse() as server:
        load = load_file(path, Options(), server)
        assert load_file(path, Options(), server) is None, "already loaded"
    assert (load.load_id, load.rows_loaded, load.rows_duplicate) == (1, 2, 1)
    assert warehouse.query(LOADS) == [("loaded", 3, 2, 1, 0)]


def test_every_public_name_can_be_imported():
    for name in data_ingestion.__all__:
        assert getattr(data_ingestion, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = data_ingestion.nothing


def test_python_dash_m_runs_the_command_line():
    command = [sys.executable, "-m", "data_ingestion", "load", "--delimiter", "ab"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "'ab' is not one ASCII character" in done.stderr


def test_the_package_and_its_help_import_no_library():
    code = (
        "import sys, data_ingestion, data_ingestion.cli\n"
        "print(sorted({'pandas', 'numpy', 'pyarrow', 'psycopg2', 'openpyxl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_exit_code_stays_0_when_the_reader_of_the_output_is_gone(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    out = tmp_path / "a.csv"
    command = [sys.executable, "-m", "data_ingestion", "sample", "--rows", "1000", "--out", out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, b"")


def test_errors_of_other_threads_are_printed_during_a_copy(monkeypatch):
    printed = []
    monkeypatch.setattr("data_ingestion.postgres.copy_errors._installed", False)
    monkeypatch.setattr(sys, "excepthook", lambda *error: printed.append(error[1]))
    hidden, shown = ValueError("of the COPY"), ValueError("of another thread")

    def print_error(error: Exception) -> None:
        sys.excepthook(type(error), error, None)

    with hide_printed_errors():
        print_error(hidden)
        thread = threading.Thread(target=print_error, args=(shown,))
        thread.start()
        thread.join()
    assert printed == [shown]
    print_error(hidden)
    assert printed == [shown, hidden], "after the COPY, errors are printed again"
