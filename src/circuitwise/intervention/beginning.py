"""Where a case first differs from its unedited pass, and which cases run together.

Changes are tried on the unedited pass first. Those that leave it as it is leave all that follows as it is, too: a case
whose changes are all zero has no beginning and is not run at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from circuitwise.dictionaries.activations import BatchTopK
from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.intervention.applying import Place, place_of
from circuitwise.intervention.changes import Changes, change_site
from circuitwise.intervention.known import Keyed, Known
from circuitwise.intervention.tables import feature_table
from circuitwise.vocabulary import integers

FULL = 64
"""Positions that run together before a group of cases is not joined by cases that begin at another column."""

ENTRIES = 2**21
"""Activations that are tried at once."""


@dataclass(frozen=True, slots=True, order=True)
class Beginning:
    """Where a case first differs."""

    place: Place
    """The first site that is written with another value."""
    column: int
    """The first position that any of its changes reaches."""


def beginnings(
    dictionaries: Mapping[int, Dictionary], cases: Sequence[tuple[Changes, Known]]
) -> list[Beginning | None]:
    """Where each case first differs from its unedited pass; None where it does not."""
    found: list[list[Beginning]] = [list(_of_sites(changes, known)) for changes, known in cases]
    alike: dict[tuple[int, int], list[int]] = {}
    for number, (changes, known) in enumerate(cases):
        alike.setdefault((id(known), changes.reference), []).append(number)
    for numbers in alike.values():
        known = cases[numbers[0]][1]
        for layer in sorted(dictionaries):
            if here := [number for number in numbers if cases[number][0].touches(layer)]:
                first = _of_features(dictionaries[layer], [cases[number][0] for number in here], known)
                for number, one in zip(here, first, strict=True):
                    found[number] += [] if one is None else [one]
    return [_first(dictionaries, changes, ones) for (changes, _), ones in zip(cases, found, strict=True)]


def _first(dictionaries: Mapping[int, Dictionary], changes: Changes, found: Sequence[Beginning]) -> Beginning | None:
    if not found:
        return None
    edited = [dictionary for layer, dictionary in dictionaries.items() if changes.touches(layer)]
    together = any(isinstance(dictionary.activation, BatchTopK) for dictionary in edited)
    column = 0 if together else min(one.column for one in found)  # there, what fires anywhere depends on all positions
    return Beginning(min(one.place for one in found), column)


def _of_features(dictionary: Dictionary, cases: Sequence[Changes], known: Known) -> Iterator[Beginning | None]:
    """What changes of one layer's features do to one prompt, as many cases at once as memory allows."""
    fired, place = known.activations(dictionary), min(map(place_of, dictionary.writes))
    step = max(1, ENTRIES // max(1, len(fired.keys)))
    for start in range(0, len(cases), step):
        for column in _first_columns(dictionary, cases[start : start + step], known, fired):
            yield Beginning(place, column) if column < known.n_pos else None


def _first_columns(dictionary: Dictionary, cases: Sequence[Changes], known: Known, fired: Keyed) -> list[int]:
    """The first column of each case at which a feature changes; the prompt's length where none does."""
    n_cases, n_pos, device = len(cases), known.n_pos, known.tokens.device
    table = feature_table(dictionary, cases, [0] * n_cases, n_pos, device)
    if table is None:
        return [n_pos] * n_cases
    of_case = n_pos * dictionary.n_features
    everywhere = Keyed(fired.keys[:0], fired.values[:0])
    if table.only is not None:
        shift = torch.arange(n_cases, device=device).repeat_interleave(len(fired.keys)) * of_case
        everywhere = Keyed(fired.keys.repeat(n_cases) + shift, fired.values.repeat(n_cases))
    deltas = table.deltas(everywhere, lambda keys: fired.find(keys % of_case), n_cases, range(n_pos))
    row, column = table.places(deltas.keys)
    if table.only is not None and table.only.mean is not None:
        masked = torch.where(table.only.mask)
        row, column = torch.cat([row, masked[0]]), torch.cat([column, masked[1]])
    first = torch.full((n_cases,), n_pos, device=device)
    return integers(first.scatter_reduce(0, row, column, "amin"))


def _of_sites(changes: Changes, known: Known) -> Iterator[Beginning]:
    for site, here in changes.sites.items():
        new = known.site(site).clone()
        change_site(new, here)
        changed = (new != known.site(site)).any(1)
        if bool(changed.any()):
            yield Beginning(place_of(site), int(torch.where(changed)[0][0]))


def groups(beginnings: Sequence[Beginning], n_pos: Sequence[int], most: int) -> list[list[int]]:
    """Cases that run together: they begin at near columns, and are few enough to hold ``most`` positions at once.

    Cases that begin late run few positions. One that begins earlier makes all of its group run more, so it joins only
    while the group has too few positions to keep the machine busy.
    """
    order = sorted(range(len(beginnings)), key=lambda number: -beginnings[number].column)
    found: list[list[int]] = []
    start, longest = 0, 0
    for number in order:
        column = beginnings[number].column
        longest_now = max(longest, n_pos[number])
        here = found[-1] if found else []
        if (
            here
            and (column == start or len(here) * (longest - start) < FULL)
            and ((len(here) + 1) * (longest_now - column) <= most)
        ):
            here.append(number)
        else:
            found.append([number])
            longest_now = n_pos[number]
        start, longest = column, longest_now
    return found
