"""Many cases, run with what they can share: the unedited pass of every prompt, reference prompts, batches.

A window of cases is as large as memory allows. Cases whose edits change nothing are not run; the others are run
together where they go on from the same pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from circuitwise.edits import Edit, Freeze, Only
from circuitwise.intervention.applying import Row
from circuitwise.intervention.beginning import Beginning, beginnings
from circuitwise.intervention.changes import Changes
from circuitwise.intervention.continuing import Generation, continue_texts
from circuitwise.intervention.known import Known, learn
from circuitwise.intervention.linear import check_linear, run_linear, unedited_logits
from circuitwise.intervention.live import Copy, run_copies
from circuitwise.intervention.outcome import Outcome, answers, prompt_text, top
from circuitwise.intervention.readings import After, Reading, readings_before, watched_features
from circuitwise.intervention.references import References
from circuitwise.intervention.resolve import resolve
from circuitwise.intervention.subject import Subject
from circuitwise.model.forward import cap
from circuitwise.model.frozen import freeze as freeze_pass
from circuitwise.model.tokens import Promptlike, tokenize
from circuitwise.targets import Difference
from circuitwise.vocabulary import AnyTokens, Feature, Site, integers

Progress = Callable[[int, int], None]
"""Called with the cases that are done and the cases that are wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One prompt and what is done to it."""

    prompt: Promptlike
    """Text, token ids or chat messages."""
    edits: Sequence[Edit]
    """What is changed."""
    difference: Difference | None = None
    """The answers whose logits are compared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Session:
    """What all cases of one call share."""

    subject: Subject
    """What is edited."""
    references: References
    """Other prompts that values come from."""
    read: frozenset[Site]
    """The sites that unedited passes keep."""
    freeze: Freeze
    """What is held constant."""
    watch: Sequence[Feature]
    """The features that are reported."""
    generation: Generation | None
    """How the text goes on."""
    n_bytes: int
    """How much may be in use at once."""

    @property
    def bytes_of_token(self) -> int:
        """What an unedited pass keeps of one token, about."""
        model, attention = self.subject.model, self.subject.model.blocks[0].attention
        heads = attention.output.shape[1] + 2 * attention.value.shape[0]
        return 4 * (model.n_layers * (model.d_model + heads) + len(self.read) * model.d_model)

    def most(self, n_pos: int) -> int:
        """How many positions run at once."""
        model = self.subject.model
        return max(1, self.n_bytes // (4 * (24 * model.d_model + 3 * model.n_heads * n_pos)))


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One case, ready to run."""

    case: Case
    """What was asked for."""
    known: Known
    """Its prompt's unedited pass."""
    changes: Changes
    """What is changed."""
    beginning: Beginning | None
    """Where it first differs; None where it does not."""
    readings: Sequence[Reading]
    """The watched features in the unedited pass."""

    @property
    def row(self) -> Row:
        """The case as a row of a pass."""
        assert self.beginning is not None
        return Row(changes=self.changes, known=self.known, begin=self.beginning.place)


def session_of(
    subject: Subject,
    cases: Sequence[Case],
    *,
    freeze: Freeze,
    watch: Sequence[Feature],
    generation: Generation | None,
    n_bytes: int,
) -> Session:
    """What all of these checked cases share."""
    edits = [edit for case in cases for edit in case.edits]
    places = [edit.place for edit in edits if not isinstance(edit, Only)]
    layers = {place.layer for place in places if isinstance(place, Feature)}
    if any(isinstance(edit, Only) for edit in edits):
        layers = set(subject.dictionaries)
    sites = {subject.site(place)[0] for place in places if not isinstance(place, Feature)}
    if freeze is Freeze.EVERYTHING:
        check_linear(sorted(sites))
    edited = {layer: dictionary for layer, dictionary in subject.dictionaries.items() if layer in layers}
    reading = layers | {feature.layer for feature in watch}
    return Session(
        subject=subject,
        references=References(subject.model, edited, sites),
        read=frozenset(sites | {subject.dictionaries[layer].read for layer in reading}),
        freeze=freeze,
        watch=watch,
        generation=generation,
        n_bytes=n_bytes,
    )


def outcomes(session: Session, cases: Sequence[Case], progress: Progress | None) -> Iterator[Outcome]:
    """What the cases do, in their order."""
    done = 0
    for window in _windows(session, cases):
        for outcome in _run_window(session, window):
            done += 1
            if progress is not None:
                progress(done, len(cases))
            yield outcome


def _windows(session: Session, cases: Sequence[Case]) -> Iterator[list[tuple[Case, AnyTokens]]]:
    """Cases in their order, as many at once as memory allows."""
    window: list[tuple[Case, AnyTokens]] = []
    prompts, n_bytes = set[tuple[int, ...]](), 0
    for case in cases:
        tokens = tokenize(session.subject.model, case.prompt)
        key = tuple(integers(tokens))
        size = 8 * session.subject.model.d_vocab + (key not in prompts) * len(key) * session.bytes_of_token
        if window and n_bytes + size > session.n_bytes:
            yield window
            window, n_bytes = [], 0
            prompts.clear()
            size = 8 * session.subject.model.d_vocab + len(key) * session.bytes_of_token
        window.append((case, tokens))
        prompts.add(key)
        n_bytes += size
    if window:
        yield window


@torch.no_grad()
def _run_window(session: Session, window: Sequence[tuple[Case, AnyTokens]]) -> list[Outcome]:
    passes = _unedited(session, [tokens for _, tokens in window])
    prepared = _prepare(session, [(case, passes[tuple(integers(tokens))]) for case, tokens in window])
    session.references.forget()
    found = _run_linear(session, prepared) if session.freeze is Freeze.EVERYTHING else _run_live(session, prepared)
    texts = _texts(session, prepared)
    return [
        _outcome(session, one, before, after, text)
        for one, (before, after), text in zip(prepared, found, texts, strict=True)
    ]


def _unedited(session: Session, prompts: Sequence[AnyTokens]) -> dict[tuple[int, ...], Known]:
    """The unedited pass of every prompt, each once; prompts of similar length run together."""
    distinct = sorted({tuple(integers(tokens)): tokens for tokens in prompts}.items(), key=lambda pair: len(pair[0]))
    found: dict[tuple[int, ...], Known] = {}
    chunk: list[AnyTokens] = []
    for number, (_, tokens) in enumerate(distinct):
        chunk.append(tokens)
        following = len(distinct[number + 1][0]) if number + 1 < len(distinct) else 0
        if not following or (len(chunk) + 1) * following > session.most(following):
            for known in learn(session.subject.model, chunk, session.read, keep_calls=True):
                found[tuple(integers(known.tokens))] = known
                session.references.remember(known)
            chunk = []
    return found


def _prepare(session: Session, cases: Sequence[tuple[Case, Known]]) -> list[Prepared]:
    subject, generates = session.subject, session.generation is not None
    changes = [resolve(subject, known, case.edits, session.references, generates=generates) for case, known in cases]
    known = [known for _, known in cases]
    first = beginnings(subject.dictionaries, list(zip(changes, known, strict=True)))
    readings = {id(one): readings_before(subject.dictionaries, session.watch, one) for one in known}
    return [
        Prepared(case, one, change, begin, readings[id(one)])
        for (case, one), change, begin in zip(cases, changes, first, strict=True)
    ]


Found = tuple[Tensor, After]
"""The logits before, and what the edited pass gave."""


def _run_live(session: Session, prepared: Sequence[Prepared]) -> list[Found]:
    """Cases of one kept pass and one reference run together; those that change nothing do not run."""
    after = {number: After(logits=one.known.logits, readings=one.readings) for number, one in enumerate(prepared)}
    together: dict[tuple[int, int], list[int]] = {}
    for number, one in enumerate(prepared):
        if one.beginning is not None:
            together.setdefault((id(one.known.kept), one.changes.reference), []).append(number)
    for numbers in together.values():
        kept = prepared[numbers[0]].known.kept
        copies = [_copy(prepared[number]) for number in numbers]
        most = session.most(kept.tokens.ids.shape[1])
        found = run_copies(session.subject, kept, copies, freeze=session.freeze, most=most)
        after |= zip(numbers, found, strict=True)
    return [(one.known.logits, after[number]) for number, one in enumerate(prepared)]


def _copy(one: Prepared) -> Copy:
    assert one.beginning is not None
    return Copy(row=one.row, beginning=one.beginning, readings=one.readings)


def _run_linear(session: Session, prepared: Sequence[Prepared]) -> list[Found]:
    model = session.subject.model
    found: dict[int, Found] = {}
    together: dict[int, list[int]] = {}
    for number, one in enumerate(prepared):
        together.setdefault(id(one.known), []).append(number)
    for numbers in together.values():
        known = prepared[numbers[0]].known
        frozen = freeze_pass(model, known.tokens)
        before = unedited_logits(model, frozen)
        found |= {number: (before, After(logits=before, readings=prepared[number].readings)) for number in numbers}
        step = max(1, session.most(known.n_pos) // known.n_pos)
        for chunk in _alike([number for number in numbers if prepared[number].beginning is not None], prepared, step):
            rows = [prepared[number].row for number in chunk]
            after = run_linear(session.subject, known, frozen, rows, prepared[chunk[0]].readings)
            found |= {number: (before, one) for number, one in zip(chunk, after, strict=True)}
    return [found[number] for number in range(len(prepared))]


def _alike(numbers: Sequence[int], prepared: Sequence[Prepared], step: int) -> Iterator[list[int]]:
    """Cases of one reference, at most ``step`` at once."""
    by_reference: dict[int, list[int]] = {}
    for number in numbers:
        by_reference.setdefault(prepared[number].changes.reference, []).append(number)
    for alike in by_reference.values():
        for first in range(0, len(alike), step):
            yield alike[first : first + step]


def _texts(session: Session, prepared: Sequence[Prepared]) -> list[tuple[str, str] | None]:
    generation = session.generation
    if generation is None:
        return [None] * len(prepared)
    prompts = list({id(one.known): one.known for one in prepared}.values())
    subject, freeze = session.subject, session.freeze
    before = continue_texts(subject, prompts, [Changes() for _ in prompts], generation, freeze)
    known_texts = {id(known): text for known, text in zip(prompts, before, strict=True)}
    after: dict[int, str] = {}
    step = max(1, session.most(max(known.n_pos for known in prompts)) // max(known.n_pos for known in prompts))
    for chunk in _alike(range(len(prepared)), prepared, step):
        some = [prepared[number] for number in chunk]
        texts = continue_texts(subject, [one.known for one in some], [one.changes for one in some], generation, freeze)
        after |= zip(chunk, texts, strict=True)
    return [(known_texts[id(one.known)], after[number]) for number, one in enumerate(prepared)]


def _outcome(session: Session, one: Prepared, before: Tensor, after: After, text: tuple[str, str] | None) -> Outcome:
    model = session.subject.model
    capped = session.freeze is not Freeze.EVERYTHING
    shares = [torch.softmax(logits if capped else cap(model, logits), -1) for logits in (before, after.logits)]
    pair = answers(model, one.case.difference)
    return Outcome(
        prompt=one.case.prompt if isinstance(one.case.prompt, str) else prompt_text(model, one.known.tokens),
        edits=tuple(one.case.edits),
        freeze=session.freeze,
        logits_before=before,
        logits_after=after.logits,
        probabilities_before=shares[0],
        probabilities_after=shares[1],
        token=int(before.argmax()) if pair is None else pair[0],
        difference=pair,
        top_before=top(model, shares[0]),
        top_after=top(model, shares[1]),
        watched=watched_features(session.watch, one.readings, after.readings),
        text_before=None if text is None else text[0],
        text_after=None if text is None else text[1],
        misfit=session.subject.misfit,
    )
