"""Results that are computed once: each lies in a file that is named for what it was made of.

    .store/<kind>/<key><suffix>        key = SHA-256 of the kind and of everything that the result depends on

A result is there whole or not at all, so a study that was killed goes on with what is there and comes to the same
files. A result that would come out otherwise has another name; nothing is ever overwritten.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock, Timeout
from torch import Tensor

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.graph import Graph, load_graph, save_graph
from circuitwise.storage import Json, atomic_path, read_artifact, write_artifact, write_json
from circuitwise.storage.checksum import sha256_of_text
from circuitwise.storage.jsontext import canonical_json, parse_json
from circuitwise.study.clock import Clock

FOLDER, LOCK = ".store", ".lock"
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[Value]):
    """How results of a sort lie in files."""

    suffix: str
    """The end of the file's name."""
    write: Callable[[Value, Path], object]
    """Writes one, all or nothing."""
    read: Callable[[Path], Value]
    """Reads it back."""


def _read_json(path: Path) -> Json:
    return parse_json(path.read_bytes(), what=str(path))


def _write_json(value: Json, path: Path) -> None:
    write_json(path, value)


def _write_tensors(value: Mapping[str, Tensor], path: Path) -> None:
    write_artifact(path, kind="tensors", version=1, header={}, tensors=value)


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    return read_artifact(path, kind="tensors", version=1).tensors


JSON: Form[Json] = Form(suffix=".json", write=_write_json, read=_read_json)
TENSORS: Form[Mapping[str, Tensor]] = Form(suffix=".safetensors", write=_write_tensors, read=_read_tensors)
GRAPH: Form[Graph] = Form(suffix=".graph", write=save_graph, read=load_graph)


class Store:
    """The results in one folder, and how many were made since it was opened."""

    def __init__(self, run: Path, clock: Clock) -> None:
        """What lies in a run's folder; the clock is told of all that is made."""
        self.folder, self.clock = make_folder(run / FOLDER), clock  # from now on the folder is known as a run's
        self.made = Counter[str]()

    def path(self, kind: str, of: Json, suffix: str) -> Path:
        """Where a result is or will be."""
        return make_folder(self.folder / kind) / f"{key_of(kind, of)}{suffix}"

    def keep(self, kind: str, of: Json, make: Callable[[], Value], form: Form[Value], *, n: int = 1) -> Value:
        """The result for these inputs, about so many prompts: read if it is there, else made and written."""
        path = self.path(kind, of, form.suffix)
        if path.is_file():
            self.clock.forgo(kind, n)
            return _read(path, form)
        with self.clock.measuring(kind, n):
            value = make()
            form.write(value, path)
        self.made[kind] += 1
        return value

    def json(self, kind: str, of: Json, make: Callable[[], Json], *, n: int = 1) -> Any:
        """The same as JSON; what comes back is what was read or would be."""
        return self.keep(kind, of, make, JSON, n=n)


def _read(path: Path, form: Form[Value]) -> Value:
    try:
        return form.read(path)
    except ArtifactError as error:
        raise ArtifactError(f"{error} Delete it and give the same command again: it is made anew.") from error


def key_of(kind: str, of: Json) -> str:
    """The name of a result."""
    return sha256_of_text(canonical_json([kind, of], what=f"What {kind} depends on"))


def copy_file(path: Path, to: Path) -> None:
    """The same file under another name: one more name for it where the disk allows that, else a copy."""
    with atomic_path(to) as partial:
        partial.unlink()
        try:
            os.link(path, partial)
        except OSError:
            shutil.copyfile(path, partial)


def make_folder(path: Path) -> Path:
    """The folder, made if need be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"The folder {path} cannot be made ({error.strerror}). Choose another one.") from error
    return path


@contextmanager
def only_writer(run: Path) -> Generator[None]:
    """Nobody else writes into the folder while the block runs.

    A process that was killed leaves nothing locked; the halves of files that it left are removed.
    """
    lock = FileLock(run / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RequestError(
            f"Another process is working in {run}. Wait until it has finished, or choose another folder (--output)."
        ) from None
    except OSError as error:
        raise ArtifactError(
            f"Nothing can be written into the folder {run} ({error.strerror}). Choose another one (--output)."
        ) from error
    try:
        for half in list(run.rglob(".circuitwise-*.partial")):
            half.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
