"""Changes while a pass runs: what each site is rewritten to.

At a site, in this order: dictionaries that read there encode what they find and work out what their features' changes
write; what has been written to the site is added; changes of the site itself are made. The error of a dictionary stays:

    site += sum_s (a'_s - a_s) w_dec(s)

``a_s`` is the activation in this very pass. Where nothing before has changed a row it is that of the unedited pass, bit
for bit; where nothing changes, the site's own tensor is handed back and nothing at all is computed anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitwise.dictionaries.activations import BatchTopK, JumpReLU, ReLU
from circuitwise.dictionaries.dictionary import Dictionary, Firing
from circuitwise.intervention.changes import Changes, change_following, change_site
from circuitwise.intervention.known import Keyed, Known, distinct
from circuitwise.intervention.tables import Amounts, FeatureTable, Keys, feature_table, following_table, joined
from circuitwise.model.forward import Rewrite
from circuitwise.vocabulary import SITE_KINDS, ResidualBatch, Site, integers

Place = tuple[int, int]
"""A site in the order of the computation."""


def place_of(site: Site) -> Place:
    """Where a site stands in the order of the computation."""
    return site.layer, SITE_KINDS.index(site.kind)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One row of a pass."""

    changes: Changes
    """What is changed in it."""
    known: Known
    """Its prompt's unedited pass."""
    begin: Place
    """Where it first differs from that."""
    offset: int = 0
    """The column of its first token."""


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What features' changes write to a site."""

    row: Tensor
    """Into which row."""
    column: Tensor
    """Into which column."""
    vector: Float[Tensor, "place d_model"]
    """What is added there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Applying:
    """The changes of all rows of one pass."""

    rows: Sequence[Row]
    """In the order in which they join."""
    dictionaries: Mapping[int, Dictionary]
    """By layer, those whose features are changed."""
    tables: Mapping[int, FeatureTable]
    """By layer: what is changed in the prompt."""
    following: Mapping[int, FeatureTable]
    """By layer: what is changed in generated tokens."""
    sites: frozenset[Site]
    """Sites that are changed themselves."""
    width: int
    """Columns of the prompts."""
    stride: int
    """Columns that the keys have room for."""
    deltas: dict[int, Keyed] = field(default_factory=dict[int, Keyed])
    """By layer: the changes of activations that were made last."""
    _written: dict[Site, list[Written]] = field(default_factory=dict[Site, list[Written]])
    """By site: what is to be added."""

    def rewrites(self) -> dict[Site, Rewrite]:
        """What to do at every site that matters."""
        concerned = set(self.sites)
        for dictionary in self.dictionaries.values():
            concerned |= {dictionary.read, *dictionary.writes}
        return {site: self._rewrite(site) for site in concerned}

    def _rewrite(self, site: Site) -> Rewrite:
        readers = [dictionary for dictionary in self.dictionaries.values() if dictionary.read == site]

        def change(value: Tensor, start: int) -> Tensor:
            for dictionary in readers:
                self.read(dictionary, value, start)
            return self._changed(site, self._added(site, value, start), start)

        return change

    def read(self, dictionary: Dictionary, value: ResidualBatch, start: int) -> None:
        """Work out what a dictionary's changes write."""
        if (table := self.table(dictionary.layer, start)) is None:
            return
        reader = _Reader(self, dictionary, value, start)
        columns = range(start, start + value.shape[1])
        fired = reader.fired(table)
        deltas = table.deltas(fired, reader.activations, len(value), columns)
        self.deltas[dictionary.layer] = deltas
        self.write(dictionary, table, deltas, len(value), columns)

    def table(self, layer: int, start: int) -> FeatureTable | None:
        """What is changed at a layer in the columns from ``start`` on."""
        if start < self.width:
            return self.tables.get(layer)
        return self.following[layer].shifted(start) if layer in self.following else None

    def write(self, dictionary: Dictionary, table: FeatureTable, deltas: Keyed, n_rows: int, columns: range) -> None:
        """Keep what changed activations write until their sites are reached."""
        if len(deltas.keys):
            places, place = distinct(deltas.keys // table.n_features)
            firing = Firing(pos=place, feature=deltas.keys % table.n_features, value=deltas.values)
            vectors = dictionary.decode(firing, len(places))
            row, column = places // table.stride, places % table.stride
            for site, vector in zip(dictionary.writes, vectors, strict=True):
                self._written.setdefault(site, []).append(Written(row, column, vector))
        if table.only is not None and table.only.mean is not None:
            self._write_mean(dictionary, table, n_rows, columns)

    def _write_mean(self, dictionary: Dictionary, table: FeatureTable, n_rows: int, columns: range) -> None:
        only = table.only
        assert only is not None and only.mean is not None
        row, column = torch.where(only.mask[:n_rows])
        column = column + only.first_column
        here = (column >= columns.start) & (column < columns.stop)
        feature = torch.where(only.mean)[0]
        firing = Firing(pos=torch.zeros_like(feature), feature=feature, value=only.mean[feature])
        for site, vector in zip(dictionary.writes, dictionary.decode(firing, 1), strict=True):
            self._written.setdefault(site, []).append(
                Written(row[here], column[here], vector.expand(int(here.sum()), -1))
            )

    def take_written(self, site: Site) -> list[Written]:
        """What is to be added to a site, once."""
        return self._written.pop(site, [])

    def _added(self, site: Site, value: Tensor, start: int) -> Tensor:
        for written in self.take_written(site):
            place = (written.row, written.column - start)
            value = value.index_put(place, written.vector.to(value.dtype), accumulate=True)
        return value

    def _changed(self, site: Site, value: Tensor, start: int) -> Tensor:
        if site not in self.sites:
            return value
        new = value.clone()
        for one, row in zip(new, self.rows, strict=False):
            if site in row.changes.sites:
                if start < self.width:
                    change_site(one, row.changes.sites[site], row.offset - start)
                else:
                    change_following(one, row.changes.sites[site])
        return value if torch.equal(new, value) else new


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    """One dictionary at its read site, in one pass."""

    applying: Applying
    """The changes."""
    dictionary: Dictionary
    """The dictionary."""
    value: ResidualBatch
    """What it reads, of the rows that have joined."""
    start: int
    """The column of the first position."""

    def fired(self, table: FeatureTable) -> Keyed:
        """All features that fire in those rows where all features are changed."""
        if table.only is None:
            return Keyed(table.keys[:0], table.gain[:0])
        rows = [row for row in range(len(self.value)) if bool(table.only.mask[row].any())]
        still = [row for row in rows if self._is_still(row)]
        touched = [row for row in rows if row not in set(still)]
        fired = joined([Keyed(table.keys[:0], table.gain[:0]), self._known(still), self._encode(touched)])
        here = table.within(fired.keys, len(self.value), range(self.start, self.start + self.value.shape[1]))
        return Keyed(fired.keys[here], fired.values[here])

    def activations(self, keys: Keys) -> Amounts:
        """The activations of some features, before their changes."""
        row = keys // self.dictionary.n_features // self.applying.stride
        rows = sorted(set(integers(row)))
        still = [one for one in rows if self._is_still(one)]
        out = self._known(still).find(keys)
        if len(still) == len(rows):
            return out
        touched = [one for one in rows if not self._is_still(one)]
        changed = torch.isin(row, torch.tensor(touched, device=row.device))
        out[changed] = self._live(keys[changed], touched)
        return out

    def _is_still(self, row: int) -> bool:
        return place_of(self.dictionary.read) <= self.applying.rows[row].begin

    def _known(self, rows: Sequence[int]) -> Keyed:
        """What fires in the unedited pass of some rows."""
        parts = [Keyed(torch.zeros(0, dtype=torch.long, device=self.value.device), self.value.new_zeros(0).float())]
        for number in rows:
            row = self.applying.rows[number]
            found = row.known.activations(self.dictionary)
            first = (number * self.applying.stride + row.offset) * self.dictionary.n_features
            parts.append(Keyed(found.keys + first, found.values))
        return joined(parts)

    def _live(self, keys: Keys, rows: Sequence[int]) -> Amounts:
        dictionary = self.dictionary
        if not isinstance(dictionary.activation, ReLU | JumpReLU):
            return self._encode(rows).find(keys)
        place, feature = keys // dictionary.n_features, keys % dictionary.n_features
        row, column = place // self.applying.stride, place % self.applying.stride
        x = self.value[row, column - self.start].float()
        bias = dictionary.encoder_bias[feature.to(dictionary.encoder_bias.device)].to(x)
        return rectified(dictionary, (x * dictionary.encoder_rows(feature).to(x)).sum(-1) + bias, feature)

    def _encode(self, rows: Sequence[int]) -> Keyed:
        """All features that fire in some rows: in one call, but for BatchTopK, which chooses within a prompt."""
        alone = isinstance(self.dictionary.activation, BatchTopK)
        groups = [[number] for number in rows] if alone else [list(rows)]
        return joined([self._encode_together(group) for group in groups if group] or [self._nothing()])

    def _encode_together(self, rows: Sequence[int]) -> Keyed:
        dictionary, stride = self.dictionary, self.applying.stride
        inputs: list[Tensor] = []
        places: list[Tensor] = []
        for number in rows:
            row, first, x = self.applying.rows[number], 0, self.value[number]
            if self.start < self.applying.width:
                first = max(row.offset - self.start, 0)
                x = x[first : row.offset + row.known.n_pos - self.start]
            inputs.append(x.float())
            places.append(number * stride + self.start + first + torch.arange(len(x), device=x.device))
        firing = dictionary.encode(torch.cat(inputs))
        return Keyed(torch.cat(places)[firing.pos] * dictionary.n_features + firing.feature, firing.value)

    def _nothing(self) -> Keyed:
        return Keyed(torch.zeros(0, dtype=torch.long, device=self.value.device), self.value.new_zeros(0).float())


def rectified(
    dictionary: Dictionary, preactivation: Float[Tensor, "*entry"], feature: Int[Tensor, "*feature"]
) -> Float[Tensor, "*entry"]:
    """Activations, where a feature's own pre-activation decides whether it fires."""
    floor = preactivation.new_zeros(())
    if isinstance(dictionary.activation, JumpReLU):
        threshold = dictionary.activation.threshold
        floor = threshold[feature.to(threshold.device)].to(preactivation)
    return torch.where(preactivation > floor, preactivation, 0.0)


def applying(
    rows: Sequence[Row], dictionaries: Mapping[int, Dictionary], *, width: int, stride: int, device: torch.device
) -> Applying:
    """The changes of rows that run together in passes whose prompts take ``width`` columns."""
    changes, offsets = [row.changes for row in rows], [row.offset for row in rows]
    tables: dict[int, FeatureTable] = {}
    following: dict[int, FeatureTable] = {}
    for layer, dictionary in dictionaries.items():
        if (table := feature_table(dictionary, changes, offsets, stride, device)) is not None:
            tables[layer] = table
        if (table := following_table(dictionary, changes, stride, device)) is not None:
            following[layer] = table
    return Applying(
        rows=rows,
        dictionaries={layer: one for layer, one in dictionaries.items() if layer in tables or layer in following},
        tables=tables,
        following=following,
        sites=frozenset(site for one in changes for site in one.sites),
        width=width,
        stride=stride,
    )
