"""The page in a browser: opened from disk, clicked, followed, filtered; wide and narrow, light and dark."""

from collections.abc import Iterator
from itertools import combinations, product
from math import hypot
from pathlib import Path

import pytest

from circuitwise.report.inline import show
from circuitwise.report.page import render
from circuitwise.study.run import Run
from tests.report.browser import PROGRAM, Tab, chromium
from tests.report.crowd import crowded

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on this machine")
CIRCUIT, PROMPTS = ".explorer.of-circuit", ".explorer.of-prompts"
SIZES = [(1400, False), (1400, True), (800, False), (800, True)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with as many nodes as are drawn at most, in thirty layers and two columns."""
    groups = [{"label": "plural subjects", "n": 9, "sign": 1.0}, {"label": "never drawn", "n": 2, "sign": 1.0}]
    explored = {"name": "crowd", "answer": "right less wrong answer", "groups": groups, "prompts": []}
    path = tmp_path_factory.mktemp("crowd") / "index.html"
    network = crowded(160, 2000, surveyed=True).as_json()
    path.write_text(render("inline.html", None, (), explored=explored | {"circuit": network}), "utf-8")
    return path


def classes(tab: Tab, what: str, root: str = CIRCUIT) -> list[str]:
    return tab.run(f"[...document.querySelectorAll('{root} .node.{what}')].map((node) => node.dataset.name)")


def count(tab: Tab, selector: str) -> int:
    return tab.run(f"document.querySelectorAll(`{selector}`).length")


Box = list[float]


def discs_overlap(one: Box, other: Box) -> bool:
    """Whether two marks do; a pixel is forgiven."""
    apart = hypot(one[0] + one[2] - other[0] - other[2], one[1] + one[3] - other[1] - other[3]) / 2
    return apart < (one[2] - one[0] + other[2] - other[0]) / 2 - 1


def boxes_overlap(one: Box, other: Box) -> bool:
    """Whether two names do, or a name and a mark; letters do not fill their boxes, so three pixels are forgiven."""
    wide, high = (min(one[at + 2], other[at + 2]) - max(one[at], other[at]) for at in (0, 1))
    return wide > 1 and high > 3


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
    browser.click(f'{CIRCUIT} .node[data-name="{name}"]')
    browser.run(f"document.querySelector('{CIRCUIT} svg').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    assert classes(browser, "selected") == []
    assert browser.complaints == [] and browser.requests == [report.resolve().as_uri()]


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_a_path_is_followed_from_a_token_to_the_answer(browser: Tab, report: Path, width: int, dark: bool):
    browser.open(report, width=width, dark=dark)
    name = browser.run(f"document.querySelector('{CIRCUIT} .node.feature.member').dataset.name")
    browser.click(f'{CIRCUIT} .node[data-name="{name}"]')
    steps = browser.run(f"[...document.querySelectorAll('{CIRCUIT} .route .step')].map((step) => step.dataset.to)")
    assert steps[0].startswith("token") and steps[-1] == "target" and name in steps[1:-1]
    lit: list[int] = []
    for reach in ("1", "2", "0"):
        browser.run(
            f"(() => {{ const it = document.querySelector('{CIRCUIT} .reach'); it.value = '{reach}'; "
            "it.dispatchEvent(new Event('change')); })()"
        )
        lit.append(count(browser, f"{CIRCUIT} .edge.on"))
    assert lit[0] == len(steps) - 1 <= lit[1] <= lit[2] and lit[0] < lit[2]
    browser.click(f"{CIRCUIT} .route .step:first-of-type")
    assert classes(browser, "selected") == [steps[0]] and name in classes(browser, "descendant")
    assert browser.run("document.activeElement.textContent") == steps[0]
    assert browser.complaints == [] and browser.requests == [report.resolve().as_uri()]


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_the_slider_hides_weak_edges_and_says_how_many_are_left(browser: Tab, report: Path, width: int, dark: bool):
    browser.open(report, width=width, dark=dark)
    shown = f"{CIRCUIT} .edge:not(.hidden)"
    before = count(browser, shown)
    browser.click(f"{CIRCUIT} .edge-filter")
    browser.press("End")
    after = count(browser, shown)
    assert 0 < after < before
    assert text(browser, f"{CIRCUIT} .edge-count").startswith(f"{after} of ")
    threshold = float(text(browser, f"{CIRCUIT} .edge-count").split("at least ")[1].split()[0])
    widths = "[...document.querySelectorAll(`{}`)].map((edge) => Number(edge.getAttribute('stroke-width')))"
    left = browser.run(widths.format(shown))
    gone = browser.run(widths.format(f"{CIRCUIT} .edge.hidden"))
    assert threshold > 0 and min(left) >= max(gone)
    faint = f"[...document.querySelectorAll('{CIRCUIT} .node.idle')].every((it) => getComputedStyle(it).opacity < 0.5)"
    assert classes(browser, "idle") and browser.run(faint)
    browser.press("Home")
    assert count(browser, shown) == before and browser.complaints == []


@pytest.mark.parametrize("width", [1400, 800, 480])
def test_full_graphs_are_drawn_without_overlaps_and_inside_their_frame(browser: Tab, crowd: Path, width: int):
    browser.open(crowd, width=width)
    boxes = """(() => {
      const box = (it) => { const r = it.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
      const all = (what) => [...document.querySelectorAll(what)].map(box);
      return [all(".stage .node:not(.hidden)"), all(".tag"), box(document.querySelector(".stage svg"))];
    })()"""
    nodes, names, frame = browser.run(boxes)
    assert len(nodes) == 160 - count(browser, ".stage .node.error") and len(names) > 3
    assert [pair for pair in combinations(nodes, 2) if discs_overlap(*pair)] == []
    assert [pair for pair in product(names, nodes) if boxes_overlap(*pair)] == []
    assert [pair for pair in combinations(names, 2) if boxes_overlap(*pair)] == []
    assert min(box[0] for box in nodes) >= frame[0] and max(box[2] for box in nodes + names) <= frame[2]
    assert min(box[1] for box in nodes) >= frame[1] and max(box[3] for box in nodes) <= frame[3]
    assert browser.run("document.documentElement.scrollWidth") == width and browser.complaints == []


@pytest.mark.parametrize("width", [1400, 800])
def test_a_supernode_lights_up_and_a_node_is_never_covered_by_its_panel(browser: Tab, crowd: Path, width: int):
    browser.open(crowd, width=width)
    assert browser.run("[...document.querySelectorAll('.group span')].map((it) => it.textContent)") == [
        "plural subjects"
    ]
    browser.click(".group")
    assert len(classes(browser, "grouped")) == 8 and browser.run("document.activeElement.className") == "group for"
    low = (
        "[...document.querySelectorAll('.node.feature')].sort((a, b) => b.getBBox().y - a.getBBox().y)[0].dataset.name"
    )
    name = browser.run(low)
    browser.click(f'.node[data-name="{name}"]')
    assert classes(browser, "selected") == [name] and classes(browser, "grouped") == []
    free = """(() => {
      const at = document.querySelector(".node.selected").getBoundingClientRect();
      const found = document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2);
      return found.closest(".node")?.dataset.name;
    })()"""
    assert browser.run(free) == name and browser.complaints == []


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_nothing_is_cut_off(browser: Tab, report: Path, width: int, dark: bool):
    browser.open(report, width=width, dark=dark)
    wide = """[...document.querySelectorAll(".card, .verdict, .findings li, .keys dd, .panel, td, figcaption")]
      .filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.className || it.tagName)"""
    assert browser.run(wide) == []
    pale = """[...document.querySelectorAll("figure svg text")].filter((it) => {
      const box = it.getBoundingClientRect(), frame = it.closest("svg").getBoundingClientRect();
      return box.left < frame.left - 2 || box.right > frame.right + 2 || box.bottom > frame.bottom + 2;
    }).map((it) => it.textContent)"""
    assert browser.run(pale) == []


def test_errors_are_drawn_when_they_are_asked_for(browser: Tab, crowd: Path):
    browser.open(crowd, width=1400)
    errors, edges = ".stage .node.error", ".edge:not(.hidden)"
    assert count(browser, f"{errors}.hidden") == count(browser, errors) > 0
    before = count(browser, edges)
    browser.click(".show-errors")
    assert count(browser, f"{errors}.hidden") == 0 and count(browser, edges) > before
    assert browser.complaints == []


def test_a_notebooks_cell_is_the_same_graph(browser: Tab, run: Run, tmp_path: Path):
    path = tmp_path / "cell.html"
    path.write_text(show(run.graph("agreement", 0)).page, "utf-8")
    browser.open(path, width=800)
    name = browser.run("document.querySelector('.node.feature').dataset.name")
    browser.click(f'.node[data-name="{name}"]')
    assert text(browser, ".panel-name") == name and any(
        each.startswith("target") for each in classes(browser, "descendant")
    )
    assert browser.complaints == [] and browser.requests == [path.resolve().as_uri()]


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
