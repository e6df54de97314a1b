"""How big a set of dictionaries is, without downloading it.

Where neither a copy nor the hub can say it, a table of published sets does, and the size says so.
"""

from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub

from circuitwise.dictionaries.known import KnownSet, known_set
from circuitwise.dictionaries.native import INDEX, layer_files
from circuitwise.dictionaries.references import PUBLISHED, Reference, parse_reference
from circuitwise.dictionaries.shipped import SHIPPED, shipped_folder
from circuitwise.errors import DictionaryError

WEIGHTS = (".safetensors", ".npz")
"""Files that hold weights."""
ENCODER_SHARE = 8
"""Bytes of a set for each number of its encoders, unless more is known: half are decoders, and a number takes four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSize:
    """How big a set is once it is opened."""

    n_bytes: int
    """Its weights, unpacked."""
    n_encoder: int
    """Numbers in all encoders, about: what a position is multiplied with."""
    mapped: bool
    """Whether its weights stay in their files, so that the system can take their memory back."""
    known: bool = False
    """Whether the table of published sets says it, since neither a copy nor the hub does."""


def dictionary_size(name: str, *, token: str | None = None) -> SetSize:
    """The size of a set under any name that ``load_transcoders`` takes; nothing is downloaded.

    Weights in a few bits count as what they unpack to.
    """
    folder = shipped_folder(name) if name in SHIPPED else Path(name).expanduser()
    if folder.is_dir():
        return _folder_size(name, folder)
    known = known_set(name)
    try:
        n_bytes = _hub_bytes(parse_reference(PUBLISHED[name].reference if name in PUBLISHED else name), token)
        return _size(name, n_bytes, known)
    except DictionaryError:
        if known is None:
            raise
        return SetSize(n_bytes=known.n_bytes, n_encoder=known.n_encoder, mapped=True, known=True)


def _folder_size(name: str, folder: Path) -> SetSize:
    packed = [(file, bits) for index in folder.rglob(INDEX) for file, bits in layer_files(index).items()]
    unpacked = sum(_unpacked_bytes(file, bits) for file, bits in packed if file.is_file())
    found = _size(name, unpacked or _folder_bytes(folder, ""), None)
    return replace(found, mapped=not any(bits for _, bits in packed))


def _size(name: str, n_bytes: int, known: KnownSet | None) -> SetSize:
    if n_bytes == 0:
        raise DictionaryError(
            f"The size of {name} cannot be told: no {' or '.join(WEIGHTS)} file lies there (it may list files of other "
            "repositories). Download it once with load_transcoders and name the folder."
        )
    n_encoder = n_bytes // ENCODER_SHARE if known is None else known.n_encoder
    return SetSize(n_bytes=n_bytes, n_encoder=n_encoder, mapped=True)


def _unpacked_bytes(file: Path, bits: int | None) -> int:
    """What one layer of a set of our own format takes in memory."""
    return file.stat().st_size * (32 if bits else 1) // (bits or 1)


def _hub_bytes(reference: Reference, token: str | None) -> int:
    patterns = [f"{reference.folder or ''}/*{ending}".lstrip("/") for ending in WEIGHTS]
    try:
        files = huggingface_hub.snapshot_download(
            reference.repository, revision=reference.revision, token=token, allow_patterns=patterns, dry_run=True
        )
        return sum(file.file_size or 0 for file in files)
    except OSError as error:
        try:
            local = huggingface_hub.snapshot_download(
                reference.repository, revision=reference.revision, allow_patterns=patterns, local_files_only=True
            )
        except OSError:
            raise DictionaryError(
                f"The size of {reference} cannot be told: it is not in the cache, or only in part, and the hub cannot "
                "be reached or does not show it. Check the name and the network; a gated set needs HF_TOKEN."
            ) from error
        return _folder_bytes(Path(local) / reference.fixed, reference.pattern)


def _folder_bytes(folder: Path, pattern: str) -> int:
    files = [path for path in folder.rglob("*") if path.suffix in WEIGHTS]
    chosen = [path for path in files if fnmatch(path.parent.relative_to(folder).as_posix(), pattern or "*")]
    return sum(path.stat().st_size for path in chosen)
