"""A user triggers the DAG and sees the dashboard, in a real browser.

The tests of this file run in order on one stack, which is empty at first.
"""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from pages import DASHBOARD, TIMEOUT, Browser
from support import THRESHOLD

ALERT = "Alert: Accounts over the withdrawal threshold"
BREAKS = "Breaks in the balances"


def decimal(text: str) -> Decimal:
    """Return the number that a table shows with commas between thousands."""
    return Decimal(text.replace(",", ""))


@pytest.fixture(scope="module")
def user(browser, stack):
    """Yield a browser session on the running stack, without a login."""
    up = stack.make("demo-up")
    assert up.returncode == 0, up.stdout
    context = browser.new_context(locale="en-US", timezone_id="UTC")
    ports = (stack.environment[name] for name in ("AIRFLOW_PORT", "SUPERSET_PORT"))
    yield Browser(context, *(f"http://localhost:{port}" for port in ports))
    context.close()


def test_the_dashboard_opens_without_errors_on_an_empty_warehouse(user, stack, pictures):
    assert stack.query("select count(*) from raw.transactions") == [(0,)]
    password = stack.environment["SUPERSET_ADMIN_PASSWORD"]
    user.log_in(f"{user.superset}/login/", "admin", password)
    expect(user.page).not_to_have_url(re.compile("/login"), timeout=TIMEOUT)
    user.open_dashboard()
    user.assert_no_error()
    expect(user.rows(ALERT)).to_have_count(0)
    assert "No file was loaded yet" in user.hint(BREAKS)
    user.take_screenshot(pictures / "dashboard-empty.png")


def test_a_click_in_airflow_runs_the_dag(user, stack, pictures):
    page = user.page
    page.set_viewport_size({"width": 1440, "height": 900})
    user.log_in(user.airflow, "airflow", stack.environment["AIRFLOW_ADMIN_PASSWORD"])
    page.wait_for_url(f"{user.airflow}/")
    page.goto(f"{user.airflow}/dags/transactions_elt")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.locator("input[name=element_file]").fill("transactions_data.csv")
    form.get_by_role("button", name="Trigger", exact=True).click()
    page.wait_for_url("**/runs/manual__*")
    states = {
        "parse_and_populate_csv": "Success",
        "transform_data": "Success",
        "test_transformed_data": "Failed",  # the sample has backdated transactions
    }
    for task, state in states.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=task))
        expect(row).to_contain_text(state, timeout=TIMEOUT)
    page.reload()  # the grid beside the table of tasks is updated later than the table
    expect(page.get_by_role("link", name="test_transformed_data").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=pictures / "airflow-run.png")


def test_the_dashboard_shows_the_sums_of_the_file(user, truth, pictures):
    user.wait_for_fresh_data()
    user.open_dashboard()
    user.assert_no_error()
    user.assert_no_horizontal_scroll()
    rows = [(*row[:3], *map(decimal, row[3:])) for row in user.cells(ALERT)]
    over = [
        (account, "USD", "transactions", sums[0], THRESHOLD)
        for account, sums in truth.sums.items()
        if sums[0] > THRESHOLD
    ]
    assert rows == sorted(over, key=lambda item: item[3], reverse=True)
    assert len(rows) == 5
    expect(user.rows("Backdated transactions")).to_have_count(truth.backdated)
    user.take_screenshot(pictures / "dashboard.png")


def test_the_dashboard_shows_that_the_statements_add_up(user, truth):
    accounts = len(truth.sums)
    assert user.cells("Accounts reconciled") == [[f"{accounts} of {accounts}", "0", "0", "0"]]
    assert "Good news" in user.hint(BREAKS)
    rows = user.cells("Reconciliation per account")
    assert {row[0]: (decimal(row[6]), decimal(row[5])) for row in rows} == truth.sums
    for _, currency, source, state, opening, money_in, money_out, closing, *breaks in rows:
        assert (currency, source) == ("USD", "transactions")
        assert (state, breaks[:2]) == ("reconciled", ["0", "0"])
        assert decimal(opening) + decimal(money_in) - decimal(money_out) == decimal(closing)


def test_the_dashboard_fits_a_phone(user, pictures):
    user.open_dashboard(width=390)
    user.assert_no_error()
    user.assert_no_horizontal_scroll()
    for chart in user.page.locator("[data-test-chart-name]").all():
        box = chart.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        if chart.locator("table, canvas").count():  # charts of single numbers share a row
            assert box["width"] > 300
    user.take_screenshot(pictures / "dashboard-phone.png")


def test_airflow_and_superset_sessions_coexist(user):
    user.page.goto(f"{user.airflow}/dags/transactions_elt")
    expect(user.page.get_by_role("button", name="Trigger").first).to_be_visible()
    user.page.goto(user.superset + DASHBOARD)
    expect(user.page.locator("[data-test-chart-name]").first).to_be_visible(timeout=TIMEOUT)
    assert "/login" not in user.page.url


def test_the_browser_contacts_no_foreign_host(user):
    own_hosts = {urlsplit(address).netloc for address in (user.airflow, user.superset)}
    urls = {request.url for request in user.requested}
    hosts = {urlsplit(url).netloc for url in urls if not url.startswith(("data:", "blob:"))}
    assert hosts == own_hosts
