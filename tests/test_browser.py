"""What a person sees: the DAG run from Airflow's pages, and the dashboard, in one real browser.

The tests of this file run in their order on one stack, which nobody has loaded anything into.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Response, expect

from support import PROJECT, THRESHOLD

DASHBOARD = "/superset/dashboard/monitoring/"
ALERT = "Alert: Accounts over the withdrawal threshold"
CHARTS = len(list((PROJECT / "superset" / "assets" / "charts").glob("*.yaml")))
LONG = 60_000  # milliseconds, for what starts processes


class Browser:
    """One person's browser, which remembers whom it asked and what came back from charts."""

    def __init__(self, context, environment) -> None:
        self.page: Page = context.new_page()
        self.airflow = f"http://localhost:{environment['AIRFLOW_PORT']}"
        self.superset = f"http://localhost:{environment['SUPERSET_PORT']}"
        self.asked: set[str] = set()
        self.chart_data: list[int] = []
        context.on("request", lambda request: self.asked.add(request.url))
        context.on("response", self._note)

    def _note(self, response: Response) -> None:
        if "/api/v1/chart/data" in response.url:
            self.chart_data.append(response.status)

    def log_in(self, address: str, user: str, password: str) -> None:
        self.page.goto(address)
        self.page.locator("#username, input[name=username]").fill(user)
        self.page.locator("#password, input[name=password]").fill(password)
        self.page.keyboard.press("Enter")

    def open_dashboard(self, width: int = 1440) -> None:
        """Return when each chart has been drawn."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(self.superset + DASHBOARD)
        charts = self.page.locator("[data-test-chart-name]")
        expect(charts).to_have_count(CHARTS, timeout=LONG)
        for chart in charts.all():
            chart.scroll_into_view_if_needed()
            expect(chart.locator(".slice_container")).to_be_visible(timeout=LONG)
            expect(chart.locator(".loading")).to_have_count(0, timeout=LONG)

    def photograph(self, path: Path) -> None:
        """The whole page, with its header where it belongs."""
        self.page.evaluate("window.scrollTo(0, 0)")
        self.page.wait_for_timeout(1_000)  # milliseconds, for what moves when the page does
        self.page.screenshot(path=path, full_page=True)

    def rows(self, chart: str):
        """The lines of a table, by the chart's title."""
        return self.page.locator(f"[data-test-chart-name='{chart}'] tbody tr")

    def assert_no_error(self) -> None:
        expect(self.page.locator("[role=alert], .ant-alert-error")).to_have_count(0)
        assert len(self.chart_data) >= CHARTS
        assert set(self.chart_data) <= {200, 202}

    def assert_not_sideways(self) -> None:
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= self.page.viewport_size["width"]


@pytest.fixture(scope="module")
def person(browser, stack):
    up = stack.make("demo-up")
    assert up.returncode == 0, up.stdout
    context = browser.new_context(locale="en-US", timezone_id="UTC")
    yield Browser(context, stack.environment)
    context.close()


@pytest.fixture(scope="module")
def pictures(request, tmp_path_factory):
    folder = request.config.getoption("pictures") or tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_dashboard_opens_without_errors_on_an_empty_warehouse(person, stack, pictures):
    assert stack.query("select count(*) from raw.transactions") == [(0,)]
    password = stack.environment["SUPERSET_ADMIN_PASSWORD"]
    person.log_in(f"{person.superset}/login/", "admin", password)
    expect(person.page).not_to_have_url(re.compile("/login"), timeout=LONG)
    person.open_dashboard()
    person.assert_no_error()
    expect(person.rows(ALERT)).to_have_count(0)
    person.photograph(pictures / "dashboard-empty.png")


def test_a_click_in_airflow_runs_the_dag(person, stack, pictures):
    page = person.page
    page.set_viewport_size({"width": 1440, "height": 900})
    person.log_in(person.airflow, "airflow", stack.environment["AIRFLOW_ADMIN_PASSWORD"])
    page.wait_for_url(f"{person.airflow}/")
    page.goto(f"{person.airflow}/dags/transactions_elt")
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
        expect(row).to_contain_text(state, timeout=LONG)
    page.reload()  # the grid beside the table lags behind it
    expect(page.get_by_role("link", name="test_transformed_data").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=pictures / "airflow-run.png")


def test_the_dashboard_shows_the_truth(person, truth, pictures):
    person.open_dashboard()
    person.assert_no_error()
    person.assert_not_sideways()
    shown = []
    for row in person.rows(ALERT).all():
        account, *amounts = row.locator("td").all_inner_texts()
        shown.append((account, *(Decimal(amount.replace(",", "")) for amount in amounts)))
    over = [
        (account, sums[0], THRESHOLD) for account, sums in truth.sums.items() if sums[0] > THRESHOLD
    ]
    assert shown == sorted(over, key=lambda each: each[1], reverse=True)
    assert len(shown) == 5
    expect(person.rows("Backdated transactions")).to_have_count(truth.backdated)
    person.photograph(pictures / "dashboard.png")


def test_the_dashboard_fits_a_phone(person, pictures):
    person.open_dashboard(width=390)
    person.assert_no_error()
    person.assert_not_sideways()
    for chart in person.page.locator("[data-test-chart-name]").all():
        box = chart.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        if chart.locator("table, canvas").count():  # single numbers stand two in a row
            assert box["width"] > 300
    person.photograph(pictures / "dashboard-phone.png")


def test_both_sessions_live_side_by_side(person):
    person.page.goto(f"{person.airflow}/dags/transactions_elt")
    expect(person.page.get_by_role("button", name="Trigger").first).to_be_visible()
    person.page.goto(person.superset + DASHBOARD)
    expect(person.page.locator("[data-test-chart-name]").first).to_be_visible(timeout=LONG)
    assert "/login" not in person.page.url


def test_the_browser_asked_no_host_but_ours(person):
    ours = {urlsplit(address).netloc for address in (person.airflow, person.superset)}
    hosts = {urlsplit(url).netloc for url in person.asked if not url.startswith(("data:", "blob:"))}
    assert hosts == ours
