"""The verdict on a behaviour's circuit, in claims and in sentences, each with its numbers.

    supported   the circuit carries more of the behaviour than random circuits do: alone or left out, its interval lies
                above zero and too few of them reach it (q <= alpha)
    refuted     in both, it surely carries nothing, or random circuits surely do as well
    undecided   the numbers do not tell
    not shown   it could not be measured, and the sentence says why

How *much* it carries is another question: the claims ``sufficiency`` and ``necessity`` ask for the shares that were
declared beforehand (``Demands``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from circuitwise.errors import RequestError
from circuitwise.evidence import Claim, Evidence, wilson
from circuitwise.evidence.weighing import Runs, weigh
from circuitwise.storage.jsontext import Json
from circuitwise.study.importances import Importances
from circuitwise.study.interventions import Interventions
from circuitwise.study.proving import USUAL_PROOF, Ablation, ProofChoice, ProofRow, Trial
from circuitwise.study.sentences import Levels, Sentence, against_random, nats, shares
from circuitwise.study.verdicts import Finding, findings_of, member_findings
from circuitwise.study.written import written_fields

Judgement = Literal["supported", "refuted", "undecided", "not shown"]
REFERENCES: Mapping[Ablation, str] = {
    "contrast": "as on the contrast prompt",
    "mean": "to the mean of training prompts",
    "zero": "to zero",
}
"""What ablated features are set to, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is shown about a behaviour's circuit."""

    behaviour: str
    """The suite's name."""
    verdict: Judgement
    """Whether the circuit carries the behaviour."""
    headline: str
    """The verdict with its numbers, in one sentence."""
    claims: tuple[Claim, ...]
    """Everything that was claimed, measured and judged."""
    sentences: tuple[Sentence, ...]
    """The findings, the strongest first."""
    n_prompts: int
    """Prompts that were run; none of them took part in finding the circuit."""
    n_groups: int
    """Groups that they fall into."""
    members: tuple[str, ...]
    """The circuit, strongest first."""
    settings: str
    """How was ablated, and with which controls."""

    @property
    def evidence(self) -> Evidence:
        """The claims as a table."""
        subject = f"{len(self.members)} features"
        return Evidence(subject=subject, claims=self.claims, n_prompts=self.n_prompts, settings=self.settings)

    def as_json(self) -> dict[str, Json]:
        """Everything by name, for a file."""
        return written_fields(self)


def conclude(
    behaviour: str,
    trial: Trial,
    rows: Iterable[ProofRow],
    interventions: Interventions | None = None,
    importances: Importances | None = None,
    *,
    how: ProofChoice = USUAL_PROOF,
) -> Proof:
    """The verdict on a circuit, from the rows of all prompts and, where they were made, from the other experiments."""
    run = sorted(rows, key=lambda row: row.prompt_idx)
    others = findings_of(interventions, importances, trial, how)
    try:
        evidence = _weigh(run, trial, how)
    except RequestError as error:
        return _proof(behaviour, "not shown", f"Not shown: {error}", others, run, trial, how)
    levels = _levels(run, trial)
    verdict = _judge(evidence, levels, how)
    found = [*member_findings(evidence, levels, f"these {len(trial.members)} features"), *others]
    headline = _headline(verdict, evidence, levels, len(run))
    return _proof(behaviour, verdict, headline, found, run, trial, how)


def not_shown(behaviour: str, reason: str, how: ProofChoice = USUAL_PROOF) -> Proof:
    """The verdict where there was nothing to run: no circuit, no prompts, no random circuits."""
    trial = Trial(ablation="zero", members=(), tried=(), random=(), references=())
    return _proof(behaviour, "not shown", f"Not shown: {reason}", [], [], trial, how)


def _proof(
    behaviour: str,
    verdict: Judgement,
    headline: str,
    found: Sequence[Finding],
    run: Sequence[ProofRow],
    trial: Trial,
    how: ProofChoice,
) -> Proof:
    ranked = sorted(found, key=lambda finding: finding.rank(how.demands.alpha))
    return Proof(
        behaviour=behaviour,
        verdict=verdict,
        headline=headline,
        claims=tuple(finding.claim for finding in found if finding.claim is not None),
        sentences=tuple(finding.sentence for finding in ranked),
        n_prompts=len(run),
        n_groups=len({row.group for row in run}),
        members=tuple(map(str, trial.members)),
        settings=_settings(trial, how),
    )


def _settings(trial: Trial, how: ProofChoice) -> str:
    means = f", {len(trial.references)} of them" if trial.references else ""
    null = f"{len(trial.random)} random circuits of {how.draw_from} features matched on layer and role, seed {how.seed}"
    done = f"ablated features set {REFERENCES[trial.ablation]}{means}, nothing frozen"
    return f"{done}; {null}; intervals over groups of prompts"


def _weigh(run: Sequence[ProofRow], trial: Trial, how: ProofChoice) -> Evidence:
    """Sufficiency, necessity and minimality of the circuit."""
    if not run:
        raise RequestError("No held-out prompt could be run.")
    return weigh(
        Runs(
            full=np.asarray([row.full for row in run]),
            empty=np.asarray([row.empty for row in run]),
            circuit=np.asarray([row.circuit for row in run]),
            rest=np.asarray([row.rest for row in run]),
            without=np.asarray([row.without for row in run]).T,
            members=tuple(map(str, trial.tried)),
            random_circuits=np.asarray([row.random_circuits for row in run]).T,
            random_rests=np.asarray([row.random_rests for row in run]).T,
        ),
        f"{len(trial.members)} features",
        _settings(trial, how),
        clusters=[row.group for row in run],
        demands=how.demands,
        how=how.bootstrap,
    )


def _levels(run: Sequence[ProofRow], trial: Trial) -> Levels:
    values = np.asarray([(row.full, row.empty, row.circuit, row.rest) for row in run]).mean(0)
    full, empty, circuit, rest = (float(value) for value in values)
    return Levels(full=full, empty=empty, circuit=circuit, rest=rest, reference=REFERENCES[trial.ablation])


def _judge(evidence: Evidence, levels: Levels, how: ProofChoice) -> Judgement:
    """Whether the circuit carries more of the behaviour than random circuits do."""
    if levels.full <= 0:
        return "not shown"
    claims = [evidence["sufficiency"], evidence["necessity"]]
    if any(claim.value.low > 0 and claim.q is not None and claim.q <= how.demands.alpha for claim in claims):
        return "supported"
    return "refuted" if all(_fails(claim, how.demands.alpha) for claim in claims) else "undecided"


def _fails(claim: Claim, alpha: float) -> bool:
    """Whether a circuit surely carries nothing, or no more than random ones."""
    assert claim.null is not None and claim.p is not None
    as_good = round(claim.p * (1 + claim.null.n)) - 1
    return claim.value.high <= 0 or wilson(as_good, claim.null.n).low > alpha


def _headline(verdict: Judgement, evidence: Evidence, levels: Levels, n_prompts: int) -> str:
    """The verdict with the numbers that it rests on."""
    if levels.full <= 0:
        return (
            f"Not shown: on {n_prompts} held-out prompts the model prefers the wrong answer by {nats(-levels.full)} "
            "nats in the mean, so there is no behaviour whose circuit could be shown."
        )
    says = {
        "supported": "carries more of the behaviour than random circuits of the same layers and roles do",
        "refuted": "carries no more of the behaviour than random circuits of the same layers and roles do",
    }.get(verdict, "may or may not carry more of the behaviour than random circuits of the same layers and roles do")
    lost, kept = evidence["necessity"], evidence["sufficiency"]
    return (
        f"{verdict.capitalize()}: on {n_prompts} held-out prompts the circuit {says}. Without it {shares(lost)} is "
        f"lost; {against_random(lost)}. Alone it keeps {shares(kept)}; {against_random(kept)}."
    )
