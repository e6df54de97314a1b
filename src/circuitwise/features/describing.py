"""A label from a text model, and how well the model finds the feature's contexts by that label alone.

The model sees the strongest contexts, with the tokens that activate marked, and the promoted tokens. Then it is asked
which of some shuffled, unmarked contexts fit its label: drawn ones that it was not shown, and ones of other features.
"""

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from circuitwise.errors import RequestError
from circuitwise.features.labels import Label, readable
from circuitwise.features.profile import Context, Profile
from circuitwise.model.forward import generate
from circuitwise.model.model import Model
from circuitwise.model.tokens import pad, tokenize
from circuitwise.vocabulary import integers

Ask = Callable[[str], str]

SHOWN = 8
"""Strongest contexts that the model sees."""
TESTED = 10
"""Contexts of each kind that the label is tested on, at most."""
LONGEST = 80
"""Characters of a label."""
SECONDS = 60.0
"""How long an endpoint may take."""
ANSWER = 60
"""Tokens that a local model may write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many of some contexts were judged rightly."""

    right: int
    """Judged rightly."""
    n: int
    """All."""

    @property
    def share(self) -> float:
        """The part that was judged rightly."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval at 95 %."""
        z = 1.959964
        middle = (self.share + z * z / (2 * self.n)) / (1 + z * z / self.n)
        spread = math.sqrt(self.share * (1 - self.share) / self.n + (z / (2 * self.n)) ** 2)
        half = z / (1 + z * z / self.n) * spread
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A label that a text model gave, and its detection score."""

    text: str
    """The label."""
    found: Rate
    """Of the feature's own held-out contexts, those that were named."""
    rejected: Rate
    """Of the other features' contexts, those that were not named."""

    @property
    def score(self) -> float:
        """Balanced accuracy: .5 is chance."""
        return (self.found.share + self.rejected.share) / 2

    def label(self, source: str) -> Label:
        """As a label, with the name of the model; its share is that of the held-out contexts."""
        return Label(text=self.text, share=self.found.share, source=source)


def describe(profile: Profile, ask: Ask, *, others: Sequence[Context], seed: int = 0) -> Described:
    """Ask for a label, then test it. Of the others, those that overlap a known context of the feature are left out."""
    shown = profile.strongest[:SHOWN]
    drawn = [each for group in profile.quintiles for each in group]
    held = [each for each in drawn if not _overlaps(each, shown)]
    foreign = [each for each in others if not _overlaps(each, (*profile.strongest, *drawn))]
    if not shown or not held or not foreign:
        raise RequestError(
            f"{profile.feature} has {len(shown)} contexts to show, {len(held)} held out and {len(foreign)} of other "
            "features; a label needs one of each. Make a survey of more text."
        )
    draw = random.Random(seed)
    fitting = draw.sample(held, min(TESTED, len(held)))
    foreign = draw.sample(foreign, min(TESTED, len(foreign)))
    text = ask(_label_prompt(profile, shown)).strip().split("\n")[0].strip().strip('"“”')[:LONGEST].strip()
    if not text:
        raise RequestError("The model answered with an empty label. Ask another model.")
    tested = [(each, True) for each in fitting] + [(each, False) for each in foreign]
    draw.shuffle(tested)
    named = _numbers(ask(_test_prompt(text, [each for each, _ in tested])), len(tested))
    hits = sum(fits and place in named for place, (_, fits) in enumerate(tested, 1))
    misses = sum(not fits and place not in named for place, (_, fits) in enumerate(tested, 1))
    return Described(text=text, found=Rate(right=hits, n=len(fitting)), rejected=Rate(right=misses, n=len(foreign)))


def endpoint(url: str, model: str, key: str | None) -> Ask:
    """A text model behind an OpenAI-compatible base URL. Redirects are refused: they would carry the key elsewhere."""
    if not re.match(r"https?://[^/]", url):
        raise RequestError(f"“{url}” is no address of a text model. Give one that begins with http:// or https://.")

    def ask(prompt: str) -> str:
        body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": prompt}]}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        try:
            request = Request(f"{url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
            with build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
                value = json.loads(answer.read())
        except HTTPError as error:
            why = f"answered with the status {error.code}"
        except TimeoutError:
            why = f"did not answer within {SECONDS:.0f} s"
        except (OSError, HTTPException):
            why = "cannot be reached"
        except ValueError:  # its text may hold the key
            why = "cannot be asked with this key, or answered with something that is no JSON"
        else:
            match value:
                case {"choices": [{"message": {"content": str(content)}}, *_]}:
                    return content
                case _:
                    why = "answered without choices[0].message.content"
        raise RequestError(f"The text model at {url} {why}. Check the address, the model's name and the key.") from None

    return ask


def local_model(model: Model) -> Ask:
    """A model in this process, asked greedily, through its chat template where it has one."""

    def ask(prompt: str) -> str:
        tokenizer = model.tokenizer
        chats = tokenizer is not None and tokenizer.chat_template is not None
        tokens = tokenize(model, [{"role": "user", "content": prompt}] if chats else prompt)
        written = generate(model, pad([tokens]), n_tokens=ANSWER)[0]
        assert tokenizer is not None  # tokenize refuses a model without one
        return str(tokenizer.decode(integers(written), skip_special_tokens=True))

    return ask


class _NoRedirect(HTTPRedirectHandler):
    """Makes an error of a redirect."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        del req, fp, code, msg, headers, newurl
        return


def _overlaps(one: Context, others: Sequence[Context]) -> bool:
    return any(
        one.sequence == each.sequence
        and one.start < each.start + len(each.tokens)
        and each.start < one.start + len(one.tokens)
        for each in others
    )


def _label_prompt(profile: Profile, shown: Sequence[Context]) -> str:
    lines = "\n".join(f"{place}. {_line(each, marked=True)}" for place, each in enumerate(shown, 1))
    promoted = ", ".join(f"“{readable(token.text)}”" for token in profile.promoted)
    return (
        "A feature of a language model activates on the tokens between « and ».\n\n"
        f"{lines}\n\nIt promotes the tokens {promoted}.\n\n"
        f"What does it stand for? Answer with one short phrase of at most {LONGEST} characters, nothing else."
    )


def _test_prompt(label: str, contexts: Sequence[Context]) -> str:
    lines = "\n".join(f"{place}. {_line(each, marked=False)}" for place, each in enumerate(contexts, 1))
    return (
        f"Which of these texts fit the description “{label}”?\n\n{lines}\n\n"
        "Answer with their numbers, separated by commas, or with the word none. Nothing else."
    )


def _line(context: Context, *, marked: bool) -> str:
    pairs = zip(context.tokens, context.activations, strict=True)
    return "".join(f"«{readable(t.text)}»" if marked and value > 0 else readable(t.text) for t, value in pairs)


def _numbers(answer: str, n: int) -> set[int]:
    """The numbers in an answer that holds nothing else."""
    text = answer.strip().rstrip(".").casefold()
    numbers = {int(each) for each in re.findall(r"[0-9]+", text)}
    if text == "none" or (numbers and re.fullmatch(r"[0-9,;\s]+", text) and numbers <= set(range(1, n + 1))):
        return numbers
    raise RequestError(f"The model was asked for numbers from 1 to {n} and answered “{readable(answer[:80])}”.")
