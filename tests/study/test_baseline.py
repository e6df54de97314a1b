"""A baseline is what an explicit loop over tokens gives; its verdict is where its interval lies."""

from pathlib import Path

import pytest
import torch

from circuitwise.errors import ArtifactError, PromptError, RequestError
from circuitwise.model.model import Model
from circuitwise.prompts import Item
from circuitwise.study.baseline import BaselineRow, judge_rows, measure_baseline, measure_rows, read_item, row_of
from circuitwise.suites import Thresholds
from tests.study.material import FAMILIES, small_replacement, small_suite


def model_of(folder: Path, family: str) -> Model:
    return small_replacement(folder, family).model


def item(prompt: str, correct: str, incorrect: str, contrast: str | None = None) -> Item:
    return Item(
        prompt=prompt,
        correct_answer=correct,
        incorrect_answer=incorrect,
        behaviour="tiny",
        split="train",
        group=prompt,
        contrast_prompt=contrast,
    )


@torch.no_grad()
def loop(model: Model, prompt: str, answer: str) -> tuple[float, bool]:
    """Hugging Face's own forward pass, token by token, and what greedy writing gives."""
    ids = model.tokenizer.encode(prompt)  # type: ignore[union-attr]
    total, greedy = 0.0, True
    for token in model.tokenizer.encode(prompt + answer)[len(ids) :]:  # type: ignore[union-attr]
        chances = torch.log_softmax(model.module(torch.tensor([ids])).logits[0, -1].double(), -1)
        total += float(chances[token])
        greedy &= int(chances.argmax()) == token
        ids.append(token)
    return total, greedy


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_those_of_an_explicit_loop(family: str, tmp_path: Path) -> None:
    model = model_of(tmp_path, family)
    items = [item("the cat", " is 12", " 7"), item("q w e r t the cat", " ab", " cats"), item("x", " the", " is")]
    for row, each in zip(measure_baseline(model, items).rows, items, strict=True):
        (right, greedy), (wrong, _) = (
            loop(model, each.prompt, a) for a in (each.correct_answer, each.incorrect_answer)
        )
        assert row.logprob_correct == pytest.approx(right, abs=1e-4)
        assert row.logprob_incorrect == pytest.approx(wrong, abs=1e-4)
        assert row.exact == greedy
        assert row.difference == row.logprob_correct - row.logprob_incorrect
        per_token = right / row.n_correct_tokens - wrong / row.n_incorrect_tokens
        assert row.difference_per_token == pytest.approx(per_token, abs=1e-4)
    assert [row.n_correct_tokens for row in measure_baseline(model, items).rows] == [3, 2, 1]


def test_what_the_model_writes_itself_is_an_exact_match(tmp_path: Path) -> None:
    model = model_of(tmp_path, FAMILIES[0])
    for prompt in ("the cat", "a b", "12 is", "q"):
        first = measure_rows(model, [item(prompt, " 1", " 2")], [read_item(model, item(prompt, " 1", " 2"))])[0].greedy
        if first.strip() and first != " 2":
            (row,) = measure_baseline(model, [item(prompt, first, " 2")]).rows
            assert row.exact == (row.n_correct_tokens == 1 or row.exact) and row.difference > 0


def test_prompts_together_are_as_prompts_alone(tmp_path: Path) -> None:
    model, items = model_of(tmp_path, "gemma2"), small_suite(tmp_path).train
    tokens = [read_item(model, each) for each in items]
    together = measure_rows(model, items, tokens)
    for row, each, read in zip(together, items, tokens, strict=True):
        (alone,) = measure_rows(model, [each], [read])
        assert row.logprob_correct == pytest.approx(alone.logprob_correct, abs=1e-4)


def test_a_prompt_that_is_too_long_with_its_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="at most 128"):
        read_item(model_of(tmp_path, FAMILIES[0]), item("q" * 128, " is", " the"))


def row_with(difference: float, group: str, n_tokens: int = 1) -> BaselineRow:
    return BaselineRow(
        prompt=f"{group} {difference}",
        correct_answer=" a",
        incorrect_answer=" b",
        group=group,
        template="",
        n_prompt_tokens=3,
        n_correct_tokens=n_tokens,
        n_incorrect_tokens=n_tokens,
        logprob_correct=difference - 5,
        logprob_incorrect=-5.0,
        greedy=" a",
        exact=difference > 3,
    )


@pytest.mark.parametrize(("n_good", "verdict"), [(40, "passed"), (10, "failed"), (32, "undecided")])
def test_the_verdict_is_where_the_interval_lies(n_good: int, verdict: str) -> None:
    rows = [row_with(4.0 if number < n_good else 1.0, str(number)) for number in range(40)]
    found = judge_rows(rows, "tiny", "test", Thresholds(margin=2.0, share=0.8))
    assert found.verdict == verdict and f"{n_good / 40:.0%} of 40 prompts" in found.reason
    assert found.accuracy.estimate == found.exact_match.estimate == n_good / 40 and found.sign_accuracy.estimate == 1


def test_the_margin_is_a_token_and_the_sign_is_of_the_whole() -> None:
    rows = [row_with(3.0, str(number), n_tokens=2) for number in range(5)]
    found = judge_rows(rows, "tiny", "test", Thresholds(margin=2.0, share=0.8))
    assert found.accuracy.estimate == 0 and found.sign_accuracy.estimate == 1
    assert found.difference.estimate == 3 and found.difference_per_token.estimate == 1.5


def test_prompts_of_one_group_count_as_one_draw() -> None:
    alone = judge_rows([row_with(float(n % 7), str(n)) for n in range(42)], "tiny", "test", Thresholds())
    grouped = judge_rows([row_with(float(n % 7), str(n % 7)) for n in range(42)], "tiny", "test", Thresholds())
    assert grouped.difference.n_clusters == 7
    assert grouped.difference.high - grouped.difference.low > 1.5 * (alone.difference.high - alone.difference.low)


def test_too_few_groups_have_a_mean_and_no_bounds() -> None:
    found = judge_rows([row_with(1.0, "x"), row_with(2.0, "y")], "tiny", "test", Thresholds())
    assert found.difference.estimate == 1.5 and found.difference.high == float("inf")
    assert found.metrics()["difference"] == {"estimate": 1.5, "low": None, "high": None, "median": 1.5, "std": 0.5}


def test_metrics_hold_what_s4_asks_for() -> None:
    metrics = judge_rows([row_with(float(n), str(n)) for n in range(5)], "tiny", "test", Thresholds()).metrics()
    assert {"accuracy", "sign_accuracy", "exact_match", "difference", "difference_per_token", "verdict"} <= set(metrics)
    assert metrics["prompt_tokens"] == {"least": 3, "mean": 3, "most": 3} and metrics["n_groups"] == 5


def test_no_prompts_and_broken_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no prompt"):
        measure_baseline(model_of(tmp_path, FAMILIES[0]), [])
    with pytest.raises(ArtifactError, match="cannot be read"):
        row_of({"prompt": "x", "n_prompt_tokens": "many"})
