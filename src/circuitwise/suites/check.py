"""Whether a tokenizer reads a suite as it was meant."""

from circuitwise.errors import PromptError
from circuitwise.prompts import Encode, tokenize_item
from circuitwise.suites.suite import Suite


def check_suite(suite: Suite, encode: Encode) -> list[str]:
    """What is wrong with the suite for this tokenizer, a sentence for every item; empty where nothing is.

    A tokenizer must leave a prompt's tokens as they are when an answer follows, tell both answers apart, and cut both
    prompts of a pair into equally many tokens. What needs no tokenizer is checked when a suite is made or read.
    """
    problems: list[str] = []
    for item in suite.items:
        try:
            tokenize_item(item, encode)
        except PromptError as error:
            problems.append(str(error))
    return problems


def n_equal_answers(suite: Suite, encode: Encode) -> int:
    """How many items of a sound suite have answers of equally many tokens, so that length favours neither."""
    tokens = [tokenize_item(item, encode) for item in suite.items]
    return sum(len(each.correct) == len(each.incorrect) for each in tokens)
