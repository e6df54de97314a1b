"""What a study is to do: its suites, model and dictionaries, which stages, with which thresholds and seeds."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from circuitwise.circuit.aggregation import Aggregation
from circuitwise.circuit.supernodes import Grouping
from circuitwise.errors import RequestError
from circuitwise.evidence import Bootstrap
from circuitwise.study.aims import USUAL, InterventionChoice
from circuitwise.study.importances import USUAL_SWEEP, ImportanceChoice
from circuitwise.study.proving import USUAL_PROOF, ProofChoice
from circuitwise.suites import BEHAVIOURS, Thresholds

Stage = Literal["baseline", "features", "graphs", "circuit", "interventions", "evidence"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages in their order; each uses what those before it found."""
Where = Literal["last 5", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One suite of a study."""

    suite: str
    """A built-in suite's name, or a TOML or JSONL file."""
    n_train: int | None = None
    """As many prompts to find a circuit on; None: all. A built-in suite is made so, a file's are drawn."""
    n_test: int | None = None
    """As many prompts to test it on."""
    margin: float | None = None
    """Nats a token by which the right answer must lead; None: what the suite says."""
    share: float | None = None
    """In how large a share of the prompts; None: what the suite says."""

    def thresholds(self, own: Thresholds) -> Thresholds:
        """The suite's own thresholds with what is said here."""
        return Thresholds(
            margin=own.margin if self.margin is None else self.margin,
            share=own.share if self.share is None else self.share,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """What random choices are drawn with."""

    prompts: int = 42
    """Built-in suites, and which prompts are taken where not all are."""
    interventions: int = 456
    """Controls, pairs and random circuits."""
    torch: int = 789
    """Everything else: the draws of intervals, and dictionaries that are drawn at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureChoice:
    """What the stage ``features`` looks at."""

    positions: Where = "last 5"
    """Where features are read: at the last five positions of a prompt, or at all but special first ones."""
    top_k: int = 50
    """As many features of a layer are listed for each position, the strongest."""
    full: bool = False
    """Also write every activation, zeros and all: positions x features x 4 bytes a layer."""

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise RequestError(f"The {self.top_k} strongest features are none. Ask for one at least.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphChoice:
    """Which graphs are computed."""

    n_prompts: int | None = 20
    """As many training prompts get a graph; None: all."""
    rows: int = 512
    """As many features of each become nodes, the most influential ones."""

    def __post_init__(self) -> None:
        if self.rows < 1 or (self.n_prompts is not None and self.n_prompts < 1):
            raise RequestError(
                f"{self.n_prompts} graphs of {self.rows} rows show nothing. Ask for one of each at least."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitChoice:
    """What of the graphs becomes the behaviour's circuit."""

    frequency: float = Aggregation().frequency
    """Features in a smaller share of the prompts are left out..."""
    activation: float = Aggregation().activation
    """...and those whose mean activation, where they fire, is smaller."""
    edge: float = Aggregation().edge
    """Edges that are a smaller share of all that flows into their target are left out."""
    top_edges: int = 10
    """Of the edges into a node as many are kept, the strongest."""
    size: int = 100
    """As many features are the circuit that is tested, those with the strongest effects."""
    likeness: float = Grouping().likeness
    """How alike features of one supernode are, at least."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise RequestError(f"A circuit of {self.size} features is none. Ask for one at least.")
        _ = self.aggregation, self.grouping

    @property
    def aggregation(self) -> Aggregation:
        """How graphs become one."""
        return Aggregation(
            frequency=self.frequency, activation=self.activation, edge=self.edge, top_edges=self.top_edges
        )

    @property
    def grouping(self) -> Grouping:
        """How features become supernodes."""
        return Grouping(likeness=self.likeness)


USUAL_FEATURES, USUAL_GRAPHS, USUAL_CIRCUIT = FeatureChoice(), GraphChoice(), CircuitChoice()
"""What is chosen unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One study."""

    name: str
    """What it is called; its run lies in a folder of that name unless told otherwise."""
    suites: tuple[Chosen, ...]
    """The behaviours."""
    model: str = "smollm2"
    """A short name, a hub name, a folder or a GGUF file."""
    transcoders: str | None = None
    """A dictionary set, or ``random``; None: the one that is shipped for the model."""
    allow_misfit: bool = False
    """Go on with dictionaries that do not reconstruct the model; all that comes of it is marked."""
    layers: tuple[int, ...] | None = None
    """Layers whose dictionaries take part; None: all."""
    stages: tuple[Stage, ...] = STAGES
    """What is done."""
    n_prompts: int | None = None
    """As many prompts of each split are taken; None: all."""
    seeds: Seeds = Seeds()
    """What is drawn with."""
    features: FeatureChoice = USUAL_FEATURES
    """What the stage of that name looks at."""
    graphs: GraphChoice = USUAL_GRAPHS
    """Which graphs are computed."""
    circuit: CircuitChoice = USUAL_CIRCUIT
    """What of them becomes a circuit."""
    interventions: InterventionChoice = USUAL
    """What is done to the circuit."""
    importance: ImportanceChoice = USUAL_SWEEP
    """How all features are held against the logit difference."""
    evidence: ProofChoice = USUAL_PROOF
    """How the circuit is put to the proof."""
    root: Path = field(default=Path(), compare=False)
    """What the paths of suites start from: the folder of the plan's file."""

    def __post_init__(self) -> None:
        if not self.suites:
            raise RequestError(f"The study {self.name!r} has no suite. Name one at least: {', '.join(BEHAVIOURS)}.")
        if not self.stages:
            raise RequestError(f"The study {self.name!r} has no stage. Name one at least: {', '.join(STAGES)}.")
        if self.n_prompts is not None and self.n_prompts < 1:
            raise RequestError(f"{self.n_prompts} prompts are none. Ask for one of each split at least.")
        seed, draws = self.seeds.interventions, Bootstrap(seed=self.seeds.torch)  # one place says what governs what
        object.__setattr__(self, "interventions", replace(self.interventions, seed=seed))
        object.__setattr__(self, "importance", replace(self.importance, seed=seed))
        object.__setattr__(self, "evidence", replace(self.evidence, seed=seed, bootstrap=draws))
