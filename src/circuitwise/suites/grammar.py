"""Agreement: a verb has the number of its subject, ``The dogs`` -> `` are`` and never `` is``.

The subjects are animate, so that every verb is plausible with each. No verb's form is a common noun or preposition as
well: ``The dog walk`` and ``The dog like`` may go on, so they would measure something else. A suite with more prompts
than there are subjects goes on with words between subject and verb, which have no number of their own: ``The dogs
outside``.
"""

from random import Random

from circuitwise.prompts import Encode
from circuitwise.suites.block import Block, Families, fits, rows, shuffled

SUBJECTS = """
actor actors|artist artists|author authors|baby babies|bear bears|bird birds|boy boys|brother brothers|cat cats|
chicken chickens|child children|cousin cousins|cow cows|customer customers|dancer dancers|daughter daughters|
doctor doctors|dog dogs|driver drivers|duck ducks|elephant elephants|engineer engineers|farmer farmers|fox foxes|
friend friends|frog frogs|girl girls|goat goats|guard guards|guest guests|horse horses|hunter hunters|judge judges|
king kings|lady ladies|lawyer lawyers|leader leaders|lion lions|man men|monkey monkeys|mother mothers|mouse mice|
neighbor neighbors|nurse nurses|officer officers|owner owners|painter painters|parent parents|patient patients|
pig pigs|pilot pilots|player players|priest priests|queen queens|rabbit rabbits|rat rats|reader readers|
sailor sailors|scientist scientists|singer singers|sister sisters|snake snakes|soldier soldiers|son sons|
speaker speakers|student students|teacher teachers|tiger tigers|uncle uncles|visitor visitors|wolf wolves|
woman women|worker workers|writer writers
"""
"""Singular and plural of each lemma."""
VERBS = """
is are|was were|has have|does do|seems seem|knows know|comes come|goes go|sits sit|begins begin|becomes become|
appears appear|says say|gets get|sees see
"""
"""Fifteen verbs in the form of either number."""
CONTINUATIONS = (
    " here",
    " there",
    " outside",
    " inside",
    " nearby",
    " upstairs",
    " at home",
    " over there",
    " in front",
    " today",
)
"""Ten things that may stand between subject and verb."""


def grammar(encode: Encode, random: Random) -> Families:
    """One family a lemma: the singular beside the plural, alone and then with every continuation."""
    subjects, verbs = shuffled(rows(SUBJECTS), random), shuffled(rows(VERBS), random)
    families: Families = []
    for at, subject in enumerate(subjects):
        forms = ("", *shuffled(CONTINUATIONS, random))
        blocks = [_block(subject, form, verbs[(at + turn) % len(verbs)]) for turn, form in enumerate(forms)]
        families.append([block for block in blocks if fits(block, encode)])
    return families


def _block(subject: str, continuation: str, verb: str) -> Block:
    one, many = subject.split()
    is_one, are_many = verb.split()
    form = {"verb": is_one, "continuation": continuation.strip()}
    return Block(
        prompts=(f"The {one}{continuation}", f"The {many}{continuation}"),
        answers=(f" {is_one}", f" {are_many}"),
        groups=(one, one),
        template="The {subject}" + continuation,
        tags=({"number": "singular", **form}, {"number": "plural", **form}),
    )
