"""How a published set is named: ``org/repo//sub@revision``, or a short name from the table below.

``sub`` is the folder inside the repository; it may hold shell wildcards where a repository keeps several dictionaries a
layer (``org/repo//transcoder_all/layer_*_width_16k_l0_small``). ``revision`` is a branch, tag or commit.
"""

import re
from dataclasses import dataclass

from circuitwise.dictionaries.dictionary import Kind
from circuitwise.dictionaries.shipped import SHIPPED
from circuitwise.errors import DictionaryError

_PATTERN = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?://(?P<folder>[^@]*[^@/]))?(?:@(?P<revision>[^\s@]+))?"
)
_HF_URI = re.compile(
    r"hf://(?P<repository>[^/?]+/[^/?]+)/(?P<folder>[^?]+)(?:\?(?:.*&)?revision=(?P<revision>[^&]+).*|\?.*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A place in a repository of the hub."""

    repository: str
    """Organisation and repository."""
    folder: str | None = None
    """The folder or file inside it; None: its root."""
    revision: str | None = None
    """Branch, tag or commit; None: the main branch."""

    def __str__(self) -> str:
        folder = "" if self.folder is None else f"//{self.folder}"
        return self.repository + folder + ("" if self.revision is None else f"@{self.revision}")

    @property
    def fixed(self) -> str:
        """The folder up to its first wildcard."""
        parts = [] if self.folder is None else self.folder.split("/")
        n_fixed = next((i for i, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts))
        return "/".join(parts[:n_fixed])

    @property
    def pattern(self) -> str:
        """What follows: which sub-folders count."""
        return "" if self.folder is None else self.folder[len(self.fixed) :].lstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A set that somebody published."""

    reference: str
    """Where it lies."""
    model: str
    """The model that it was trained on."""
    kind: Kind
    """What its dictionaries are."""
    format: str
    """How it is stored."""


def parse_reference(text: str) -> Reference:
    """The place that ``org/repo//sub@revision`` names."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise DictionaryError(
            f"“{text}” is neither a folder on this machine, nor a short name, nor a reference. Write a reference as "
            "org/repo, org/repo//folder or org/repo//folder@revision. Short names are "
            f"{', '.join([*SHIPPED, *PUBLISHED])}."
        )
    return Reference(repository=match["repository"], folder=match["folder"], revision=match["revision"])


def parse_file_uri(uri: str) -> Reference:
    """The file that ``hf://org/repo/path?revision=`` names, as circuit-tracer lists it."""
    match = _HF_URI.fullmatch(uri)
    if match is None:
        raise DictionaryError(f"“{uri}” is not the address of a file. Expected hf://org/repo/path?revision=main.")
    return Reference(repository=match["repository"], folder=match["folder"], revision=match["revision"])


def _tracer(reference: str, model: str, kind: Kind = "transcoder") -> Published:
    return Published(reference=reference, model=model, kind=kind, format="circuit-tracer")


def _scope_2(
    size: str, kind: Kind = "skip transcoder", folder: str = "transcoder_all/width_16k_l0_small_affine"
) -> Published:
    return _tracer(f"mwhanna/gemma-scope-2-{size}//{folder}", f"google/gemma-3-{size}", kind)


PUBLISHED: dict[str, Published] = {
    "gemma": _tracer("mwhanna/gemma-scope-transcoders", "google/gemma-2-2b"),
    "gemma-clt": _tracer("mntss/clt-gemma-2-2b-426k", "google/gemma-2-2b", "cross-layer transcoder"),
    "gemma-clt-2.5m": _tracer("mntss/clt-gemma-2-2b-2.5M", "google/gemma-2-2b", "cross-layer transcoder"),
    "llama": _tracer("mntss/transcoder-Llama-3.2-1B", "meta-llama/Llama-3.2-1B", "skip transcoder"),
    "llama-clt": _tracer("mntss/clt-llama-3.2-1b-524k", "meta-llama/Llama-3.2-1B", "cross-layer transcoder"),
    "llama-8b-topk": _tracer("facebook/crv-8b-instruct-transcoders", "meta-llama/Llama-3.1-8B-Instruct"),
    "qwen3-0.6b": _tracer("mwhanna/qwen3-0.6b-transcoders-lowl0", "Qwen/Qwen3-0.6B"),
    "qwen3-1.7b": _tracer("mwhanna/qwen3-1.7b-transcoders-lowl0", "Qwen/Qwen3-1.7B"),
    "qwen3-4b": _tracer("mwhanna/qwen3-4b-transcoders", "Qwen/Qwen3-4B"),
    "qwen3-8b": _tracer("mwhanna/qwen3-8b-transcoders", "Qwen/Qwen3-8B"),
    "qwen3-14b": _tracer("mwhanna/qwen3-14b-transcoders-lowl0", "Qwen/Qwen3-14B"),
    "gpt-oss-clt": _tracer("mntss/clt-131k", "openai/gpt-oss-20b", "cross-layer transcoder"),
    "gemma-3-270m": _scope_2("270m-pt"),
    "gemma-3-270m-it": _scope_2("270m-it"),
    "gemma-3-1b": _scope_2("1b-pt"),
    "gemma-3-1b-it": _scope_2("1b-it"),
    "gemma-3-4b": _scope_2("4b-pt"),
    "gemma-3-4b-it": _scope_2("4b-it"),
    "gemma-3-12b": _scope_2("12b-pt"),
    "gemma-3-12b-it": _scope_2("12b-it"),
    "gemma-3-27b": _scope_2("27b-pt"),
    "gemma-3-27b-it": _scope_2("27b-it"),
    "gemma-3-270m-clt": _scope_2("270m-pt", "cross-layer transcoder", "clt/width_262k_l0_medium_affine"),
    "gemma-3-1b-clt": _scope_2("1b-pt", "cross-layer transcoder", "clt/width_262k_l0_medium_affine"),
}
"""The published sets that can be opened, by short name."""
