"""A short name for a feature from what it fires on and what it promotes, without any model.

A pattern is chosen on the strongest contexts and judged on the drawn ones:

    fires on “ Paris”, “ London”     the tokens that it peaks on
    follows “ of”                    the tokens before those
    fires on numbers                 a class of tokens: numbers, punctuation, line breaks, names, word parts

The pattern whose share of the strongest contexts is furthest above its share of the text wins. ``share`` is the part of
the drawn firings that it covers: those were not used to choose it. Below ``CLEAR`` the label begins with “unclear”.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

CLEAR = 0.4
"""The share of drawn firings that a clear label covers at least."""
MOST_WORDS = 3
"""Words that a label names at most, of each kind."""
CLASS_PRICE = 0.1
"""What a class of tokens must explain more than named tokens do."""

CLASSES: Mapping[str, Callable[[str], bool]] = {
    "numbers": lambda text: any(letter.isdigit() for letter in text),
    "line breaks": lambda text: "\n" in text,
    "punctuation": lambda text: bool(text.strip()) and not any(letter.isalnum() for letter in text),
    "names and sentence starts": lambda text: text.strip()[:1].isupper(),
    "word parts": lambda text: text[:1].isalpha() and text[:1].islower(),
}
"""Classes of tokens that a label may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name for a feature."""

    text: str
    """What it says."""
    share: float
    """The part of the feature's drawn firings that it covers; 0 where there are none."""
    source: str = "pattern"
    """What made it: ``pattern``, or the name of a model."""

    @property
    def clear(self) -> bool:
        """Whether it covers enough of what the feature fires on."""
        return self.share >= CLEAR

    def __str__(self) -> str:
        return f"{self.text} ({self.share:.0%})"


@dataclass(frozen=True, slots=True)
class Peak:
    """Where a feature fires in a context."""

    token: int
    """The token."""
    before: int
    """The token before it; -1 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """One way to say what a feature fires on."""

    text: str
    """In words."""
    words: frozenset[str]
    """The words it names, or the class."""
    covers: Callable[[Peak], bool]
    """Whether it is right about a firing."""
    rate: float
    """Its share of the text."""
    price: float
    """What it must explain more."""


class Labeller:
    """Names features of one text."""

    def __init__(self, texts: Mapping[int, str], counts: Mapping[int, int]) -> None:
        """The text of every token that occurs, and how often it occurs."""
        self.texts = texts
        self.words = {token: _word(text) for token, text in texts.items()}
        total = max(1, sum(counts.values()))
        self.rates: defaultdict[str, float] = defaultdict(float)
        self.classes: dict[str, float] = {}
        self.members = {
            name: {token for token, text in texts.items() if is_in(text)} for name, is_in in CLASSES.items()
        }
        for token, count in counts.items():
            self.rates[self.words[token]] += count / total
        for name, tokens in self.members.items():
            self.classes[name] = sum(counts.get(token, 0) for token in tokens) / total

    def label(self, strongest: Sequence[Peak], sampled: Sequence[Peak], promoted: Sequence[int]) -> Label:
        """A name for a feature that fires most at these places, and was drawn at those."""
        promotes = f"promotes {self._named(promoted)}"
        if not strongest:
            return Label(text=f"silent in this text; {promotes}", share=0.0)
        judged = sampled or strongest
        patterns = list(self._patterns(strongest))
        best = max(patterns, key=lambda each: _share(each, strongest) - each.rate - each.price)
        share = _share(best, judged)
        text = best.text if share >= CLEAR else f"unclear, {best.text}"
        return Label(text=f"{text}; {promotes}", share=share)

    def _patterns(self, strongest: Sequence[Peak]) -> Iterator[_Pattern]:
        places: tuple[tuple[str, Callable[[Peak], int], float], ...] = (
            ("fires on", lambda peak: peak.token, 0.0),
            ("follows", lambda peak: peak.before, CLASS_PRICE / 2),
        )
        for verb, token_of, price in places:
            common = Counter(self.words.get(token_of(peak), "") for peak in strongest).most_common(MOST_WORDS)
            several = [word for word, count in common if count > 1] or [common[0][0]]
            words = frozenset(word for word in several if word)
            shown = [token_of(peak) for peak in strongest if self.words.get(token_of(peak)) in words]
            shown.sort(key=lambda token, several=several: several.index(self.words[token]))
            yield _Pattern(
                text=f"{verb} {self._named(shown)}",
                words=words,
                covers=lambda peak, words=words, token_of=token_of: self.words.get(token_of(peak)) in words,
                rate=sum(self.rates[word] for word in words),
                price=price,
            )
            for name, tokens in self.members.items():
                yield _Pattern(
                    text=f"{verb} {name}",
                    words=frozenset([name]),
                    covers=lambda peak, tokens=tokens, token_of=token_of: token_of(peak) in tokens,
                    rate=self.classes[name],
                    price=price + CLASS_PRICE,
                )

    def _named(self, tokens: Sequence[int]) -> str:
        """The first different words among the tokens, quoted."""
        first: dict[str, str] = {}
        for token in tokens:
            if token in self.texts:
                first.setdefault(self.words[token], self.texts[token])
        return ", ".join(f"“{readable(text)}”" for text in [*first.values()][:MOST_WORDS]) or "nothing"


def readable(text: str) -> str:
    """A token's text in one line: line breaks and other control characters as escapes."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], text)


def _word(text: str) -> str:
    """What tokens have in common that differ in case or in the space before them only."""
    return text.strip().casefold() or repr(text)


def _share(pattern: _Pattern, peaks: Sequence[Peak]) -> float:
    return sum(pattern.covers(peak) for peak in peaks) / max(1, len(peaks))
