"""Our own format: an index and one artifact file a layer, both written through ``circuitwise.storage``.

    transcoders.safetensors    the index: name, model, and for each layer its sites, activation and checksum
    layer_005.safetensors      encoder, encoder_bias, decoder, bias, [threshold], [skip]

With ``bits``, encoder and decoder are kept in so many bits a weight (``quantised.py``) and unpacked when they are read:

    layer_005.safetensors      encoder.levels, encoder.step, decoder.levels, decoder.step in their places

The index is written last, so an interrupted save leaves no set behind. A layer file is checked against the index as it
streams past, then memory-mapped.
"""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from circuitwise.dictionaries.activations import Activation, BatchTopK, JumpReLU, ReLU, TopK
from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.dictionaries.folder import SetFolder, assemble, choose_layers
from circuitwise.dictionaries.quantised import FEWEST_BITS, MOST_BITS, Packed, check_bits, pack, packed_bytes, unpack
from circuitwise.dictionaries.tensors import TensorFile, open_tensors
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import ArtifactError, DictionaryError
from circuitwise.storage import Json, Provenance, read_artifact, sha256_of_file, write_artifact
from circuitwise.vocabulary import Site, SiteKind

INDEX = "transcoders.safetensors"
"""The file that a folder in this format is recognised by."""
VERSION = 2
"""Version of the layout; 2 knows weights in a few bits."""

_NAMES = ("encoder", "encoder_bias", "decoder", "bias", "threshold", "skip")
_MATRICES = ("encoder", "decoder")
"""What is kept in a few bits."""


def save_transcoders(
    transcoders: Transcoders, folder: Path | str, *, bits: int | None = None, provenance: Provenance | None = None
) -> None:
    """Write a set in our own format into a new or empty folder, each weight whole or rounded to ``bits`` bits."""
    if bits is not None:
        check_bits(bits)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise DictionaryError(f"{target} is not empty. Name a new folder, so that two sets are never mixed.")
    entries: list[Json] = [_save(dictionary, target, bits, provenance) for dictionary in transcoders]
    header: dict[str, Json] = {"name": transcoders.name, "model_name": transcoders.model_name, "layers": entries}
    index = target / INDEX
    write_artifact(index, kind="transcoders", version=VERSION, header=header, tensors={}, provenance=provenance)


def read_native(folder: SetFolder) -> Transcoders:
    """The set in a folder that ``save_transcoders`` wrote."""
    index = folder.path / INDEX
    entries, model_name = _read_index(index)
    chosen = choose_layers(folder, {_read_site(entry, index).layer: entry for entry in entries})
    files: list[TensorFile] = []
    layers: list[Dictionary] = []
    for entry in chosen.values():
        files.append(_unpacked(_open(entry, index), entry, index))
        layers.append(_dictionary(entry, files[-1], index))
    return assemble(folder, "native", layers, files, model_name)


def layer_files(index: Path) -> dict[Path, int | None]:
    """The files of a set's layers, and in how many bits a weight is kept there (None: whole)."""
    found: dict[Path, int | None] = {}
    for entry in _read_index(index)[0]:
        match entry:
            case {"file": str(name), "bits": int(bits)}:
                found[index.with_name(name)] = bits
            case {"file": str(name)}:
                found[index.with_name(name)] = None
            case _:
                raise _not_understood(index)
    return found


def _read_index(index: Path) -> tuple[list[Json], str | None]:
    """One entry a layer, and the model's name."""
    match read_artifact(index, kind="transcoders", version=VERSION).header:
        case {"layers": list(entries), "model_name": (str() | None) as model_name}:
            return entries, model_name
        case _:
            raise _not_understood(index)


def _save(dictionary: Dictionary, folder: Path, bits: int | None, provenance: Provenance | None) -> Json:
    tensors = {
        "encoder": dictionary.encoder,
        "encoder_bias": dictionary.encoder_bias,
        "decoder": dictionary.decoder,
        "bias": dictionary.bias,
    }
    if dictionary.skip is not None:
        tensors["skip"] = dictionary.skip
    if isinstance(dictionary.activation, JumpReLU):
        tensors["threshold"] = dictionary.activation.threshold
    path = folder / f"layer_{dictionary.layer:03}.safetensors"
    header: dict[str, Json] = {
        "read": _site_to_json(dictionary.read),
        "writes": [_site_to_json(site) for site in dictionary.writes],
        "activation": _activation_to_json(dictionary.activation),
    }
    if bits is not None:
        header["bits"] = bits
        tensors = _packed(tensors, bits)
    write_artifact(path, kind="dictionary", version=VERSION, header=header, tensors=tensors, provenance=provenance)
    return {"file": path.name, "sha256": sha256_of_file(path), **header}


def _packed(tensors: dict[str, Tensor], bits: int) -> dict[str, Tensor]:
    """The same tensors with the matrices in a few bits, one step for each vector of the stream's width."""
    kept = {name: tensor for name, tensor in tensors.items() if name not in _MATRICES}
    for name in _MATRICES:
        packed = pack(tensors[name].flatten(0, -2), bits)
        kept |= {f"{name}.levels": packed.levels, f"{name}.step": packed.step}
    return kept


def _site_to_json(site: Site) -> Json:
    return {"layer": site.layer, "kind": site.kind}


def _activation_to_json(activation: Activation) -> Json:
    match activation:
        case ReLU():
            return {"name": "relu"}
        case JumpReLU():
            return {"name": "jumprelu"}
        case TopK(k=k, keep_negative=keep_negative):
            return {"name": "topk", "k": k, "keep_negative": keep_negative}
        case BatchTopK(k=k):
            return {"name": "batchtopk", "k": k}


def _open(entry: Json, index: Path) -> TensorFile:
    match entry:
        case {"file": str(name), "sha256": str(checksum)}:
            file = open_tensors(index.with_name(name))
        case _:
            raise _not_understood(index)
    if file.checksum != checksum:
        raise ArtifactError(
            f"{file.path} is not the file that was saved with this set: its SHA-256 is {file.checksum}, but {INDEX} "
            f"says {checksum}. Copy or download the set again."
        )
    return file


def _unpacked(file: TensorFile, entry: Json, index: Path) -> TensorFile:
    """The file with whole matrices in the place of packed ones."""
    match entry:
        case {"bits": int(bits), "writes": list(writes)} if FEWEST_BITS <= bits <= MOST_BITS:
            pass
        case {"bits": _}:
            raise _not_understood(index)
        case _:
            file.only(_NAMES)
            return file
    packed = [f"{name}.{part}" for name in _MATRICES for part in ("levels", "step")]
    file.only([*_NAMES, *packed])
    d_model = len(file.take("bias", (None,)))
    n_features = len(file.take("encoder_bias", (None,)))
    shapes = {"encoder": (n_features, d_model), "decoder": (n_features, len(writes), d_model)}
    tensors = {name: tensor for name, tensor in file.tensors.items() if name not in packed}
    for name, shape in shapes.items():
        n_rows = shape[0] * (len(writes) if name == "decoder" else 1)
        levels = file.take(f"{name}.levels", (n_rows, packed_bytes(d_model, bits)), dtypes=(torch.uint8,))
        step = file.take(f"{name}.step", (n_rows,))
        tensors[name] = unpack(Packed(levels=levels, step=step, n_columns=d_model, bits=bits)).view(shape)
    return replace(file, tensors=tensors)


def _dictionary(entry: Json, file: TensorFile, index: Path) -> Dictionary:
    match entry:
        case {"writes": list(sites), "activation": dict(activation)}:
            writes = tuple(_site(site, index) for site in sites)
        case _:
            raise _not_understood(index)
    n_features, d_model = file.take("encoder", (None, None)).shape
    return Dictionary(
        read=_read_site(entry, index),
        writes=writes,
        activation=_activation(activation, file.optional("threshold", (n_features,)), index),
        encoder=file.tensors["encoder"],
        encoder_bias=file.take("encoder_bias", (n_features,)),
        decoder=file.take("decoder", (n_features, len(writes), d_model)),
        bias=file.take("bias", (d_model,)),
        skip=file.optional("skip", (d_model, d_model)),
    )


def _activation(value: Json, threshold: Tensor | None, index: Path) -> Activation:
    match value, threshold:
        case {"name": "relu"}, None:
            return ReLU()
        case {"name": "jumprelu"}, Tensor() as given:
            return JumpReLU(given)
        case {"name": "topk", "k": int(k), "keep_negative": bool(keep_negative)}, None:
            return TopK(k, keep_negative)
        case {"name": "batchtopk", "k": int(k)}, None:
            return BatchTopK(k)
        case _:
            raise _not_understood(index)


def _read_site(entry: Json, index: Path) -> Site:
    match entry:
        case {"read": site}:
            return _site(site, index)
        case _:
            raise _not_understood(index)


def _site(value: Json, index: Path) -> Site:
    kinds: dict[str, SiteKind] = {kind: kind for kind in get_args(SiteKind)}
    match value:
        case {"layer": int(layer), "kind": str(kind)} if kind in kinds:
            return Site(layer, kinds[kind])
        case _:
            raise _not_understood(index)


def _not_understood(index: Path) -> ArtifactError:
    return ArtifactError(
        f"{index} describes its dictionaries in a way that this circuitwise does not know. It was damaged or written "
        f"by a newer version; upgrade circuitwise or get the set anew."
    )
