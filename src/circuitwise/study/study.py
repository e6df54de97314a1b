"""A study: a plan carried out in a folder, stage by stage, resumed wherever it was left.

A stage's record says what it was made of and which files it wrote. While that and they are the same, the stage is not
run again. A file that was changed or is gone is written anew from what is kept of every prompt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from circuitwise.errors import PromptError, RequestError
from circuitwise.memory import peak_resident
from circuitwise.model.tokens import text_ids
from circuitwise.prompts import SPLITS, Split
from circuitwise.storage import Json, Provenance, sha256_of_file, write_json, write_text
from circuitwise.study.clock import Clock, Tell
from circuitwise.study.confirming import run_evidence, run_interventions
from circuitwise.study.finding import Outcome, run_baseline, run_circuit, run_features, run_graphs
from circuitwise.study.layout import MANIFEST, PLAN, PROMPTS, metrics_file
from circuitwise.study.opening import Opened
from circuitwise.study.plan import STAGES, Chosen, Plan, Stage
from circuitwise.study.planfile import plan_text, read_plan
from circuitwise.study.prices import prices_of, work_ahead
from circuitwise.study.restore import restore
from circuitwise.study.run import Manifest, Run, StageState
from circuitwise.study.store import FOLDER, JSON, Store, make_folder, only_writer
from circuitwise.study.work import Failure, Work, choose_suite
from circuitwise.study.written import written_fields
from circuitwise.suites import BEHAVIOURS, Suite, make_suite, read_suite, write_suite

RUNS = "runs"
"""The folder of all runs, where no other is named."""
NEEDS: Mapping[Stage, tuple[Stage, ...]] = {
    "circuit": ("graphs",),
    "interventions": ("graphs", "circuit"),
    "evidence": ("graphs", "circuit"),
}
"""What must be there before a stage."""
STEPS: Mapping[Stage, Callable[[Work], Outcome]] = {
    "baseline": run_baseline,
    "features": run_features,
    "graphs": run_graphs,
    "circuit": run_circuit,
    "interventions": run_interventions,
    "evidence": run_evidence,
}
"""What each stage does."""
RECORD = "stage"
"""The kind of a stage's record."""


@dataclass(frozen=True, slots=True)
class Study:
    """A plan that can be carried out."""

    plan: Plan
    """What is to be done."""

    @classmethod
    def load(cls, path: Path | str) -> "Study":
        """The study that a TOML file plans."""
        return cls(read_plan(path))

    def run(
        self,
        output: Path | str | None = None,
        *,
        only: Sequence[Stage] | None = None,
        progress: Tell = lambda _: None,
        opened: Opened | None = None,
    ) -> Run:
        """Carry it out in a folder, or go on there; some stages only, with what they need."""
        folder = Path(RUNS) / self.plan.name if output is None else Path(output)
        _check_folder(folder)
        make_folder(folder)
        with only_writer(folder):
            attempt = _Attempt(self.plan, opened or Opened(self.plan), folder, progress)
            try:
                attempt.carry_out(stages_of(self.plan.stages if only is None else only))
            finally:
                attempt.write_manifest()
        return Run(folder)


def stages_of(wanted: Sequence[Stage]) -> list[Stage]:
    """These stages and those that they need, in order."""
    needed = {each for stage in wanted for each in (stage, *NEEDS.get(stage, ()))}
    return [stage for stage in STAGES if stage in needed]


def open_suite(plan: Plan, chosen: Chosen, opened: Opened) -> Suite:
    """The prompts of one suite that take part in a study."""
    seed, wanted = plan.seeds.prompts, (chosen.n_train, chosen.n_test)
    if chosen.suite in BEHAVIOURS:
        model = opened.model
        n_train, n_test = wanted
        made = make_suite(chosen.suite, lambda text: text_ids(model, text), seed=seed, n_train=n_train, n_test=n_test)
    else:
        made = read_suite(plan.root / chosen.suite)
    most = dict(zip(SPLITS, wanted, strict=True))
    limits: dict[Split, int | None] = {
        split: min((n for n in (most[split], plan.n_prompts) if n is not None), default=None) for split in SPLITS
    }
    return choose_suite(made, chosen.thresholds(made.thresholds), limits, seed)


class _Attempt:
    """One go at a study: from the start, or from where an earlier one ended."""

    def __init__(self, plan: Plan, opened: Opened, folder: Path, tell: Tell) -> None:
        """What earlier attempts left is read; nothing is opened yet."""
        self.plan, self.opened, self.folder, self.tell = plan, opened, folder, tell
        self.store = Store(folder, Clock(prices_of(plan)))
        self.run = Run(folder)
        earlier = self.run.manifest if (folder / MANIFEST).is_file() else None
        self.manifest = None if earlier is None else replace(earlier, finished=None)
        self.states: dict[str, dict[Stage, StageState]] = {}

    def carry_out(self, stages: Sequence[Stage]) -> None:
        """All stages of all behaviours."""
        suites = [open_suite(self.plan, chosen, self.opened) for chosen in self.plan.suites]
        names = [suite.name for suite in suites]
        if len(set(names)) < len(names):
            raise RequestError(f"Two suites of the study have the same name: {', '.join(names)}. Rename one.")
        self._begin(names)
        write_text(self.folder / PLAN, plan_text(self.plan))
        for suite in suites:
            write_suite(suite, self.folder / PROMPTS)
            for stage in stages:
                self.store.clock.expect(work_ahead(self.plan, stage, len(suite.train), len(suite.test)))
        for suite in suites:
            self._behaviour(suite, stages)
        none = StageState()
        last = [states.get(stage, none) for states in self.states.values() for stage in self.plan.stages]
        if self.manifest is not None and all(state.finished or state.problem for state in last):
            self.manifest = replace(self.manifest, finished=Provenance.now().time)

    def write_manifest(self) -> None:
        """Write what is known by now."""
        if self.manifest is not None:
            peak = max(self.manifest.peak_bytes, peak_resident())
            made = dict(self.store.made)
            self.manifest = replace(self.manifest, behaviours=self.states, made=made, peak_bytes=peak)
            write_json(self.folder / MANIFEST, written_fields(self.manifest))

    def _begin(self, names: Sequence[str]) -> None:
        now, model = Provenance.now(), self.opened.model
        before = self.manifest
        self.states = {name: dict(before.behaviours.get(name, {})) if before else {} for name in names}
        seeds = self.plan.seeds
        self.manifest = Manifest(
            name=self.plan.name,
            model=model.name,
            model_sha256=str(self.opened.model_key["model"]),
            transcoders=before.transcoders if before else "",
            transcoders_sha256=before.transcoders_sha256 if before else "",
            misfit=before.misfit if before else False,
            seeds={"prompts": seeds.prompts, "interventions": seeds.interventions, "torch": seeds.torch},
            versions={
                "circuitwise": now.package,
                "python": now.python,
                "torch": now.torch,
                "transformers": now.transformers,
            },
            machine=now.machine,
            started=before.started if before else now.time,
            peak_bytes=before.peak_bytes if before else 0,
        )
        self.write_manifest()

    def _behaviour(self, suite: Suite, stages: Sequence[Stage]) -> None:
        """All stages of one behaviour; those that need one without a result are left out."""
        keys: dict[Stage, Json] = {}
        for stage in stages:
            work = Work(
                plan=self.plan,
                suite=suite,
                opened=self.opened,
                folder=self.folder,
                store=self.store,
                tell=self.tell,
                stage=stage,
            )
            self.store.clock.begin(work_ahead(self.plan, stage, len(suite.train), len(suite.test)))
            states = self.states[suite.name]
            lacking = [each for each in NEEDS.get(stage, ()) if states[each].problem]
            if lacking:
                states[stage] = StageState(problem=f"It needs the stage {lacking[0]}, which has no result.")
            else:
                keys[stage] = self._inputs(work, keys)
                states[stage] = self._stage(work, keys[stage])
            if stage == "baseline":
                self._write_metrics()
            self.write_manifest()

    def _stage(self, work: Work, key: Json) -> StageState:
        """The stage's state: from its record while all its files are as they were, else after it was run."""
        before = self.states[work.behaviour].get(work.stage, StageState())
        path, start = self.store.path(RECORD, [work.stage, key], JSON.suffix), monotonic()
        if path.is_file():
            record: Any = JSON.read(path)
            if all(self._is_same(name, checksum) for name, checksum in record["files"].items()):
                failures = tuple(restore(Failure, each) for each in record["failures"])
                return replace(before, done=record["done"], failures=failures, finished=True, problem="")
        self.states[work.behaviour][work.stage] = replace(before, finished=False)
        try:
            outcome = STEPS[work.stage](work)
        except (PromptError, RequestError) as error:
            failures, spent = tuple(work.failures), before.seconds + monotonic() - start
            return StageState(failures=failures, problem=str(error), seconds=spent)
        files: Json = {name: sha256_of_file(self.folder / name) for name in outcome.files}
        failed: Json = [written_fields(each) for each in work.failures]
        JSON.write({"done": outcome.done, "failures": failed, "files": files}, path)
        spent = before.seconds + monotonic() - start
        return StageState(done=outcome.done, failures=tuple(work.failures), finished=True, seconds=spent)

    def _is_same(self, name: str, checksum: str) -> bool:
        path = self.folder / name
        return path.is_file() and sha256_of_file(path) == checksum

    def _inputs(self, work: Work, keys: Mapping[Stage, Json]) -> Json:
        """What a stage's result depends on."""
        plan, opened = self.plan, self.opened
        items = {split: [item.as_json() for item in work.suite.split(split)] for split in SPLITS}
        match work.stage:
            case "baseline":
                return [opened.model_key, items, written_fields(work.suite.thresholds), plan.seeds.torch]
            case "features":
                return [self._key(), items, written_fields(plan.features)]
            case "graphs":
                return [self._key(), items["train"][: plan.graphs.n_prompts], plan.graphs.rows]
            case "circuit":
                return [keys["graphs"], written_fields(plan.circuit)]
            case "interventions":
                how = [written_fields(plan.interventions), written_fields(plan.importance), plan.seeds.torch]
                return [keys["circuit"], items, how]
            case "evidence":
                return [keys["circuit"], keys.get("interventions"), items, written_fields(plan.evidence)]

    def _key(self) -> Json:
        """What depends on the dictionaries; the manifest names them from now on."""
        key, replacement = self.opened.key, self.opened.replacement
        assert self.manifest is not None
        self.manifest = replace(
            self.manifest,
            transcoders=replacement.transcoders.name,
            transcoders_sha256=str(key["transcoders"]),
            misfit=replacement.misfit,
        )
        return key

    def _write_metrics(self) -> None:
        """The baselines of all behaviours that have one, together."""
        for split in SPLITS:
            found = {name: self.run.baseline(name, split) for name in self.states}
            metrics: Json = {name: each.metrics() for name, each in found.items() if each is not None}
            path = self.folder / metrics_file(split)
            make_folder(path.parent)
            write_json(path, metrics)


def _check_folder(folder: Path) -> None:
    """Refuse a folder with something else in it."""
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file, but a run is a folder. Name another (--output).")
    foreign = folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir())
    if foreign and not (folder / FOLDER).is_dir():
        raise RequestError(f"{folder} holds other files and no run. Name an empty folder or a new one (--output).")
