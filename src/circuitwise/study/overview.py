"""What came of each behaviour of a run: the row that stands for it in tables.

lost     of what all features together give, the share that goes without the circuit's
kept     the share that the circuit keeps alone
moved    how far the circuit's features take the difference of the answers to that of the contrast prompt
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from circuitwise.evidence import Claim, Interval
from circuitwise.study.baseline import Baseline
from circuitwise.study.effects import Effect
from circuitwise.study.proof import Proof
from circuitwise.study.run import Run
from circuitwise.study.sentences import Sentence, chance, nats, percent

NOTHING = "–"
"""Stands where something was not run."""
COLUMNS = (
    "behaviour",
    "test prompts",
    "right answer likelier",
    "over the threshold",
    "lead (nats a token)",
    "baseline",
    "replacement",
    "circuit",
    "lost without it",
    "kept by it alone",
    "ablated (nats)",
    "patched (of the way)",
    "evidence",
)
"""The table of a run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overview:
    """One behaviour in a few numbers; what was not run is None."""

    behaviour: str
    """The suite's name."""
    baseline: Baseline | None
    """How well the model shows it on test prompts."""
    n_graphs: int
    """Training prompts that were traced."""
    replacement: float | None
    """The mean share of what reaches the answer that starts in tokens and not in errors."""
    n_features: int | None
    """Features of the circuit."""
    lost: Claim | None
    """What goes without it."""
    kept: Claim | None
    """What stays with it alone."""
    ablated: Effect | None
    """Its features set to zero."""
    patched: Effect | None
    """Its features set to what they are on the contrast prompt."""
    verdict: str | None
    """What is shown about it."""

    def cells(self) -> tuple[str, ...]:
        """What stands in each column."""
        baseline, patched = self.baseline, self.patched
        return (
            self.behaviour,
            NOTHING if baseline is None else str(len(baseline.rows)),
            _shown(None if baseline is None else baseline.sign_accuracy, "share"),
            _shown(None if baseline is None else baseline.accuracy, "share"),
            _shown(None if baseline is None else baseline.difference, "nats"),
            NOTHING if baseline is None else baseline.verdict,
            NOTHING if self.replacement is None else f"{self.replacement:.2f}",
            NOTHING if self.n_features is None else f"{self.n_features} features",
            _judged(self.lost),
            _judged(self.kept),
            _beside(None if self.ablated is None else self.ablated.effect, self.ablated, "nats"),
            _beside(None if patched is None else patched.moved, patched, "share"),
            self.verdict or NOTHING,
        )


def overview(run: Run, behaviour: str) -> Overview:
    """What came of one behaviour of a run."""
    proof, circuit, found = run.proof(behaviour), run.circuit(behaviour), run.interventions(behaviour)
    graphs = run.graphs(behaviour)
    scores = [row.replacement for row in graphs if row.replacement is not None]
    claims: Mapping[str, Claim] = {} if proof is None else {claim.name: claim for claim in proof.claims}
    effects = {} if found is None else {(each.intervention_type, each.aim): each for each in found.effects}
    return Overview(
        behaviour=behaviour,
        baseline=run.baseline(behaviour, "test"),
        n_graphs=len(graphs),
        replacement=sum(scores) / len(scores) if scores else None,
        n_features=None if circuit is None else len(circuit.members),
        lost=claims.get("necessity"),
        kept=claims.get("sufficiency"),
        ablated=effects.get(("ablation_zero", "circuit")),
        patched=effects.get(("patching", "circuit")),
        verdict=None if proof is None else proof.verdict,
    )


def strongest_sentences(run: Run, n: int) -> list[tuple[str, Sentence]]:
    """The strongest findings of a run, with their behaviours."""
    proofs = [proof for name in run.behaviours if (proof := run.proof(name)) is not None]
    return list(islice(rank_sentences(proofs), n))


def rank_sentences(proofs: Sequence[Proof]) -> Iterator[tuple[str, Sentence]]:
    """All findings with their behaviours, those of circuits that are shown before all others.

    Among these, of each behaviour its first, then of each its second, and so on.
    """
    for shown in (True, False):
        here = [proof for proof in proofs if (proof.verdict == "supported") == shown]
        for turn in range(max((len(proof.sentences) for proof in here), default=0)):
            yield from ((proof.behaviour, proof.sentences[turn]) for proof in here if turn < len(proof.sentences))


def markdown_table(rows: Iterable[Overview]) -> str:
    """The table of several behaviours in Markdown."""
    lines: list[Sequence[str]] = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _shown(value: Interval | None, unit: Literal["share", "nats"]) -> str:
    """A number with its interval."""
    if value is None:
        return NOTHING
    number = percent if unit == "share" else nats
    return f"{number(value.estimate)} [{number(value.low)}, {number(value.high)}]"


def _judged(claim: Claim | None) -> str:
    """A share beside what random circuits come to."""
    if claim is None:
        return NOTHING
    null = (
        "" if claim.null is None or claim.p is None else f"; random {percent(claim.null.mean)}, p = {chance(claim.p)}"
    )
    return _shown(claim.value, "share") + null


def _beside(value: Interval | None, effect: Effect | None, unit: Literal["share", "nats"]) -> str:
    """An effect beside that of its controls."""
    if value is None or effect is None:
        return NOTHING
    control = (
        ""
        if effect.control is None or effect.q is None
        else f"; controls {nats(effect.control.estimate)} nats, q = {chance(effect.q)}"
    )
    return _shown(value, unit) + control
