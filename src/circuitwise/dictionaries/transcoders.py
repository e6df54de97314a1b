"""A set of dictionaries, one a layer, as a model carries them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.errors import DictionaryError
from circuitwise.storage.checksum import sha256_of_text
from circuitwise.storage.jsontext import canonical_json
from circuitwise.vocabulary import Residual, Site


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transcoders:
    """Dictionaries for some or all layers of one model, in the order of the layers."""

    name: str
    """How it was asked for: a short name, ``org/repo//sub@revision`` or a folder."""
    format: str
    """The format that it was read from, for example ``circuit-tracer``."""
    layers: tuple[Dictionary, ...]
    """One dictionary a layer, ascending."""
    model_name: str | None = None
    """The model that it says it was trained on."""
    checksums: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 of every file that it was read from."""

    def __post_init__(self) -> None:
        if not self.layers:
            raise DictionaryError(f"The set {self.name} holds no dictionary.")
        numbers = [dictionary.layer for dictionary in self.layers]
        if numbers != sorted(set(numbers)):
            raise DictionaryError(f"The set {self.name} names its layers out of order or twice: {numbers}.")
        widths = sorted({dictionary.d_model for dictionary in self.layers})
        if len(widths) > 1:
            raise DictionaryError(f"The set {self.name} mixes dictionaries of different widths: {widths}.")

    def __iter__(self) -> Iterator[Dictionary]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def d_model(self) -> int:
        """The width of the stream that all its dictionaries read and write."""
        return self.layers[0].d_model

    @property
    def n_features(self) -> int:
        """Features of all layers together."""
        return sum(dictionary.n_features for dictionary in self.layers)

    @property
    def kind(self) -> str:
        """What its dictionaries are; several kinds are joined with ``+``."""
        kinds = {dictionary.kind for dictionary in self.layers}
        if "cross-layer transcoder" in kinds:  # the last layer of such a set has nothing to write to but its own output
            kinds -= {"transcoder", "skip transcoder"}
        return " + ".join(sorted(kinds))

    @property
    def checksum(self) -> str | None:
        """One checksum of all files that it was read from; None where it was made in memory."""
        if not self.checksums:
            return None
        return sha256_of_text(canonical_json(dict(self.checksums), what="The checksums"))

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site that is read or written, each once, in order."""
        found = {site for dictionary in self.layers for site in (dictionary.read, *dictionary.writes)}
        return tuple(sorted(found))

    def reconstruct(self, inputs: Sequence[Residual]) -> dict[Site, Residual]:
        """What all dictionaries together write at each site, given the input of each."""
        total: dict[Site, Residual] = {}
        for dictionary, x in zip(self.layers, inputs, strict=True):
            written = dictionary.decode(dictionary.encode(x), len(x))
            written[0] += dictionary.constant(x)
            for site, part in zip(dictionary.writes, written, strict=True):
                total[site] = total[site] + part if site in total else part
        return total
