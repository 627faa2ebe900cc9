"""A user of Airflow and Superset, in a real browser."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Page, Request, Response, expect

from support import PROJECT

DASHBOARD = "/superset/dashboard/monitoring/"
CHARTS = len(list((PROJECT / "superset" / "assets" / "charts").glob("*.yaml")))
CACHE_SECONDS = 30  # for which Superset keeps the data of a chart (superset_config.py)
TIMEOUT = 60_000  # milliseconds, enough for steps that start processes


class Browser:
    """A browser session that records its requests and the HTTP status of each chart's data.

    Attributes:
        airflow: The address of Airflow, without a slash at the end.
        superset: The address of Superset.
    """

    def __init__(self, context, airflow: str, superset: str) -> None:
        self.page: Page = context.new_page()
        self.airflow, self.superset = airflow, superset
        self.requested: set[Request] = set()
        self.chart_data: list[int] = []
        self.opened_at = 0.0  # when the dashboard was last drawn, on the monotonic clock
        context.on("request", lambda request: self.requested.add(request))
        # The browser announces a request before the page's content-security policy blocks it.
        context.on("requestfailed", self._forget_blocked)
        context.on("response", self._record_status)

    def _forget_blocked(self, request: Request) -> None:
        if request.failure == "csp":
            self.requested.discard(request)

    def _record_status(self, response: Response) -> None:
        if "/api/v1/chart/data" in response.url:
            self.chart_data.append(response.status)

    def log_in(self, address: str, user: str, password: str) -> None:
        self.page.goto(address)
        self.page.locator("#username, input[name=username]").fill(user)
        self.page.locator("#password, input[name=password]").fill(password)
        self.page.keyboard.press("Enter")

    def open_dashboard(self, width: int = 1440) -> None:
        """Open the dashboard and wait for its charts."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(self.superset + DASHBOARD)
        self.wait_for_charts()

    def wait_for_charts(self) -> None:
        """Wait until every chart of the open dashboard is drawn."""
        charts = self.page.locator("[data-test-chart-name]")
        expect(charts).to_have_count(CHARTS, timeout=TIMEOUT)
        for chart in charts.all():
            chart.scroll_into_view_if_needed()
            expect(chart.locator(".slice_container")).to_be_visible(timeout=TIMEOUT)
            expect(chart.locator(".loading")).to_have_count(0, timeout=TIMEOUT)
        self.opened_at = time.monotonic()

    def wait_for_fresh_data(self) -> None:
        """Wait until the chart data of the last visit is no longer in Superset's cache."""
        remaining = self.opened_at + CACHE_SECONDS + 1 - time.monotonic()
        self.page.wait_for_timeout(max(remaining, 0) * 1_000)

    def take_screenshot(self, path: Path) -> None:
        """Save a screenshot of the whole page, scrolled to its top."""
        self.page.evaluate("window.scrollTo(0, 0)")
        self.page.wait_for_timeout(1_000)  # milliseconds, until moving elements have settled
        self.page.screenshot(path=path, full_page=True)

    def rows(self, chart: str):
        """Return the rows of a table chart by its title."""
        return self.page.locator(f"[data-test-chart-name='{chart}'] tbody tr")

    def cells(self, chart: str) -> list[list[str]]:
        """Return the texts of the cells of each row of a table chart."""
        return [row.locator("td").all_inner_texts() for row in self.rows(chart).all()]

    def hint(self, chart: str) -> str:
        """Return the text that an empty chart shows. The style of the dashboard contains it."""
        text = self.page.locator(f"[data-test-chart-name='{chart}'] [aria-label='empty'] + div")
        return text.evaluate("element => getComputedStyle(element, '::after').content")

    def assert_no_error(self) -> None:
        expect(self.page.locator("[role=alert], .ant-alert-error")).to_have_count(0)
        assert len(self.chart_data) >= CHARTS
        assert set(self.chart_data) <= {200, 202}

    def assert_no_horizontal_scroll(self) -> None:
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= self.page.viewport_size["width"]
