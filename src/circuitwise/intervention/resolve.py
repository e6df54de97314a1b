"""From edits to changes on one prompt: positions found, values fetched from where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from circuitwise.edits import At, Edit, From, MeanOver, Only, Patch, Positions, ResampleFrom, Scale, Set, Steer
from circuitwise.errors import RequestError
from circuitwise.intervention.changes import Changes, OnlyChange, Rule, SiteChange
from circuitwise.intervention.known import Known
from circuitwise.intervention.references import References
from circuitwise.intervention.subject import Subject
from circuitwise.targets import resolve_position
from circuitwise.vocabulary import Feature, Head, Site

OfPlace = Set | Scale | Steer | Patch
"""An edit that names its place."""


@dataclass(frozen=True, slots=True)
class _Where:
    """The positions of one edit."""

    pos: tuple[int, ...]
    """In the prompt."""
    follows: bool
    """Whether generated tokens belong to it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    """Where the values of one edit come from."""

    known: Known
    """The prompt that is edited."""
    references: References
    """Other prompts."""

    def source(self, edit: OfPlace, where: _Where) -> tuple[Known, dict[int, int]] | None:
        """The prompt that an edit takes values from, and which of its positions stands for which; None for no such."""
        match edit:
            case Patch(prompt=prompt, source=source):
                known = self.references.known(self.references.tokens(prompt))
                return known, _aligned(where.pos, source, self.known, known)
            case Set(value=ResampleFrom() as reference):
                return self.drawn(reference), {pos: pos for pos in where.pos}
            case _:
                return None

    def drawn(self, reference: ResampleFrom) -> Known:
        """The prompt that a seed draws."""
        known = self.references.known(self.references.draw(reference))
        if known.n_pos != self.known.n_pos:
            raise RequestError(
                f"The prompt has {self.known.n_pos} tokens, but the reference prompt that was drawn has {known.n_pos}. "
                "ResampleFrom needs prompts of the same length."
            )
        return known


def resolve(
    subject: Subject, known: Known, edits: Sequence[Edit], references: References, *, generates: bool
) -> Changes:
    """The changes that checked edits make to one prompt."""
    changes, values = Changes(), _Values(known, references)
    for edit in edits:
        where = _where(edit.at, known.n_pos, generates=generates)
        if isinstance(edit, Only):
            changes.only = _only(subject, values, edit, where)
            continue
        match edit.place:
            case Feature() as feature:
                _add_feature(subject, changes, values, edit, feature, where)
            case Site() | Head() as place:
                site, columns = subject.site(place)
                change = _site_change(values, edit, (site, columns), where)
                changes.sites.setdefault(site, []).append(change)
    return changes


def _where(at: Positions, n_pos: int, *, generates: bool) -> _Where:
    match at:
        case At(positions=positions):
            found = tuple(resolve_position(pos, n_pos) for pos in positions)
            if len(set(found)) < len(found):
                raise RequestError(f"{at} names a position of this prompt twice. Name each one once.")
            return _Where(found, follows=False)
        case From(first=first) if first == n_pos and generates:
            return _Where((), follows=True)
        case From(first=first):
            return _Where(tuple(range(resolve_position(first, n_pos), n_pos)), follows=True)


def _content(known: Known, at: Positions, where: _Where, what: Feature | str) -> _Where:
    """The positions that hold features; a special leading one may be passed over, but not asked for."""
    pos = tuple(pos for pos in where.pos if pos >= known.n_excluded)
    if len(pos) < len(where.pos) and isinstance(at, At):
        excluded = next(pos for pos in where.pos if pos < known.n_excluded)
        raise RequestError(f"{what} has no position {excluded} to edit: special leading tokens hold no features.")
    return _Where(pos, where.follows)


def _aligned(positions: Sequence[int], source: At | None, known: Known, other: Known) -> dict[int, int]:
    """Which position of the other prompt stands for which of this one."""
    if source is None:
        if other.n_pos != known.n_pos:
            raise RequestError(
                f"The prompt has {known.n_pos} tokens and the one that it is patched from {other.n_pos}. Say which "
                "positions belong together, for example at=At(3), source=At(5)."
            )
        return {pos: pos for pos in positions}
    if len(source.positions) != len(positions):
        raise RequestError(
            f"{len(positions)} positions are patched from {len(source.positions)}. Give one position of the other "
            "prompt for each."
        )
    return {pos: resolve_position(one, other.n_pos) for pos, one in zip(positions, source.positions, strict=True)}


def _add_feature(
    subject: Subject, changes: Changes, values: _Values, edit: OfPlace, feature: Feature, where: _Where
) -> None:
    dictionary, content = subject.dictionary(feature), _content(values.known, edit.at, where, feature)
    if (found := values.source(edit, where)) is not None:
        source, places = found
        for pos in content.pos:
            value = source.amount(dictionary, places[pos], feature.index)
            changes.add_rule(feature.layer, pos, feature.index, Rule(-1.0, value))
        return
    rule = _rule(edit, feature, values.references)
    for pos in content.pos:
        changes.add_rule(feature.layer, pos, feature.index, rule)
    if content.follows:
        changes.add_following(feature.layer, feature.index, rule)


def _rule(edit: OfPlace, feature: Feature, references: References) -> Rule:
    match edit:
        case Set(value=MeanOver() as reference):
            return Rule(-1.0, float(references.means(reference).features[feature.layer][feature.index]))
        case Scale(factor=factor):
            return Rule(factor - 1.0, 0.0)
        case Steer(amount=amount):
            return Rule(0.0, amount)
        case Set(value=float() | int() | Tensor() as value):
            return Rule(-1.0, float(value))
        case Set() | Patch():
            raise AssertionError("It takes its values from another prompt.")


def _site_change(values: _Values, edit: OfPlace, place: tuple[Site, slice], where: _Where) -> SiteChange:
    (site, columns), pos, follows = place, where.pos, where.follows
    if (found := values.source(edit, where)) is not None:
        source, places = found
        shift = source.site(site)[[places[pos] for pos in where.pos]][:, columns]
        return SiteChange(columns=columns, pos=pos, gain=-1.0, shift=shift, follows=False)
    gain, vector = _site_rule(values, edit, site, columns)
    return SiteChange(columns=columns, pos=pos, gain=gain, shift=vector.expand(1, -1), follows=follows)


def _site_rule(values: _Values, edit: OfPlace, site: Site, columns: slice) -> tuple[float, Tensor]:
    known = values.known.site(site)[0, columns]
    match edit:
        case Set(value=MeanOver() as reference):
            return -1.0, values.references.means(reference).sites[site][columns]
        case Scale(factor=factor):
            return factor - 1.0, torch.zeros_like(known)
        case Steer(amount=amount, direction=Tensor() as direction):
            return 0.0, amount * direction.to(known)
        case Set(value=float() | int() as value):
            return -1.0, torch.full_like(known, value)
        case Set(value=Tensor() as value):
            return -1.0, value.to(known).expand_as(known)
        case Set() | Steer() | Patch():
            raise AssertionError("It has been checked, or takes its values from another prompt.")


def _only(subject: Subject, values: _Values, edit: Only, where: _Where) -> OnlyChange:
    known, reference = values.known, edit.reference
    content = _content(known, edit.at, where, "Only")
    kept: dict[int, set[tuple[int, int]]] = {layer: set() for layer in subject.dictionaries}
    following: dict[int, set[int]] = {layer: set() for layer in subject.dictionaries}
    for feature, at in edit.keep:
        places = _where(At(at) if isinstance(at, int) else at, known.n_pos, generates=True)
        kept[feature.layer] |= {(pos, feature.index) for pos in places.pos}
        following[feature.layer] |= {feature.index} if places.follows else set()
    means: Mapping[int, Tensor] | None = None
    drawn: Known | None = None
    match reference:
        case MeanOver():
            means = values.references.means(reference).features
        case ResampleFrom():
            drawn = values.drawn(reference)
        case None:
            pass
    return OnlyChange(
        pos=content.pos,
        follows=content.follows and drawn is None,
        kept={layer: frozenset(places) for layer, places in kept.items()},
        kept_following={layer: frozenset(features) for layer, features in following.items()},
        means=means,
        drawn=drawn,
    )
