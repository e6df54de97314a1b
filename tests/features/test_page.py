"""A feature's page is one file without script or network, and shows text as it is."""

import re
from dataclasses import replace

from circuitwise.features.labels import Label
from circuitwise.features.page import feature_page
from circuitwise.features.profile import Profile, Token
from circuitwise.vocabulary import Feature
from tests.features.material import surveyed

NASTY = "<script>alert('x')</script>\n&\"é"


def test_the_page_needs_nothing_from_elsewhere_and_knows_dark():
    page = feature_page(surveyed().profile(Feature(1, 7)))
    assert not re.search(r"<script|src=|href=|url\(|@import|https?:", page)
    assert "prefers-color-scheme: dark" in page and page.startswith("<!doctype html>")


def test_every_context_and_bar_is_on_the_page():
    profile = surveyed().profile(Feature(1, 7))
    page = feature_page(profile)
    assert page.count('class="context"') == len(profile.strongest) + sum(map(len, profile.quintiles))
    assert page.count('class="peak"') == page.count('class="context"')
    assert page.count("<i style=") == len(profile.bars)
    assert f"{profile.n_firings:,} of {profile.n_positions:,} tokens" in page


def test_text_cannot_become_markup():
    profile = surveyed().profile(Feature(1, 7))
    first = profile.strongest[0]
    tokens = (Token(0, NASTY), *first.tokens[1:])
    nasty = replace(
        profile,
        label=Label(text=NASTY, share=0.5),
        promoted=(Token(0, NASTY, 1.0),),
        strongest=(replace(first, tokens=tokens),),
    )
    page = feature_page(nasty)
    assert "<script" not in page and page.count("&lt;script&gt;") == 3 and "é" in page
    assert "\\n&amp;" in page  # line breaks are shown, so a context stays on its line


def test_a_feature_without_a_survey_has_a_page_too():
    label = Label(text="promotes “a”", share=0.0)
    page = feature_page(
        Profile(feature=Feature(0, 1), promoted=(Token(1, "a", 2.0),), suppressed=(Token(2, "b", -2.0),), label=label)
    )
    assert "No survey was given" in page and "+2.000" in page and 'class="context"' not in page
