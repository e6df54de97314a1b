"""Sets that come as ordinary Python packages, found without running anything of theirs.

``smollm2`` is a set for the built-in model of the same name. Its package lies in this project's repository, holds no
code, and is installed with the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from circuitwise.dictionaries.dictionary import Kind
from circuitwise.errors import DictionaryError

TRANSCODERS = "transcoders"
"""The folder of the set inside its package; what else is known of the set lies beside it."""
SURVEY = "survey"
"""The folder of its survey there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """One set that an installed package carries."""

    title: str
    """What it is, as every claim about it should say."""
    model: str
    """The short name of the model that it was trained on."""
    kind: Kind
    """What its dictionaries are."""
    package: str
    """The package that holds it."""
    install: str
    """What installs it, in the project's folder."""


SHIPPED: Mapping[str, Shipped] = {
    "smollm2": Shipped(
        title="2,048 features a layer for SmolLM2-135M Q4_1",
        model="smollm2",
        kind="transcoder",
        package="circuitwise_smollm2",
        install="python -m pip install ./packages/circuitwise-smollm2",
    ),
}
"""The shipped sets by short name."""


def shipped_folder(name: str) -> Path:
    """The installed package behind a short name: the set in ``transcoders``, the story of its training, its survey."""
    wanted = SHIPPED[name]
    spec = find_spec(wanted.package)  # looks the package up without importing it
    for folder in [] if spec is None else spec.submodule_search_locations or []:
        if (Path(folder) / TRANSCODERS).is_dir():
            return Path(folder)
    raise DictionaryError(
        f"The dictionaries “{name}” ({wanted.title}) are not installed: run `{wanted.install}` in circuitwise's folder."
    )


def shipped_survey(name: str) -> Path | None:
    """What is known of the features of a shipped set, if it came along; None for other sets."""
    if name not in SHIPPED:
        return None
    folder = shipped_folder(name) / SURVEY
    return folder if folder.is_dir() else None


def shipped_for(model: str) -> str | None:
    """The short name of the set that is shipped for a model, if there is one."""
    return next((name for name, shipped in SHIPPED.items() if shipped.model == model), None)
