"""All that a run has about one behaviour, read once. Data only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from circuitwise.prompts import SPLITS
from circuitwise.study.baseline import Baseline
from circuitwise.study.circuits import BehaviourCircuit
from circuitwise.study.effects import Effect
from circuitwise.study.features import FeatureUse
from circuitwise.study.graphs import PromptGraph
from circuitwise.study.importances import Importances
from circuitwise.study.interventions import Interventions
from circuitwise.study.plan import STAGES, Stage
from circuitwise.study.proof import Proof
from circuitwise.study.run import Run, StageState
from circuitwise.study.sentences import Sentence

STRONGEST = 3
"""As many findings stand on top."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chapter:
    """One behaviour of a run; what was not run is None or empty."""

    behaviour: str
    """The suite's name."""
    description: str
    """What is asked, in a sentence."""
    states: Mapping[Stage, StageState]
    """How far each stage of the plan is, and what failed in it."""
    baselines: tuple[Baseline, ...]
    """How well the model shows the behaviour, split by split."""
    use: FeatureUse | None
    """What fires on training prompts."""
    prompts: tuple[PromptGraph, ...]
    """The graphs of single prompts, in a few numbers each."""
    circuit: BehaviourCircuit | None
    """What recurs in them."""
    interventions: Interventions | None
    """What was done to it."""
    importances: Importances | None
    """Which features go with the logit difference."""
    proof: Proof | None
    """What is shown about the circuit."""

    @property
    def verdict(self) -> str:
        """What became of the circuit."""
        return "not tested" if self.proof is None else self.proof.verdict

    @property
    def tested(self) -> Baseline | None:
        """The baseline on held-out prompts."""
        return next((each for each in self.baselines if each.split == "test"), None)

    @property
    def strongest(self) -> tuple[Sentence, ...]:
        """The findings that stand on top."""
        return () if self.proof is None else self.proof.sentences[:STRONGEST]

    @property
    def failures(self) -> Iterator[tuple[str, str, str]]:
        """Stages without a result and prompts that failed: stage, prompt or nothing, why."""
        for stage, state in self.states.items():
            if not state.finished:
                yield stage, "", state.problem or "It was not run, or not to its end."
            for failure in state.failures:
                yield stage, failure.prompt, failure.sentence

    def effects(self, *kinds: str) -> list[Effect]:
        """Effects of some kinds of intervention."""
        found = () if self.interventions is None else self.interventions.effects
        return [each for each in found if each.intervention_type in kinds]


def read_chapter(run: Run, behaviour: str) -> Chapter:
    """What a run has about one behaviour."""
    states, planned = run.manifest.behaviours[behaviour], run.plan.stages
    baselines = (run.baseline(behaviour, split) for split in SPLITS)
    return Chapter(
        behaviour=behaviour,
        description=run.suite(behaviour).description,
        states={stage: states.get(stage, StageState()) for stage in STAGES if stage in states or stage in planned},
        baselines=tuple(each for each in baselines if each is not None),
        use=run.features(behaviour, "train"),
        prompts=run.graphs(behaviour),
        circuit=run.circuit(behaviour),
        interventions=run.interventions(behaviour),
        importances=run.importances(behaviour),
        proof=run.proof(behaviour),
    )
