"""Opening weight files: every byte is checked once as it streams past, then the tensors are memory-mapped.

The check reads in chunks through one small buffer, so that a set larger than memory can be opened: it finds truncated
files, NaN and infinite weights, and yields the SHA-256. What is handed out afterwards are lazy views of the file:
safetensors as the library maps them, npz members that are stored uncompressed through a copy-on-write ``numpy.memmap``.
Nothing is unpickled.
"""

import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict, cast, runtime_checkable

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from circuitwise.errors import ArtifactError, DictionaryError
from circuitwise.storage import sha256_of_file

CHUNK_BYTES = 1 << 24
"""How much of a file is held while it is checked."""

_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_NUMPY_FLOATS = {"<f8": torch.float64, "<f4": torch.float32, "<f2": torch.float16}
_LOCAL_HEADER = struct.Struct("<26xHH")


@runtime_checkable
class _Readable(Protocol):
    def read(self, n: int = -1, /) -> bytes: ...


class _Entry(TypedDict):
    dtype: str
    data_offsets: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TensorFile:
    """The checked, memory-mapped tensors of one file."""

    path: Path
    """The file."""
    tensors: Mapping[str, Tensor]
    """Its tensors by name, as lazy views."""
    checksum: str
    """Its SHA-256."""

    def only(self, known: Collection[str]) -> None:
        """Refuse tensors that the reader does not know: leaving them out would silently change the numbers."""
        unknown = sorted(set(self.tensors) - set(known))
        if unknown:
            raise DictionaryError(
                f"{self.path} holds tensors that this format does not know: {unknown}. "
                f"Known are {sorted(known)}. It was written by another tool or for another architecture."
            )

    def take(
        self, name: str, shape: Sequence[int | None], dtypes: Collection[torch.dtype] = tuple(_FLOATS.values())
    ) -> Tensor:
        """A tensor of this shape (None: any length), of floating point unless other types are named."""
        tensor = self.tensors.get(name)
        if tensor is None:
            raise DictionaryError(
                f"{self.path} has no tensor “{name}”. It holds {sorted(self.tensors)}. "
                f"Check that the file belongs to this set and was written completely."
            )
        found = tuple(tensor.shape)
        fits = len(found) == len(shape) and all(n in (None, m) for n, m in zip(shape, found, strict=True))
        if not fits:
            expected = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
            raise DictionaryError(
                f"The tensor “{name}” of {self.path} has shape {found}, but {expected} was expected. "
                f"Check that all files of the set come from the same training run."
            )
        if tensor.dtype not in dtypes:
            known = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            raise DictionaryError(
                f"The tensor “{name}” of {self.path} has dtype {tensor.dtype}, but it must be {known}. Convert the "
                "file first."
            )
        return tensor

    def optional(self, name: str, shape: Sequence[int | None]) -> Tensor | None:
        """The same, or None where the file has no such tensor."""
        return self.take(name, shape) if name in self.tensors else None


def open_tensors(path: Path) -> TensorFile:
    """The tensors of a .safetensors or .npz file."""
    opener = OPENERS.get(path.suffix)
    if opener is None:
        raise DictionaryError(f"{path} is not a weight file that can be read: expected {' or '.join(OPENERS)}.")
    if not path.is_file():
        raise DictionaryError(f"{path} does not exist, but its set calls for it. Download or copy the set again.")
    return opener(path)


def open_safetensors(path: Path) -> TensorFile:
    """The tensors of a safetensors file."""
    try:
        tensors = safetensors.torch.load_file(path)
        checksum = _check_safetensors(path)
    except (SafetensorError, EOFError) as error:
        raise _damaged(path, "safetensors", error) from error
    return TensorFile(path=path, tensors=tensors, checksum=checksum)


def open_npz(path: Path) -> TensorFile:
    """The tensors of a numpy archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            tensors = {
                member.filename.removesuffix(".npy"): _open_member(path, archive, member)
                for member in archive.infolist()
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise _damaged(path, "npz", error) from error
    return TensorFile(path=path, tensors=tensors, checksum=sha256_of_file(path))


OPENERS: dict[str, Callable[[Path], TensorFile]] = {".safetensors": open_safetensors, ".npz": open_npz}
"""One opener for each file suffix."""


def _damaged(path: Path, format: str, error: Exception | str) -> ArtifactError:
    return ArtifactError(
        f"{path} is not a whole {format} file ({error}). It is truncated or damaged; download or copy it again."
    )


def _check_safetensors(path: Path) -> str:
    """Read the file once: its SHA-256, after every float in it proved finite. The layout is known to be valid."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        length = file.read(8)
        header = file.read(int.from_bytes(length, "little"))
        digest.update(length + header)
        entries = cast(dict[str, _Entry], json.loads(header))
        entries.pop("__metadata__", None)
        for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
            start, end = entry["data_offsets"]
            if not _scan(file, end - start, _FLOATS.get(entry["dtype"]), digest.update):
                raise _not_finite(path, name)
    return digest.hexdigest()


def _open_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Tensor:
    """One array of an npz: mapped where it is stored, loaded where it is compressed."""
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as stream:
        shape, fortran_order, dtype = _read_array_header(stream)
        torch_dtype = _NUMPY_FLOATS.get(dtype.str)
        if torch_dtype is None:
            raise DictionaryError(
                f"The array “{name}” of {path} has dtype {dtype}, but weights must be float64, float32 or float16. "
                f"Convert the file first."
            )
        start = stream.tell()
        n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if not _scan(stream, n_bytes, torch_dtype):
            raise _not_finite(path, name)
        if stream.read(1):  # reading to the end also compares the checksum of the archive
            raise _damaged(path, "npz", f"{member.filename} is longer than its header says")
    if member.compress_type != zipfile.ZIP_STORED or n_bytes == 0:
        with np.load(path, allow_pickle=False) as arrays:
            return torch.from_numpy(arrays[name])
    offset = _start_of_member(path, member) + start
    return torch.from_numpy(
        np.memmap(path, dtype=dtype, mode="c", offset=offset, shape=shape, order="F" if fortran_order else "C")
    )


def _read_array_header(stream: _Readable) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"unknown npy version {version}")


def _start_of_member(path: Path, member: zipfile.ZipInfo) -> int:
    with path.open("rb") as file:
        file.seek(member.header_offset)
        n_name, n_extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return member.header_offset + _LOCAL_HEADER.size + n_name + n_extra


def _scan(
    stream: _Readable,
    n_bytes: int,
    dtype: torch.dtype | None,
    on_bytes: Callable[[bytes | memoryview], None] = lambda _: None,
) -> bool:
    """Read n_bytes chunk by chunk and hand them on; whether all of them are finite (integers always are)."""
    finite = True
    for start in range(0, n_bytes, CHUNK_BYTES):
        chunk = bytearray(stream.read(min(CHUNK_BYTES, n_bytes - start)))
        if len(chunk) < min(CHUNK_BYTES, n_bytes - start):
            raise EOFError("it ends early")
        on_bytes(memoryview(chunk))
        if dtype is not None:
            low, high = torch.aminmax(torch.frombuffer(chunk, dtype=dtype))  # both are NaN if anything is
            finite = finite and bool(low.isfinite() and high.isfinite())
    return finite


def _not_finite(path: Path, name: str) -> DictionaryError:
    return DictionaryError(
        f"The tensor “{name}” of {path} holds NaN or infinite weights, so every number computed from it would be "
        f"worthless. The training run diverged or the file is damaged; use another checkpoint."
    )
