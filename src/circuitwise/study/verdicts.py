"""Claims with their sentences, from what was measured, and which of them comes first."""

from dataclasses import dataclass

from circuitwise.evidence import Claim, Evidence, Interval, Verdict, wilson
from circuitwise.study import sentences
from circuitwise.study.effects import Effect
from circuitwise.study.importances import Importances
from circuitwise.study.interventions import Interventions
from circuitwise.study.measurement import InterventionType
from circuitwise.study.proving import ProofChoice, Trial
from circuitwise.study.sentences import Levels, Sentence

STRONGEST = 3
"""As many single features are told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A sentence, and the claim that it tells, if it is one."""

    sentence: Sentence
    """In words."""
    claim: Claim | None
    """In numbers; None where nothing is claimed."""

    def rank(self, alpha: float) -> tuple[bool, float]:
        """What is there and beats chance comes first, then what is less likely by chance."""
        claim = self.claim
        if claim is None or claim.p is None or claim.q is None:
            return True, 1.0
        beats = claim.value.low > 0 and (claim.q <= alpha if claim.null else claim.verdict == "supported")
        return not beats, claim.p


def member_findings(evidence: Evidence, levels: Levels, features: str) -> list[Finding]:
    """What a proof's own runs show."""
    lost, kept, minimal = (evidence[name] for name in ("necessity", "sufficiency", "minimality"))
    needed = round(minimal.value.estimate * minimal.value.n)
    told = [
        (lost, sentences.necessity(lost, levels, features)),
        (kept, sentences.sufficiency(kept, levels, features)),
        (minimal, sentences.minimality(minimal, needed)),
    ]
    return [_finding(claim, text) for claim, text in told]


def findings_of(
    interventions: Interventions | None, importances: Importances | None, trial: Trial, how: ProofChoice
) -> list[Finding]:
    """What the other experiments show."""
    found: list[Finding] = []
    if interventions is not None:
        found += _acted(interventions, how.demands.alpha)
    if importances is not None:
        found.append(_associated(importances, trial))
    return found


def _finding(claim: Claim, text: str) -> Finding:
    return Finding(sentence=Sentence(text=text, claim=claim.name), claim=claim)


def _acted(interventions: Interventions, alpha: float) -> list[Finding]:
    """Ablation, inhibition, patching and steering of the circuit; ablation of its strongest features."""
    features = "the circuit's features"
    found: list[Finding] = []
    for effect in _of(interventions, "ablation_zero", "circuit"):
        found.append(
            _finding(_claim("ablation", effect, alpha), sentences.ablation(effect, f"With {features} set to zero"))
        )
    for effect in _of(interventions, "ablation_inhibit", "circuit"):
        done = f"With {features} set to -{effect.strength:g} times their activation"
        found.append(_finding(_claim("inhibition", effect, alpha), sentences.ablation(effect, done)))
    for effect in _of(interventions, "patching", "circuit"):
        found.append(_finding(_claim("patching", effect, alpha), sentences.patching(effect, features)))
    singles = sorted(_of(interventions, "ablation_zero", "feature"), key=lambda each: -abs(each.effect.estimate))
    for effect in singles[:STRONGEST]:
        sign = -1 if effect.predicted is not None and effect.predicted < 0 else 1
        claim = _claim(f"ablation of {effect.aim}", effect, alpha, sign)
        found.append(_finding(claim, sentences.ablation(effect, f"With {effect.aim} alone set to zero")))
    found += _steered(interventions, alpha)
    found += [
        Finding(sentence=Sentence(text=sentences.prediction(scatter), claim="prediction"), claim=None)
        for scatter in interventions.scatters
    ]
    return found


def _steered(interventions: Interventions, alpha: float) -> list[Finding]:
    """Steering of the circuit at its greatest strength, and its whole course."""
    words: dict[InterventionType, tuple[str, int]] = {
        "steering_amplify": ("those features of the circuit that fire on the prompt", -1),
        "steering_insert": ("those features of the circuit that fire on the contrast prompt alone", 1),
    }
    found: list[Finding] = []
    for kind, (what, sign) in words.items():
        effects = _of(interventions, kind, "circuit")
        curves = [curve for curve in interventions.curves if (curve.intervention_type, curve.aim) == (kind, "circuit")]
        if effects:
            claim = _claim(kind.replace("_", " "), effects[-1], alpha, sign)
            found.append(_finding(claim, sentences.steering(effects[-1], curves[0], what)))
    return found


def _of(interventions: Interventions, kind: InterventionType, aim: str) -> list[Effect]:
    return [each for each in interventions.effects if each.intervention_type == kind and each.kind == aim]


def _claim(name: str, effect: Effect, alpha: float, sign: int = 1) -> Claim:
    """That an intervention moves the logit difference as expected, and further than its controls do."""
    moved = effect.effect if sign > 0 else _turned(effect.effect)
    measure = "baseline less intervened logit difference" if sign > 0 else "intervened less baseline logit difference"
    verdict: Verdict = "undecided"
    if effect.beyond is not None and effect.q is not None:
        beyond = effect.beyond if sign > 0 else _turned(effect.beyond)
        if moved.low > 0 and beyond.low > 0 and effect.q <= alpha:
            verdict = "supported"
        elif moved.high <= 0 or beyond.high <= 0:
            verdict = "refuted"
    beside = "no control" if effect.control is None else f"effect of controls {effect.control}, q = {effect.q:.3g}"
    return Claim(
        name=name,
        measure=measure,
        value=moved,
        p=effect.p,
        q=effect.q,
        verdict=verdict,
        reason=f"{verdict.capitalize()}: {measure} is {moved}; {beside}.",
    )


def _turned(value: Interval) -> Interval:
    """The same with its sign turned."""
    return Interval(
        estimate=-value.estimate,
        low=-value.high,
        high=-value.low,
        level=value.level,
        n=value.n,
        n_clusters=value.n_clusters,
    )


def _associated(importances: Importances, trial: Trial) -> Finding:
    """How many of the circuit's features go with the logit difference on test prompts."""
    features = list(dict.fromkeys(node.feature for node in trial.members))
    confirmed = {each.feature for each in importances.confirmed}
    n_confirmed = sum(feature in confirmed for feature in features)
    text = sentences.importance(n_confirmed, len(features), len(importances.candidates), importances.n_tested)
    verdict: Verdict = "supported" if n_confirmed else "undecided"
    claim = Claim(
        name="importance",
        measure="share of the circuit's features that go with the logit difference on test prompts",
        value=wilson(n_confirmed, len(features)),
        verdict=verdict,
        reason=f"{verdict.capitalize()}: {text}",
    )
    return _finding(claim, text)
