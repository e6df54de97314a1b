"""Opening a set of dictionaries: find the files, see which format they are in, read them.

The format is told by the files that lie in the folder, never by its name.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from circuitwise.dictionaries.activations import JumpReLU
from circuitwise.dictionaries.circuittracer import read_circuit_tracer
from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.dictionaries.folder import SetFolder
from circuitwise.dictionaries.gemmascope import read_gemma_scope, read_gemma_scope_2
from circuitwise.dictionaries.hub import fetch_folder
from circuitwise.dictionaries.native import INDEX, read_native
from circuitwise.dictionaries.references import PUBLISHED, parse_reference
from circuitwise.dictionaries.saelens import read_saelens
from circuitwise.dictionaries.shipped import SHIPPED, TRANSCODERS, shipped_folder
from circuitwise.dictionaries.sparsify import read_sparsify
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import DictionaryError


@dataclass(frozen=True, slots=True)
class Reader:
    """One format: how it is recognised and read."""

    marker: str
    """Files that only this format has, as a shell wildcard."""
    read: Callable[[SetFolder], Transcoders]
    """Reads the set."""


READERS: dict[str, Reader] = {
    "native": Reader(INDEX, read_native),
    "circuit-tracer": Reader("config.yaml", read_circuit_tracer),
    "saelens": Reader("sae_weights.safetensors", read_saelens),
    "sparsify": Reader("sae.safetensors", read_sparsify),
    "gemma-scope-2": Reader("params.safetensors", read_gemma_scope_2),
    "gemma-scope-2 cross-layer": Reader("params_layer_*.safetensors", read_gemma_scope_2),
    "gemma-scope": Reader("params.npz", read_gemma_scope),
}
"""The formats in the order in which they are looked for."""

TRAINED = "set"
"""The folder of the set in the folder of a training."""


def load_transcoders(
    name_or_path: str | Path,
    *,
    layers: Sequence[int] | None = None,
    token: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Transcoders:
    """The set under a short name, a reference ``org/repo//sub@revision`` or a local folder, all layers or some.

    A folder in which ``train`` worked counts as the set that it holds.

    Without another device or dtype the weights stay memory-mapped.
    """
    folder = _find_folder(name_or_path, layers, token)
    transcoders = _reader(folder).read(folder)
    placed = tuple(_placed(dictionary, device, dtype) for dictionary in transcoders)
    return dataclasses.replace(transcoders, layers=placed)


def _find_folder(name_or_path: str | Path, layers: Sequence[int] | None, token: str | None) -> SetFolder:
    name = str(name_or_path)
    wanted = None if layers is None else tuple(layers)
    if wanted == ():
        raise DictionaryError(f"No layer of {name} was asked for. Name at least one, or leave layers out for all.")
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, str) and name in SHIPPED:
        return SetFolder(path=shipped_folder(name) / TRANSCODERS, name=name, layers=wanted)
    if path.is_dir():
        trained = path / TRAINED
        here = trained if (trained / INDEX).is_file() else path
        return SetFolder(path=here, name=name, layers=wanted, token=token)
    if path.exists():
        raise DictionaryError(f"{path} is a file, but a set of dictionaries is a folder. Name the folder it lies in.")
    if isinstance(name_or_path, Path) or path.is_absolute() or name.startswith((".", "~")):
        raise DictionaryError(f"There is no folder {path}. Check the path.")
    reference = parse_reference(PUBLISHED[name].reference if name in PUBLISHED else name)
    fetched = fetch_folder(reference, wanted, token)
    return SetFolder(path=fetched, name=name, layers=wanted, pattern=reference.pattern or "*", token=token)


def _reader(folder: SetFolder) -> Reader:
    """The format whose files lie here; an index or configuration in the folder itself comes before sub-folders."""
    for reader in READERS.values():
        if any(folder.path.glob(reader.marker)):
            return reader
    for reader in READERS.values():
        if folder.files(reader.marker):
            return reader
    markers = ", ".join(f"{reader.marker} ({format})" for format, reader in READERS.items())
    here = sorted(path.name for path in folder.path.iterdir())[:10]
    raise DictionaryError(
        f"{folder.name} holds no set of dictionaries in a known format. Looked for {markers}; "
        f"found {', '.join(here) or 'an empty folder'}. A set of layer_*.safetensors or W_enc_*.safetensors files "
        f"needs its config.yaml beside it."
    )


def _placed(dictionary: Dictionary, device: str | torch.device, dtype: torch.dtype | None) -> Dictionary:
    """The same dictionary elsewhere; nothing is copied where nothing changes."""
    activation, skip = dictionary.activation, dictionary.skip
    if isinstance(activation, JumpReLU):
        activation = JumpReLU(activation.threshold.to(device, dtype))
    return dataclasses.replace(
        dictionary,
        activation=activation,
        encoder=dictionary.encoder.to(device, dtype),
        encoder_bias=dictionary.encoder_bias.to(device, dtype),
        decoder=dictionary.decoder.to(device, dtype),
        bias=dictionary.bias.to(device, dtype),
        skip=None if skip is None else skip.to(device, dtype),
    )
