"""Whether the model shows the behaviour at all: both answers' log-probabilities after every prompt, and a verdict.

An answer's tokens are those that it has behind its prompt, and each is scored given all before it:

    log p(answer) = sum_t log p(token_t | prompt, token_1 ... token_t-1)

Shares of prompts have Wilson intervals; means have intervals over groups of prompts, which are drawn together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from statistics import median, pstdev
from typing import Any, Literal, get_type_hints

import torch

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.evidence.intervals import Bootstrap, Interval, bootstrap, wilson
from circuitwise.evidence.samples import FEWEST
from circuitwise.model.forward import run, unembed
from circuitwise.model.model import Model
from circuitwise.model.tokens import pad, text_ids, token_text, tokenize
from circuitwise.prompts import Item, ItemTokens, Split, tokenize_item
from circuitwise.storage import Json
from circuitwise.suites.suite import Thresholds
from circuitwise.vocabulary import Residual, Site, integers, numbers

USUAL = Thresholds()
"""When a behaviour counts as shown unless its suite says otherwise."""
PROMPTS_PER_RUN = 8
"""Prompts that run together, each with both answers."""
BaselineVerdict = Literal["passed", "failed", "undecided"]
"""Passed: the interval of the accuracy lies above what is asked for; failed: below; undecided: around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRow:
    """What the model makes of one prompt."""

    prompt: str
    """The prompt."""
    correct_answer: str
    """How it should go on."""
    incorrect_answer: str
    """How it should not."""
    group: str
    """The word, entity or context that it shares with others."""
    template: str
    """The form that it shares with others."""
    n_prompt_tokens: int
    """Tokens of the prompt."""
    n_correct_tokens: int
    """Tokens of the right answer."""
    n_incorrect_tokens: int
    """Tokens of the wrong one."""
    logprob_correct: float
    """Log-probability of the right answer: the sum over its tokens, in nats."""
    logprob_incorrect: float
    """The same of the wrong one."""
    greedy: str
    """The likeliest next token."""
    exact: bool
    """Whether the right answer is what the model writes, token by token, if it always takes the likeliest."""

    @property
    def difference(self) -> float:
        """How much more log-probability the right answer has."""
        return self.logprob_correct - self.logprob_incorrect

    @property
    def difference_per_token(self) -> float:
        """The same with each answer's sum divided by its number of tokens."""
        return self.logprob_correct / self.n_correct_tokens - self.logprob_incorrect / self.n_incorrect_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """How well the model shows a behaviour on the prompts of a split."""

    behaviour: str
    """The suite's name."""
    split: Split
    """Which prompts."""
    thresholds: Thresholds
    """When it counts as shown."""
    rows: tuple[BaselineRow, ...]
    """One a prompt; prompts that failed are not here."""
    accuracy: Interval
    """The share of prompts whose difference a token exceeds the margin."""
    sign_accuracy: Interval
    """The share of prompts where the right answer is the likelier one."""
    exact_match: Interval
    """The share of prompts where greedy writing begins with the right answer."""
    difference: Interval
    """The mean difference of log-probabilities."""
    difference_per_token: Interval
    """The mean difference a token."""
    verdict: BaselineVerdict
    """What became of it."""
    reason: str
    """The sentence with the numbers that led to the verdict."""

    def metrics(self) -> dict[str, Json]:
        """All numbers but the rows."""
        lengths = {
            "prompt_tokens": [row.n_prompt_tokens for row in self.rows],
            "correct_tokens": [row.n_correct_tokens for row in self.rows],
            "incorrect_tokens": [row.n_incorrect_tokens for row in self.rows],
        }
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "margin": self.thresholds.margin,
            "share": self.thresholds.share,
            "n_prompts": len(self.rows),
            "n_groups": self.difference.n_clusters,
            "accuracy": _interval(self.accuracy),
            "sign_accuracy": _interval(self.sign_accuracy),
            "exact_match": _interval(self.exact_match),
            "difference": _spread(self.difference, [row.difference for row in self.rows]),
            "difference_per_token": _spread(self.difference_per_token, [row.difference_per_token for row in self.rows]),
            **{name: {"least": min(n), "mean": sum(n) / len(n), "most": max(n)} for name, n in lengths.items()},
        }


def measure_baseline(
    model: Model, items: Sequence[Item], thresholds: Thresholds = USUAL, *, how: Bootstrap = Bootstrap()
) -> Baseline:
    """Whether the model shows a behaviour on prompts of one suite and one split."""
    tokens = [read_item(model, item) for item in items]
    parts = range(0, len(items), PROMPTS_PER_RUN)
    chunks = [slice(start, start + PROMPTS_PER_RUN) for start in parts]
    rows = [row for part in chunks for row in measure_rows(model, items[part], tokens[part])]
    if not rows:
        raise RequestError("There is no prompt to measure. Give one at least.")
    return judge_rows(rows, items[0].behaviour, items[0].split, thresholds, how=how)


def read_item(model: Model, item: Item) -> ItemTokens:
    """The item's tokens, if the model can run them with either answer."""
    tokens = tokenize_item(item, lambda text: text_ids(model, text))
    for answer in (tokens.correct, tokens.incorrect):
        tokenize(model, tokens.prompt + answer)
    return tokens


@torch.no_grad()
def measure_rows(model: Model, items: Sequence[Item], tokens: Sequence[ItemTokens]) -> list[BaselineRow]:
    """What the model makes of some prompts, which all run together."""
    texts = [each.prompt + answer for each in tokens for answer in (each.correct, each.incorrect)]
    last = Site(model.n_layers - 1, "resid_post")
    padded = pad([torch.tensor(text, device=model.device) for text in texts])
    stream = run(model, padded, read=[last], logits="none").sites[last]
    found: list[BaselineRow] = []
    for number, (item, each) in enumerate(zip(items, tokens, strict=True)):
        scored = [_score(model, stream[2 * number + place], each, place) for place in (0, 1)]
        (correct, exact, first), (incorrect, _, _) = scored
        found.append(
            BaselineRow(
                prompt=item.prompt,
                correct_answer=item.correct_answer,
                incorrect_answer=item.incorrect_answer,
                group=item.group,
                template=item.template,
                n_prompt_tokens=len(each.prompt),
                n_correct_tokens=len(each.correct),
                n_incorrect_tokens=len(each.incorrect),
                logprob_correct=correct,
                logprob_incorrect=incorrect,
                greedy=token_text(model, first),
                exact=exact,
            )
        )
    return found


def judge_rows(
    rows: Sequence[BaselineRow], behaviour: str, split: Split, thresholds: Thresholds, *, how: Bootstrap = Bootstrap()
) -> Baseline:
    """The rows with their shares, means, intervals and verdict."""
    groups, n = [row.group for row in rows], len(rows)
    accuracy = wilson(sum(row.difference_per_token > thresholds.margin for row in rows), n, level=how.level)
    verdict, reason = _verdict(accuracy, thresholds)
    return Baseline(
        behaviour=behaviour,
        split=split,
        thresholds=thresholds,
        rows=tuple(rows),
        accuracy=accuracy,
        sign_accuracy=wilson(sum(row.difference > 0 for row in rows), n, level=how.level),
        exact_match=wilson(sum(row.exact for row in rows), n, level=how.level),
        difference=_mean([row.difference for row in rows], groups, how),
        difference_per_token=_mean([row.difference_per_token for row in rows], groups, how),
        verdict=verdict,
        reason=reason,
    )


def _score(model: Model, stream: Residual, tokens: ItemTokens, place: int) -> tuple[float, bool, int]:
    """An answer's log-probability, whether each of its tokens is the likeliest, and which token is at first."""
    answer = (tokens.correct, tokens.incorrect)[place]
    before = stream[len(tokens.prompt) - 1 : len(tokens.prompt) + len(answer) - 1]
    chances = torch.log_softmax(unembed(model, model.final_norm.module(before)).float(), -1)
    likeliest = integers(chances.argmax(-1))
    total = sum(numbers(chances[range(len(answer)), list(answer)].double()))
    return total, likeliest == list(answer), likeliest[0]


def _mean(values: list[float], groups: list[str], how: Bootstrap) -> Interval:
    """The mean with its interval; too few groups tell nothing about how much it varies."""
    n_groups = len(set(groups))
    if n_groups >= FEWEST:
        return bootstrap(values, clusters=groups, how=how)
    mean = sum(values) / len(values)
    return Interval(estimate=mean, low=-inf, high=inf, level=how.level, n=len(values), n_clusters=n_groups)


def _verdict(accuracy: Interval, thresholds: Thresholds) -> tuple[BaselineVerdict, str]:
    """What the interval of the accuracy says about the share that is asked for."""
    verdict: BaselineVerdict = "undecided"
    if accuracy.low >= thresholds.share:
        verdict = "passed"
    elif accuracy.high < thresholds.share:
        verdict = "failed"
    said = {"passed": "lies above", "failed": "lies below", "undecided": "holds"}[verdict]
    return verdict, (
        f"In {accuracy.estimate:.0%} of {accuracy.n} prompts the right answer leads by more than {thresholds.margin:g} "
        f"nats a token; the {accuracy.level:.0%} interval, {accuracy.low:.0%} to {accuracy.high:.0%}, {said} the "
        f"{thresholds.share:.0%} that are asked for."
    )


def _interval(value: Interval) -> dict[str, Json]:
    """An interval by name; bounds that do not exist are null."""
    low, high = (bound if isfinite(bound) else None for bound in (value.low, value.high))
    return {"estimate": value.estimate, "low": low, "high": high}


def _spread(mean: Interval, values: list[float]) -> dict[str, Json]:
    return {**_interval(mean), "median": median(values), "std": pstdev(values)}


def row_of(written: Mapping[str, str]) -> BaselineRow:
    """The row whose fields stand in a table as text."""
    read: Mapping[Any, Callable[[str], Any]] = {int: int, float: float, bool: "True".__eq__, str: str}
    hints = get_type_hints(BaselineRow)
    try:
        values: dict[str, Any] = {name: read[hints[name]](text) for name, text in written.items()}
        return BaselineRow(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"A baseline's row cannot be read ({error}). Run the stage baseline again.") from error
