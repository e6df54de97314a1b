"""A tiny study: models of three families, with random dictionaries, on a suite that somebody wrote."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

from circuitwise.model.loading import load_model
from circuitwise.replacement import Replacement
from circuitwise.study.opening import Opened
from circuitwise.study.plan import Plan
from circuitwise.study.planfile import read_plan
from circuitwise.suites import Suite, read_suite
from tests import tiny
from tests.tinytokenizer import tiny_tokenizer

FAMILIES = ("llama-grouped-tied", "qwen3", "gemma2")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def suite_text(n_train: int = 8, n_test: int = 6) -> str:
    """Items whose right answer is ` is` after ` cat` and ` 7` (two tokens) after ` the`; prompts differ in letters."""
    lines = ['name = "tiny"', "[thresholds]", "margin = 0.5", "share = 0.6"]
    for split, n in (("train", n_train), ("test", n_test)):
        for number in range(n // 2):
            letters = " ".join(LETTERS[(number // 26**place + (split == "test")) % 26] for place in (0, 1))
            prefix = f"{split[-1]} {letters}"
            for word, other, right, wrong in (("cat", "the", " is", " 7"), ("the", "cat", " 7", " is")):
                lines += [
                    "[[items]]",
                    f'split = "{split}"',
                    f'group = "{split} {number}"',
                    f'prompt = "{prefix} {word}"',
                    f'contrast_prompt = "{prefix} {other}"',
                    f'correct_answer = "{right}"',
                    f'incorrect_answer = "{wrong}"',
                ]
    return "\n".join(lines) + "\n"


def write_suite_file(folder: Path, n_train: int = 8, n_test: int = 6) -> Path:
    path = folder / "tiny.toml"
    path.write_text(suite_text(n_train, n_test), "utf-8")
    return path


def write_model(folder: Path, family: str = FAMILIES[0]) -> Path:
    tiny.hugging_face_model(family, max_position_embeddings=128).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def write_dictionaries(folder: Path, n_layers: int = 3, n_features: int = 48) -> Path:
    """Random transcoders in the layout of ``mwhanna/qwen3-4b-transcoders``: a config.yaml and a file a layer."""
    folder.mkdir()
    hooks = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "mlp.hook_out"}
    config = {"model_name": "tiny", "model_kind": "transcoder_set", "scan": "tiny", **hooks}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    draws = torch.Generator().manual_seed(3)
    shapes = {"W_enc": (n_features, tiny.WIDTH), "W_dec": (n_features, tiny.WIDTH)}
    shapes |= {"b_enc": (n_features,), "b_dec": (tiny.WIDTH,)}
    for layer in range(n_layers):
        tensors = {name: 0.2 * torch.randn(shape, generator=draws) for name, shape in shapes.items()}
        save_file({name: each.bfloat16() for name, each in tensors.items()}, folder / f"layer_{layer}.safetensors")
    return folder


SMALL = """
transcoders = "random"
suites = ["tiny.toml"]
[graphs]
n_prompts = 4
rows = 24
[features]
top_k = 5
[circuit]
size = 6
frequency = 0.2
[interventions]
features = 2
supernodes = 1
controls = 1
strengths = [1.0, 4.0]
steered = 1
[importance]
draws = 99
candidates = 3
[evidence]
tried = 2
references = 3
"""


def write_plan(folder: Path, family: str = FAMILIES[0], *, n_train: int = 8, n_test: int = 6) -> Path:
    """A plan of a small study with its suite and its model beside it."""
    write_suite_file(folder, n_train, n_test)
    model = write_model(folder / "model", family)
    path = folder / "small.toml"
    path.write_text(f'model = "{model}"\n{SMALL}', "utf-8")
    return path


ALONE = os.environ | {"OMP_NUM_THREADS": "1"}
STUDY = "import sys; from circuitwise.study.study import Study; "
STUDY += "Study.load(sys.argv[1]).run(sys.argv[2], only=sys.argv[3:] or None)"


def study_command(plan: Path, folder: Path, stages: Sequence[str] = ()) -> list[str]:
    return [sys.executable, "-c", STUDY, str(plan), str(folder), *stages]


def carry_out(plan: Path, folder: Path, stages: Sequence[str] = ()) -> None:
    """A study in a process of its own, where no shapes are checked: with all stages that is several times faster."""
    done = subprocess.run(study_command(plan, folder, stages), env=ALONE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def small_plan(folder: Path, family: str = FAMILIES[0]) -> Plan:
    return read_plan(write_plan(folder, family))


def small_suite(folder: Path) -> Suite:
    return read_suite(write_suite_file(folder))


def small_replacement(folder: Path, family: str = FAMILIES[0], kind: str = "relu") -> Replacement:
    model = load_model(str(write_model(folder / f"model {family}", family)), device="cpu")
    return Replacement(model, tiny.tiny_transcoders(model, kind), allow_misfit=True)


def opened(plan: Plan) -> Opened:
    """The plan's own model, with dictionaries that fire more evenly than drawn ones."""
    model = load_model(plan.model, device="cpu")
    return Opened(plan, replacement=Replacement(model, tiny.tiny_transcoders(model), allow_misfit=True))
