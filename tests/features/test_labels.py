"""A label says what a feature fires on, how much of it that covers, and that it is unclear where it is."""

from collections.abc import Sequence

from circuitwise.features.labels import Label, Labeller, Peak, readable

TEXTS = {1: " Paris", 2: " London", 3: " of", 4: "7", 5: ".", 6: "\n", 7: " cat", 8: " dog", 9: " paris", 10: " Rome"}
COUNTS = {1: 2, 2: 2, 3: 40, 4: 6, 5: 30, 6: 10, 7: 50, 8: 50, 9: 1, 10: 1}


def label(strongest: Sequence[Peak], sampled: Sequence[Peak], promoted: Sequence[int] = (7,)) -> Label:
    return Labeller(TEXTS, COUNTS).label(strongest, sampled, promoted)


def on(*tokens: int, before: int = 7) -> list[Peak]:
    return [Peak(token, before) for token in tokens]


def test_the_tokens_that_a_feature_peaks_on_name_it():
    found = label([Peak(1, 3), Peak(2, 5), Peak(9, 7), Peak(2, 8)], [Peak(1, 3), Peak(2, 5), Peak(2, 7), Peak(8, 8)])
    assert found.text == "fires on “ Paris”, “ London”; promotes “ cat”"
    assert found.share == 0.75 and found.clear and str(found).endswith("(75%)")


def test_the_token_before_names_a_feature_that_fires_after_it():
    peaks = [Peak(token, 3) for token in (1, 4, 7, 8, 5)]
    found = label(peaks, peaks)
    assert found.text == "follows “ of”; promotes “ cat”" and found.share == 1.0


def test_a_class_of_tokens_names_a_feature_whose_tokens_differ():
    numbers = {index: str(index) for index in range(100, 130)}
    labeller = Labeller(TEXTS | numbers, COUNTS | dict.fromkeys(numbers, 1))
    peaks = [Peak(token, 3 + token % 4) for token in range(100, 110)]
    found = labeller.label(peaks, [Peak(token, 7) for token in range(110, 129)] + on(7), [4])
    assert found.text == "fires on numbers; promotes “7”" and found.share == 0.95


def test_what_is_frequent_in_the_text_anyway_names_nothing():
    """All but one of the strongest are “ cat”, but so is half of the text; the rare word before explains more."""
    strongest = [Peak(7, 10)] * 4 + [Peak(8, 10)]
    assert label(strongest, strongest).text.startswith("follows “ Rome”")


def test_the_share_is_that_of_firings_that_did_not_choose_the_label():
    found = label(on(1, 1, 1, before=3), on(1, 4, 5, 6, 8, 7, 7, 8, 8, 4))
    assert found.share == 0.1 and not found.clear
    assert found.text == "unclear, fires on “ Paris”; promotes “ cat”"


def test_a_silent_feature_says_so():
    assert label([], []).text == "silent in this text; promotes “ cat”"


def test_line_breaks_are_readable_and_words_are_named_once():
    assert readable("a\n\tb") == "a\\n\\tb"
    assert label([], [], [6, 1, 9, 2, 8]).text == "silent in this text; promotes “\\n”, “ Paris”, “ London”"
