"""The page in a browser: opened from disk, clicked, followed, filtered; wide and narrow, light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import PROGRAM, Tab, chromium

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on this machine")
CIRCUIT, PROMPTS = ".explorer.of-circuit", ".explorer.of-prompts"
SIZES = [(1400, False), (1400, True), (800, False), (800, True)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def classes(tab: Tab, what: str, root: str = CIRCUIT) -> list[str]:
    return tab.run(f"[...document.querySelectorAll('{root} .node.{what}')].map((node) => node.dataset.name)")


def count(tab: Tab, selector: str) -> int:
    return tab.run(f"document.querySelectorAll(`{selector}`).length")


def text(tab: Tab, selector: str) -> str:
    return tab.run(f"document.querySelector(`{selector}`).textContent")


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_a_click_shows_a_node_and_lights_up_its_paths(browser: Tab, report: Path, width: int, dark: bool):
    browser.open(report, width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(18, 20, 23)" if dark else "rgb(246, 246, 244)")
    name = browser.run(f"document.querySelector('{CIRCUIT} .node.feature.member').dataset.name")
    browser.click(f'{CIRCUIT} .node[data-name="{name}"]')
    assert text(browser, f"{CIRCUIT} .panel-name") == name
    assert text(browser, f"{CIRCUIT} .panel-label") and count(browser, f"{CIRCUIT} .panel .chips span")
    assert classes(browser, "selected") == [name]
    assert "target" in classes(browser, "descendant") and any(
        each.startswith("token") for each in classes(browser, "ancestor")
    )
    dim = f"getComputedStyle(document.querySelector('{CIRCUIT} .node:not(.selected, .ancestor, .descendant)')).opacity"
    assert float(browser.run(dim)) < 0.5
    onward = f"{CIRCUIT} .panel .links:last-child .link"
    following = browser.run(f"document.querySelector('{onward}').dataset.to")
    browser.click(onward)
    assert text(browser, f"{CIRCUIT} .panel-name") == following != name
    assert name in classes(browser, "ancestor")
    browser.click(f"{CIRCUIT} .close")
    assert classes(browser, "selected") == [] and "Strongest features" in text(browser, f"{CIRCUIT} .panel")
    assert browser.complaints == [] and browser.requests == [report.resolve().as_uri()]


def test_the_slider_hides_weak_edges_and_says_how_many_are_left(browser: Tab, report: Path):
    browser.open(report, width=1400)
    shown = f"{CIRCUIT} .edge:not(.hidden)"
    before = count(browser, shown)
    browser.click(f"{CIRCUIT} .edge-filter")
    browser.press("End")
    after = count(browser, shown)
    assert 0 < after < before
    assert text(browser, f"{CIRCUIT} .edge-count").startswith(f"{after} of ")
    browser.press("Home")
    assert count(browser, shown) == before and browser.complaints == []


def test_it_works_by_keyboard_alone(browser: Tab, report: Path):
    browser.open(report, width=1400)
    browser.run(f"document.querySelector(`{CIRCUIT} .node[tabindex='0']`).focus()")
    start = browser.run("document.activeElement.dataset.name")
    browser.press("ArrowDown")
    name = browser.run("document.activeElement.dataset.name")
    assert (start, name != start) == ("target", True)
    browser.press("Enter")
    assert classes(browser, "selected") == [name]
    browser.press("Escape")
    assert classes(browser, "selected") == []


def test_another_prompt_is_one_choice_away_and_shows_its_text_as_text(browser: Tab, report: Path):
    browser.open(report, width=1400)
    assert "<script>" in text(browser, f"{PROMPTS} .prompt-choice option")
    assert browser.run("document.title") == "tiny · planted agreement"
    first = text(browser, f"{PROMPTS} .prompt-scores")
    browser.click(f"{PROMPTS} .after")
    assert browser.run(f"document.querySelector('{PROMPTS} .prompt-choice').value") == "1"
    assert text(browser, f"{PROMPTS} .prompt-scores") != first
    browser.click(f"{PROMPTS} .node.member")
    assert text(browser, f"{PROMPTS} .badges") == "in the circuit"
    assert browser.complaints == []


def test_light_and_dark_are_one_click_apart(browser: Tab, report: Path):
    browser.open(report, width=800, dark=True)
    browser.click(".theme")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(246, 246, 244)"
    assert text(browser, ".theme") == "Dark"
