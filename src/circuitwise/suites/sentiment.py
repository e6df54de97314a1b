"""Sentiment: what was said about a thing decides the word for it.

``Everyone loved the movie. In a word, it was`` -> `` great`` and never `` terrible``. Both prompts of a pair differ in
the one word that carries the polarity, and no polarity word of a test context occurs in a training context. The
answers are common words, of about equal frequency in a pair, so that the context decides and not the habit of a word.
"""

from random import Random

from circuitwise.prompts import Encode
from circuitwise.suites.block import Block, Families, fits, rows, shuffled

CONTEXTS = """
Everyone loved/hated the {thing}. |
The critics praised/attacked the {thing}. |
The {thing} was a success/failure. |
The {thing} left us happy/angry. |
It was the best/worst {thing} of the year. |
The {thing} turned out to be a triumph/disaster. |
The guests enjoyed/regretted the {thing}. |
We were impressed/disappointed by the {thing}. |
The {thing} was full of beauty/mistakes. |
The {thing} was a pleasure/pain. |
The {thing} was a dream/nightmare. |
My sister was delighted/disgusted by the {thing}. |
The reviews of the {thing} were positive/negative. |
The {thing} was brilliant/boring from start to end. |
The {thing} kept getting better/worse. |
I felt comfortable/uncomfortable all through the {thing}. |
All my friends recommended/avoided the {thing}. |
The {thing} was a joy/shame. |
The {thing} won everyone's respect/contempt. |
People left the {thing} satisfied/frustrated. |
The {thing} was beautiful/ugly in every way. |
The {thing} deserved all the praise/blame. |
The {thing} was a blessing/curse. |
The people at the {thing} were kind/rude to us. |
The {thing} was a relief/burden. |
Everything about the {thing} was right/wrong. |
The {thing} was perfect/broken. |
We admired/despised the {thing}. |
The {thing} was a gift/punishment. |
The {thing} was fun/painful. |
It was a {thing} to remember/forget. |
The {thing} lifted/crushed our spirits. |
The {thing} was a huge hit/flop. |
The {thing} was well/badly made. |
The {thing} made the town proud/ashamed. |
We were thrilled/bored by the {thing}.
"""
"""What was said, with the word that makes it good and the word that makes it bad."""
THINGS = ("movie", "concert", "party", "show", "meal", "trip")
"""What it was said about: a context and its five variants."""
ANSWERS = """
great terrible | good bad | wonderful horrible | excellent poor | enjoyable boring | nice awful
"""
"""What is said next, in a good context and in a bad one."""
ENDINGS = ("It was", "It was so", "In a word, it was", "That is because it was")
"""How the next sentence begins."""


def sentiment(encode: Encode, random: Random) -> Families:
    """One family a context, with each of the six things."""
    answers = shuffled(rows(ANSWERS), random)
    families: Families = []
    for at, context in enumerate(shuffled(rows(CONTEXTS), random)):
        things, endings = shuffled(THINGS, random), shuffled(ENDINGS, random)
        blocks = [
            _block(context, thing, answers[(at + turn) % len(answers)], endings[turn % len(endings)])
            for turn, thing in enumerate(things)
        ]
        families.append([block for block in blocks if fits(block, encode)])
    return families


def _block(context: str, thing: str, answers: str, ending: str) -> Block:
    words = context.split(" ")
    at = next(number for number, word in enumerate(words) if "/" in word)
    both = words[at].split("/")
    punctuation = both[1][len(both[1].rstrip(".")) :]
    good, bad = (
        " ".join([*words[:at], word.rstrip(".") + punctuation, *words[at + 1 :]]).format(thing=thing) for word in both
    )
    fine, poor = answers.split()
    form = {"thing": thing, "words": words[at].rstrip(".")}
    return Block(
        prompts=(f"{good} {ending}", f"{bad} {ending}"),
        answers=(f" {fine}", f" {poor}"),
        groups=(form["words"], form["words"]),
        template="{context} " + ending,
        tags=({"polarity": "positive", **form}, {"polarity": "negative", **form}),
    )
