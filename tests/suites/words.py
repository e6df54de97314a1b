"""A tokenizer for the tests of suites: a word with its space is a token, a number is one or its digits are."""

import re
from collections.abc import Sequence


class Words:
    """Ids in the order in which tokens are first seen."""

    def __init__(self, *, digits: bool) -> None:
        self.ids: dict[str, int] = {}
        number = r" ?\d+" if not digits else r" (?=\d)|\d"
        self.token = re.compile(rf"{number}| ?[^\W\d]+| ?[^\w\s]+|\s")

    def __call__(self, text: str) -> Sequence[int]:
        return [self.ids.setdefault(piece, len(self.ids)) for piece in self.token.findall(text)]
