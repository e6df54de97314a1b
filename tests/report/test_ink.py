"""Figures do not depend on the user's settings, leave none behind, and follow the page's colours."""

import re

import matplotlib
import pytest

from circuitwise.report.ink import FOR, INK, PAPER, POINTS, Picture, drawing, finish, new_figure, new_stack


def draw() -> Picture:
    with drawing():
        figure, (axes,) = new_figure(3.0, 2.0)
        axes.scatter([0.0, 1.0], [1.0, 2.0], color=FOR).set_gid(POINTS)
        axes.set_xlabel("a < b")
        return finish(figure, "marks", "Two “marks”", ["first & last", "second"])


def test_the_same_figure_has_the_same_bytes_whatever_the_user_set():
    first = draw()
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 20, "svg.hashsalt": "other"}):
        second = draw()
    assert (first.png, first.svg, first.themed) == (second.png, second.svg, second.themed)


def test_the_users_settings_are_left_as_they_were():
    before = dict(matplotlib.rcParams)
    draw()
    assert dict(matplotlib.rcParams) == before


def test_files_hold_no_time_and_no_program():
    picture = draw()
    assert b"tEXt" not in picture.png and "<dc:date>" not in picture.svg


def test_on_the_page_colours_are_the_pages_and_names_are_the_figures():
    picture = draw()
    assert FOR in picture.svg and INK not in picture.themed
    assert not re.search(f"{FOR}|{PAPER}", picture.themed) and "var(--for)" in picture.themed
    names = re.findall(r'\bid="([^"]*)"', picture.themed)
    assert names and all(name.startswith("marks-") for name in names)
    links = re.findall(r'href="#([^"]*)"', picture.themed)
    assert links and set(links) <= set(names)
    assert "font-family" not in picture.themed and 'aria-label="Two “marks”"' in picture.themed


def test_marks_say_what_they_are():
    titles = re.findall(r"<use [^>]*><title>(.*?)</title></use>", draw().themed)
    assert titles == ["first &amp; last", "second"]


@pytest.mark.parametrize("n_columns", [1, 3])
def test_a_figure_has_as_many_panels_as_are_asked_for(n_columns: int):
    assert len(new_figure(3.0, 2.0, n_columns)[1]) == n_columns


def test_stacked_panels_share_what_is_below_them():
    figure, (above, below) = new_stack(3.0, [1.0, 2.0])
    below.set_xlim(0, 7)
    assert above.get_xlim() == (0, 7) and list(figure.get_size_inches()) == [3.0, 3.0]
