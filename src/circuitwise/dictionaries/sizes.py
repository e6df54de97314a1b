"""How big a set of dictionaries is, without downloading it."""

from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub

from circuitwise.dictionaries.native import INDEX, layer_files
from circuitwise.dictionaries.references import PUBLISHED, Reference, parse_reference
from circuitwise.dictionaries.shipped import SHIPPED, shipped_folder
from circuitwise.errors import DictionaryError

WEIGHTS = (".safetensors", ".npz")
"""Files that hold weights."""


def dictionary_bytes(name: str, *, token: str | None = None) -> int:
    """The size of the weights of a set under any name that ``load_transcoders`` takes; nothing is downloaded.

    Weights in a few bits count as what they unpack to.
    """
    folder = shipped_folder(name) if name in SHIPPED else Path(name).expanduser()
    if folder.is_dir():
        n_bytes = sum(_unpacked_bytes(index) for index in folder.rglob(INDEX)) or _folder_bytes(folder, "")
    else:
        n_bytes = _hub_bytes(parse_reference(PUBLISHED[name].reference if name in PUBLISHED else name), token)
    if n_bytes == 0:
        raise DictionaryError(
            f"The size of {name} cannot be told: no {' or '.join(WEIGHTS)} file lies there (it may list files of other "
            "repositories). Download it once with load_transcoders and name the folder."
        )
    return n_bytes


def _unpacked_bytes(index: Path) -> int:
    """What the layers of a set of our own format take in memory."""
    files = layer_files(index).items()
    return sum(file.stat().st_size * (32 if bits else 1) // (bits or 1) for file, bits in files if file.is_file())


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
