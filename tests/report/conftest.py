"""A small study of a planted circuit, run once: one prompt is nasty, one cannot be read by the model."""

from pathlib import Path

import pytest
import torch

from circuitwise.features import Examples, Survey, survey
from circuitwise.planted import Planted, PlantedPair, plant_agreement
from circuitwise.report.write import write_report
from circuitwise.study.opening import Opened
from circuitwise.study.planfile import read_plan
from circuitwise.study.run import Run
from circuitwise.study.study import Study

NASTY = "</script><script>document.title='broken'</script>|*`&\"'"
"""A word that would be markup, were it let."""
TOO_LONG = " ".join(["The", "key", *["to"] * 20])
PLAN = """
name = "tiny"
model = "planted"
transcoders = "planted"
suites = ["agreement.toml"]
[graphs]
n_prompts = 5
[circuit]
size = 8
[interventions]
features = 4
supernodes = 0
controls = 1
strengths = [1.0, 4.0]
steered = 1
[importance]
draws = 99
candidates = 3
[evidence]
tried = 1
references = 2
"""


@pytest.fixture(scope="session")
def planted() -> Planted:
    return plant_agreement()


@pytest.fixture(scope="session")
def run(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("study")
    (folder / "agreement.toml").write_text(_suite(planted), "utf-8")
    (folder / "plan.toml").write_text(PLAN, "utf-8")
    plan = read_plan(folder / "plan.toml")
    return Study(plan).run(folder / "run", opened=Opened(plan, replacement=planted.replacement))


@pytest.fixture(scope="session")
def labelled(planted: Planted) -> Survey:
    model = planted.replacement.model
    sequences = torch.randint(2, model.d_vocab, (40, 12), generator=torch.Generator().manual_seed(0))
    how = Examples(strongest=3, sampled=5, before=3, after=2, tokens=3)
    return survey(planted.replacement, sequences, how, precision="float32")


@pytest.fixture(scope="session")
def report(run: Run, labelled: Survey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(run, folder=tmp_path_factory.mktemp("report"), survey=labelled)


def _suite(planted: Planted) -> str:
    lines = ['name = "agreement"', 'description = "The verb has the number of its subject."']
    some = {"train": planted.train[:4], "test": planted.held_out[:9:3]}
    for split, pairs in some.items():
        for number, pair in enumerate(pairs):
            lines += _items(split, pair, prefix=f"{NASTY} " if number == 0 else "")
    lines += ["[[items]]", 'split = "train"', 'group = "long"', f'prompt = "{TOO_LONG}"']
    return "\n".join([*lines, 'correct_answer = " is"', 'incorrect_answer = " are"']) + "\n"


def _items(split: str, pair: PlantedPair, prefix: str) -> list[str]:
    lines: list[str] = []
    for prompt, other in ((pair.clean, pair.corrupted), (pair.corrupted, pair.clean)):
        lines += ["[[items]]", f'split = "{split}"', f'group = "{pair.cluster}"']
        lines += [f"prompt = '''{prefix}{prompt.text}'''", f"contrast_prompt = '''{prefix}{other.text}'''"]
        lines += [f'correct_answer = " {prompt.answer.correct}"', f'incorrect_answer = " {prompt.answer.incorrect}"']
    return lines
