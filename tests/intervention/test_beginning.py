"""A case begins where its edits first change something, and runs with those that begin near it."""

import torch

from circuitwise.edits import At, Edit, Scale, Set, Steer
from circuitwise.intervention.beginning import FULL, Beginning, beginnings, groups
from circuitwise.intervention.known import Known, learn
from circuitwise.intervention.references import References
from circuitwise.intervention.resolve import resolve
from circuitwise.intervention.subject import subject_of
from circuitwise.replacement import Replacement
from circuitwise.vocabulary import Feature, Site
from tests import tiny


def begin(replacement: Replacement, edits: list[Edit]) -> tuple[Beginning | None, Known]:
    subject, sites = subject_of(replacement), {Site(1, "attn_out"), Site(2, "resid_pre")}
    read = sites | {dictionary.read for dictionary in replacement.transcoders}
    known = learn(subject.model, [tiny.tokens_of(8)], read, keep_calls=True)[0]
    references = References(subject.model, subject.dictionaries, sites)
    changes = resolve(subject, known, edits, references, generates=False)
    return beginnings(subject.dictionaries, [(changes, known)])[0], known


def test_the_first_layer_and_the_first_position_count():
    edits: list[Edit] = [Set(Feature(2, 4), 50.0, At(3)), Steer(Site(1, "attn_out"), 1.0, torch.ones(32), At(5))]
    found, _ = begin(tiny.tiny_replacement(), edits)
    assert found is not None
    assert found.place[0] == 1
    assert found.column == 3


def test_changes_that_are_zero_do_not_count():
    edits: list[Edit] = [Scale(Site(2, "resid_pre"), 1.0), Set(Feature(1, 4), 50.0, At(6))]
    found, _ = begin(tiny.tiny_replacement(), edits)
    assert found is not None
    assert found.column == 6
    assert begin(tiny.tiny_replacement(), edits[:1])[0] is None


def test_a_dictionary_whose_positions_compete_begins_at_the_first_one():
    found, _ = begin(tiny.tiny_replacement(kind="batchtopk"), [Set(Feature(1, 4), 50.0, At(6))])
    assert found is not None
    assert found.column == 0


def test_cases_that_begin_late_do_not_run_with_those_that_begin_early():
    late, early = Beginning((0, 0), 90), Beginning((0, 0), 2)
    found = groups([late] * 30 + [early] * 5, [100] * 35, 10_000)
    assert sorted(map(sorted, found)) == [list(range(30)), list(range(30, 35))]
    assert FULL < 30 * 10


def test_few_cases_run_together_wherever_they_begin():
    found = groups([Beginning((0, 0), column) for column in (9, 7, 8)], [10] * 3, 10_000)
    assert sorted(map(sorted, found)) == [[0, 1, 2]]


def test_no_group_holds_more_positions_than_it_may():
    found = groups([Beginning((0, 0), 0)] * 10, [8] * 10, 24)
    assert [len(group) for group in found] == [3, 3, 3, 1]
    assert groups([Beginning((0, 0), 0)] * 2, [8] * 2, 1) == [[0], [1]]
