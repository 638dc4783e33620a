"""Tables in a real browser: a click or Enter on a column's name sorts, and a third puts it back."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import needs_chromium
from workbench.evaluation.benchmark_tables import benchmark_table
from workbench.viz.tables import table_page

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_chromium]

COLUMN = """(column) => [...document.querySelectorAll("tbody tr")].map(
  (row) => row.cells[column].textContent)"""


@pytest.fixture
def page(open_page, tmp_path):
    table = benchmark_table(None, "ssl_comparison", rng=np.random.default_rng(0))
    path = tmp_path / "table.html"
    path.write_text(table_page(table), encoding="utf-8")
    page = open_page()
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    return page


def test_clicks_sort_by_value_down_up_and_back_with_empty_cells_last(page):
    printed = page.evaluate(COLUMN, 2)
    button = page.locator('button[data-column="2"]')
    values = sorted((float(v.rstrip("*†")) for v in printed if v != "–"), reverse=True)
    for told, order in (("descending", values), ("ascending", values[::-1])):
        button.click()
        expect(page.locator(f'th[aria-sort="{told}"]')).to_have_count(1)  # rows move in the same go
        shown = page.evaluate(COLUMN, 2)
        assert [float(v.rstrip("*†")) for v in shown[: len(values)]] == order
        assert set(shown[len(values) :]) == {"–"}
    button.click()
    expect(page.locator("th[aria-sort]")).to_have_count(0)
    assert page.evaluate(COLUMN, 2) == printed


def test_enter_sorts_by_a_name_and_rows_stay_whole(page):
    before = {tuple(row) for row in zip(*(page.evaluate(COLUMN, c) for c in range(8)), strict=True)}
    page.locator('button[data-column="1"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator('th[aria-sort="descending"]')).to_have_count(1)
    names = page.evaluate(COLUMN, 1)
    assert names == sorted(names, reverse=True, key=str.lower)
    after = {tuple(row) for row in zip(*(page.evaluate(COLUMN, c) for c in range(8)), strict=True)}
    assert after == before
