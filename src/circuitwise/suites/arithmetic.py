"""Addition of two-digit numbers: ``34 + 25 = `` -> ``59`` and never a near miss.

The wrong answer is off by 10, 1 or 9 and has as many digits; it is the right answer to the minimal pair, which differs
in the second number. It is tagged by the error that leads to it:

    carry     10 too few, where the ones make a carry: it was forgotten (or 10 too many, where they make none)
    tens      10 off otherwise
    ones      1 off
    swap      9 off, the last two digits of the answer exchanged
    nine      9 off otherwise

Tokenizers cut numbers differently. Where the space before a number is a token of its own, as with those that take
numbers digit by digit, it ends the prompt; otherwise it begins the answer. Digits that both answers share are put
behind the prompt by ``tokenize_item``, so that the scored tokens always differ.
"""

from random import Random

from circuitwise.prompts import Encode
from circuitwise.suites.block import Block, Families, fits, shuffled

TEMPLATES = (
    "{a} + {b} =",
    "{a} plus {b} equals",
    "The sum of {a} and {b} is",
    "Question: What is {a} + {b}? Answer:",
)
"""The forms of the question."""
RANGES = ((10, 50), (20, 80), (30, 99))
"""What both numbers are drawn from."""
ERRORS = (10, -10, 1, -1, 9, -9)
"""By how much the wrong answer is off."""


def arithmetic(encode: Encode, random: Random) -> Families:
    """One family for each first number: the six errors in one range, templates in turn."""
    space = " " if tuple(encode("= 34"))[: len(encode("= "))] == tuple(encode("= ")) else ""
    families: Families = []
    used: set[frozenset[int]] = set()
    for at, first in enumerate(random.sample(range(10, 100), 90)):
        templates = shuffled(TEMPLATES, random)
        allowed = [each for each in RANGES if each[0] <= first <= each[1]]
        lowest, highest = allowed[at % len(allowed)]
        blocks: list[Block] = []
        for turn in range(at, at + len(ERRORS)):
            error = ERRORS[turn % len(ERRORS)]
            seconds = [each for each in range(lowest, highest + 1) if lowest <= each + error <= highest]
            fresh = [each for each in seconds if _is_fresh(first, each, error, used)]
            if fresh:
                second = random.choice(fresh)
                used |= {frozenset((first, second)), frozenset((first, second + error))}
                template = templates[turn % len(templates)] + space
                blocks.append(_block(first, (second, second + error), template, f"{lowest}-{highest}"))
        families.append([block for block in blocks if fits(block, encode)])
    return families


def _is_fresh(first: int, second: int, error: int, used: set[frozenset[int]]) -> bool:
    """Whether neither sum was asked for yet, in either order, and both have as many digits."""
    sums = first + second, first + second + error
    return len({len(str(each)) for each in sums}) == 1 and not used & {
        frozenset((first, second)),
        frozenset((first, second + error)),
    }


def _block(first: int, seconds: tuple[int, int], template: str, operands: str) -> Block:
    space = "" if template.endswith(" ") else " "
    one, other = seconds
    return Block(
        prompts=(template.format(a=first, b=one), template.format(a=first, b=other)),
        answers=(f"{space}{first + one}", f"{space}{first + other}"),
        groups=(str(first), str(first)),
        template=template,
        tags=(
            {"error": _error(first, one, other), "off_by": str(other - one), "operands": operands},
            {"error": _error(first, other, one), "off_by": str(one - other), "operands": operands},
        ),
    )


def _error(first: int, second: int, mistaken: int) -> str:
    """What kind of error makes the sum with the mistaken number of the right one."""
    right, wrong = str(first + second), str(first + mistaken)
    carries = first % 10 + second % 10 >= 10
    match mistaken - second:
        case 10 | -10 as error:
            return "carry" if carries == (error < 0) else "tens"
        case 1 | -1:
            return "ones"
        case _:
            return "swap" if right[:-2] + right[-1] + right[-2] == wrong else "nine"
