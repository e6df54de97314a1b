"""The stages that put a circuit to the test on prompts that it was not found on: interventions, evidence.

What is done to one prompt is kept prompt by prompt; what all prompts come to is computed from that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from circuitwise.errors import PromptError, RequestError
from circuitwise.evidence.intervals import Bootstrap
from circuitwise.prompts import Item, Split
from circuitwise.storage import Json, write_json
from circuitwise.study.aims import Aim, choose_aims
from circuitwise.study.backdrop import Backdrop, backdrop_of, look_around
from circuitwise.study.baseline import read_item
from circuitwise.study.capability import NEUTRAL, NeutralRow, neutral_row_of, predict_neutral
from circuitwise.study.circuits import BehaviourCircuit
from circuitwise.study.finding import Outcome
from circuitwise.study.importances import FEWEST, Importances, sweep
from circuitwise.study.interventions import act, summarise
from circuitwise.study.layout import (
    evidence_file,
    importance_file,
    importances_file,
    intervention_file,
    interventions_file,
)
from circuitwise.study.measurement import COLUMNS, EXPERIMENTS, Experiment, Measurement, measurement_of
from circuitwise.study.proof import conclude, not_shown
from circuitwise.study.proving import ProofRow, Trial, draw_trial, proof_row_of, try_prompt
from circuitwise.study.question import Question, question_of
from circuitwise.study.restore import restore
from circuitwise.study.run import Run
from circuitwise.study.tablefiles import write_rows
from circuitwise.study.work import Work
from circuitwise.study.written import written_fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """What is put to the test."""

    circuit: BehaviourCircuit
    """The behaviour's circuit."""
    backdrop: Backdrop
    """What else fires where its members are."""
    training: Sequence[Question]
    """The prompts that it was found on."""
    of: Json
    """What all that depends on."""


def run_interventions(work: Work) -> Outcome:
    """Ablation, patching and steering of the circuit, and every feature against the logit difference."""
    subject = _subject(work)
    circuit, how = subject.circuit, work.plan.interventions
    aims = choose_aims(circuit.members, circuit.supernodes, circuit.effects, subject.backdrop, how)
    files = [intervention_file(work.behaviour, experiment) for experiment in EXPERIMENTS]
    work.foretaste("evidence", lambda: _first_proof(work, subject))
    done = {number for experiment in EXPERIMENTS for number in _act_on_all(work, subject, aims, experiment)}
    if not done:
        raise RequestError("No prompt of the split “test” could be acted on. See the failures in the manifest.")
    for experiment, file in zip(EXPERIMENTS, files, strict=True):
        write_rows(work.file(file), COLUMNS, (row.row() for row in _measured(work, subject, aims, [experiment])))
    neutral = [row for sentence in range(len(NEUTRAL)) for row in _neutral(work, subject, aims, sentence)]
    draws = Bootstrap(seed=work.plan.seeds.torch)
    found = summarise(_measured(work, subject, aims, EXPERIMENTS), aims, neutral, how=draws)
    write_json(work.file(interventions_file(work.behaviour)), written_fields(found))
    files += [interventions_file(work.behaviour), *_sweep(work, subject)]
    return Outcome(done=len(done), files=files)


def run_evidence(work: Work) -> Outcome:
    """The circuit against random ones, and the verdict."""
    how, file = work.plan.evidence, evidence_file(work.behaviour)
    try:
        subject = _subject(work)
        trial = draw_trial(subject.circuit.members, subject.backdrop, subject.training, how)
    except RequestError as error:  # no circuit, or nothing to compare it with, is a verdict, too
        write_json(work.file(file), written_fields(not_shown(work.behaviour, str(error), how)))
        return Outcome(done=0, files=[file])
    rows = [row for _, _, row in work.every("evidence", "test", partial(_try, work, subject, trial))]
    if not rows:
        raise RequestError("No prompt of the split “test” could be tried. See the failures in the manifest.")
    run, with_rest = Run(work.folder), "interventions" in work.plan.stages
    found = conclude(
        work.behaviour,
        trial,
        rows,
        run.interventions(work.behaviour) if with_rest else None,
        run.importances(work.behaviour) if with_rest else None,
        how=how,
    )
    write_json(work.file(file), written_fields(found))
    return Outcome(done=len(rows), files=[file])


def _subject(work: Work) -> Subject:
    """The circuit, the prompts that it was found on, and what else fires there."""
    circuit = Run(work.folder).circuit(work.behaviour)
    if circuit is None or not circuit.members:
        raise RequestError("There is no circuit: no feature recurs often and strongly enough. Lower its thresholds.")
    training = _questions(work, "train")
    members: Json = [written_fields(member) for member in circuit.members]
    of: Json = [work.opened.key, members, [question.tokens for question in training]]
    replacement = work.opened.replacement
    backdrop = work.store.json(
        "backdrop", of, lambda: look_around(replacement, training, circuit.members).as_json(), n=len(training)
    )
    return Subject(circuit=circuit, backdrop=backdrop_of(backdrop), training=training, of=of)


def _questions(work: Work, split: Split) -> list[Question]:
    """The prompts of a split that can be read; what is wrong with others was said by the stage that they failed in."""
    return [question for _, _, question in work.every("", split, partial(_question, work))]


def _question(work: Work, number: int, item: Item) -> Question:
    read_item(work.opened.model, item)  # refuses what the model cannot run
    return question_of(work.opened.model, number, item)


def _act_on_all(work: Work, subject: Subject, aims: Sequence[Aim], experiment: Experiment) -> Iterator[int]:
    """The prompts on which an experiment was done, as they are done."""

    def act_on(number: int, item: Item) -> None:
        _rows(work, subject, aims, experiment, _question(work, number, item))

    for number, _, _ in work.every(experiment, "test", act_on):
        yield number


def _measured(
    work: Work, subject: Subject, aims: Sequence[Aim], experiments: Sequence[Experiment]
) -> Iterator[Measurement]:
    """What experiments did to every prompt, read again from where it is kept."""
    failed = {(failure.split, failure.number) for failure in work.failures}
    for number, item in enumerate(work.suite.test):
        if ("test", number) not in failed:
            for experiment in experiments:
                yield from _rows(work, subject, aims, experiment, _question(work, number, item))


def _rows(
    work: Work, subject: Subject, aims: Sequence[Aim], experiment: Experiment, question: Question
) -> list[Measurement]:
    how, replacement = work.plan.interventions, work.opened.replacement
    of: Json = [subject.of, [written_fields(aim) for aim in aims], written_fields(question), written_fields(how)]
    found = work.store.json(
        experiment,
        of,
        lambda: [written_fields(row) for row in act(replacement, experiment, aims, question, subject.backdrop, how)],
    )
    return [measurement_of(row) for row in found]


def _neutral(work: Work, subject: Subject, aims: Sequence[Aim], sentence: int) -> list[NeutralRow]:
    how, replacement = work.plan.interventions, work.opened.replacement
    of: Json = [subject.of, [written_fields(aim) for aim in aims], NEUTRAL[sentence], written_fields(how)]

    def make() -> Json:
        return [written_fields(row) for row in predict_neutral(replacement, sentence, aims, subject.backdrop, how)]

    try:
        found: Any = work.store.json("neutral", of, make)
    except PromptError as error:
        work.fail("test", -1 - sentence, NEUTRAL[sentence], str(error))
        found = []
    work.report(sentence + 1, len(NEUTRAL))
    return [neutral_row_of(row) for row in found]


def _sweep(work: Work, subject: Subject) -> list[str]:
    """Every feature against the logit difference: a table a layer, and what was tested again."""
    how, test = work.plan.importance, _questions(work, "test")
    if min(len(subject.training), len(test)) < FEWEST:
        return []  # too few to correlate with anything
    of: Json = [work.opened.key, [written_fields(each) for each in (*subject.training, *test)], written_fields(how)]

    def make() -> Json:
        return written_fields(sweep(work.opened.replacement, subject.training, test, how, work.report))

    found = restore(Importances, work.store.json("importance", of, make, n=len(subject.training) + len(test)))
    files = [importances_file(work.behaviour)]
    write_json(work.file(files[0]), written_fields(replace(found, layers={})))
    for layer, rows in found.layers.items():
        if rows:
            files.append(importance_file(work.behaviour, layer))
            write_rows(work.file(files[-1]), list(rows[0]), rows)
    return files


def _first_proof(work: Work, subject: Subject) -> None:
    trial = draw_trial(subject.circuit.members, subject.backdrop, subject.training, work.plan.evidence)
    _try(work, subject, trial, 0, work.suite.test[0])


def _try(work: Work, subject: Subject, trial: Trial, number: int, item: Item) -> ProofRow:
    replacement, question = work.opened.replacement, _question(work, number, item)
    of: Json = [subject.of, written_fields(trial), written_fields(question)]
    row: Any = work.store.json("evidence", of, lambda: written_fields(try_prompt(replacement, trial, question)))
    return proof_row_of(row)
