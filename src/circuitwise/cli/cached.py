"""What is on this machine already: repositories in the hub's cache, and models unpacked by circuitwise."""

from dataclasses import dataclass
from fnmatch import fnmatch

from huggingface_hub import CachedRepoInfo, constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from circuitwise.dictionaries.loading import READERS
from circuitwise.dictionaries.references import PUBLISHED, parse_reference
from circuitwise.dictionaries.shipped import shipped_folder
from circuitwise.errors import CircuitwiseError, RequestError
from circuitwise.model.builtin import SHORT_NAMES, find_builtin
from circuitwise.model.shape import unpacked_files

MODEL_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""Files that make a repository a model, beside its config.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """One repository in the hub's cache."""

    name: str
    """Organisation and repository."""
    n_bytes: int
    """What it takes on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """What the hub's cache holds that circuitwise can open."""

    models: tuple[Cached, ...]
    """Models."""
    sets: tuple[Cached, ...]
    """Sets of dictionaries."""

    def holds(self, short_name: str) -> bool:
        """Whether a published set is here, as a whole or in part."""
        return parse_reference(PUBLISHED[short_name].reference).repository in {each.name for each in self.sets}


def scan_cache() -> Cache:
    """What the hub's cache holds now."""
    try:
        found = sorted(scan_cache_dir(constants.HF_HUB_CACHE).repos, key=lambda repository: repository.repo_id)
    except (CacheNotFound, ValueError):  # there is none, or a file is in its place
        found = []
    except OSError as error:
        raise RequestError(
            f"The hub's cache {constants.HF_HUB_CACHE} cannot be read ({error.strerror}). Make it readable, or set "
            "HF_HOME to another folder."
        ) from error
    kinds = {repository: _kind(repository) for repository in found if repository.repo_type == "model"}
    here = {
        kind: tuple(_cached(repository) for repository, its_kind in kinds.items() if its_kind == kind)
        for kind in ("model", "set")
    }
    return Cache(models=here["model"], sets=here["set"])


def _cached(repository: CachedRepoInfo) -> Cached:
    return Cached(name=repository.repo_id, n_bytes=repository.size_on_disk)


def _kind(repository: CachedRepoInfo) -> str:
    names = {file.file_name for revision in repository.revisions for file in revision.files}
    published = {parse_reference(each.reference).repository for each in PUBLISHED.values()}
    if repository.repo_id in published:
        return "set"
    if "config.json" in names and _any_matches(names, MODEL_WEIGHTS):
        return "model"
    return "set" if _any_matches(names, [reader.marker for reader in READERS.values()]) else "other"


def _any_matches(names: set[str], patterns: tuple[str, ...] | list[str]) -> bool:
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def builtin_state(short_name: str) -> str:
    """How far a model that an installed package carries is ready."""
    try:
        find_builtin(short_name)
    except CircuitwiseError:
        return "not installed"
    ready = SHORT_NAMES[short_name].file in unpacked_files()
    return "ready" if ready else "installed, unpacked on first use"


def shipped_state(short_name: str) -> str:
    """Whether a set that an installed package carries is here."""
    try:
        shipped_folder(short_name)
    except CircuitwiseError:
        return "not installed"
    return "ready"
