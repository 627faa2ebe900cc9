"""scripts/reliability.py writes each table of results to its place in docs/reliability.md."""

import importlib.util
import json

import pytest

from support import PROJECT

PAGE = """before
<!-- table:one -->
| old |
<!-- end -->
between
<!-- table:two -->
| unchanged |
<!-- end -->
after
"""
TABLE = {"columns": ["fault", "tries"], "rows": [["a|b", 1200], ["c\nd", 3]]}


@pytest.fixture(scope="module")
def script():
    path = PROJECT / "scripts" / "reliability.py"
    spec = importlib.util.spec_from_file_location("reliability", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_table_replaces_the_old_one(script):
    page = script.render(PAGE, {"one": TABLE})
    table = "| fault | tries |\n| --- | --: |\n| a\\|b | 1,200 |\n| c d | 3 |\n"
    assert page == PAGE.replace("| old |\n", table)
    assert script.render(page, {"one": TABLE}) == page


def test_a_table_without_a_placeholder_is_an_error(script):
    with pytest.raises(SystemExit, match="no place for: three"):
        script.render(PAGE, {"one": TABLE, "three": TABLE})


def test_the_page_has_a_placeholder_for_each_table(script, tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(script.PAGE.read_text())
    monkeypatch.setattr(script, "PAGE", page)
    names = ["loader_faults", "dag_faults", "bad_input", "wrong_meaning", "balance_chain"]
    for name in names:
        (tmp_path / f"{name}.json").write_text(json.dumps(TABLE))
    script.main(tmp_path)
    assert page.read_text().count("| a\\|b | 1,200 |") == len(names)
    assert capsys.readouterr().out.count(": written") == len(names)
