"""Plans say what a study does; each fault in one is a sentence with the file and the line."""

from pathlib import Path

import pytest

from circuitwise.errors import PromptError, RequestError
from circuitwise.study.plan import Chosen, FeatureChoice, GraphChoice, Plan, Seeds
from circuitwise.study.planfile import is_suite_file, parse_layers, plan_text, read_plan, reread_plan
from circuitwise.suites import Thresholds
from tests.study.material import write_suite_file

FULL = """
name = "zwei"
model = "smollm2"
transcoders = "random"
layers = "3-5,9"
suites = ["capitals"]
stages = ["baseline", "graphs"]
n_prompts = 7

[seeds]
prompts = 1
interventions = 2

[graphs]
n_prompts = "all"
rows = 100

[features]
positions = "all"
full = true

[[suite]]
suite = "tiny.toml"
margin = 1
n_test = 4
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_plan_is_what_its_file_says(tmp_path: Path) -> None:
    write_suite_file(tmp_path)
    plan = read_plan(written(tmp_path, FULL))
    assert plan == Plan(
        name="zwei",
        transcoders="random",
        layers=(3, 4, 5, 9),
        suites=(Chosen(suite="capitals"), Chosen(suite="tiny.toml", margin=1.0, n_test=4)),
        stages=("baseline", "graphs"),
        n_prompts=7,
        seeds=Seeds(prompts=1, interventions=2),
        graphs=GraphChoice(n_prompts=None, rows=100),
        features=FeatureChoice(positions="all", full=True),
    )
    assert plan.root == tmp_path


def test_a_plan_reads_back_as_it_was_written(tmp_path: Path) -> None:
    write_suite_file(tmp_path)
    plan = read_plan(written(tmp_path, FULL))
    again = tmp_path / "elsewhere"
    again.mkdir()
    assert reread_plan(written(again, plan_text(plan))) == plan
    assert plan_text(reread_plan(again / "plan.toml")) == plan_text(plan)


def test_seeds_govern_what_they_say(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, 'suites = ["capitals"]\n[seeds]\ninterventions = 7\ntorch = 8\n'))
    assert (plan.interventions.seed, plan.importance.seed, plan.evidence.seed) == (7, 7, 7)
    assert plan.evidence.bootstrap.seed == 8


def test_the_defaults_are_those_of_s4(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, 'suites = ["capitals"]\n'))
    assert (plan.name, plan.seeds, plan.layers) == ("plan", Seeds(prompts=42, interventions=456, torch=789), None)
    circuit = plan.circuit
    assert (circuit.edge, circuit.top_edges, circuit.frequency, circuit.activation) == (0.01, 10, 0.2, 0.1)
    assert (plan.graphs.n_prompts, plan.features.top_k, plan.features.positions) == (20, 50, "last 5")
    assert Chosen(suite="x", share=0.5).thresholds(Thresholds(margin=1.5, share=0.75)) == Thresholds(
        margin=1.5, share=0.5
    )


FAULTS = [
    ('suites = ["gone.jsonl"]', 1, "there is no file"),
    ('suites = ["capitals"]\n\n[[suite]]\nsuite = "gone.toml"', 4, "there is no file"),
    ('suits = ["capitals"]', 1, "“suits”, which means nothing here"),
    ('suites = "capitals"', 1, "a list of texts is expected"),
    ('suites = ["capitals"]\nmodel = 3', 2, "a text is expected"),
    ('suites = ["capitals"]\nallow_misfit = 1', 2, "true or false is expected"),
    ('suites = ["capitals"]\nstages = ["basline"]', 2, "one of “baseline”"),
    ('suites = ["capitals"]\nlayers = "5-3"', 2, "names no layers"),
    ('suites = ["capitals"]\nn_prompts = 0', 1, "0 prompts are none"),
    ('suites = ["capitals"]\n[graph]\nrows = 3', 2, "the table [graph]"),
    ('suites = ["capitals"]\n[graphs]\nrows = 0.5', 3, "a whole number is expected"),
    ('suites = ["capitals"]\n[graphs]\nrows = 0', 2, "show nothing"),
    ('suites = ["capitals"]\n[features]\npositions = "first"', 3, "one of “last 5”, “all” is expected"),
    ('suites = ["capitals"]\n[circuit]\nfrequency = 2', 2, "is no share of prompts"),
    ('suites = ["capitals"]\n[evidence]\ncontrols = 5', 2, "100 random circuits"),
    ('suites = ["capitals"]\n[evidence]\nseed = 5', 3, "“seed”, which means nothing here"),
    ('suites = ["capitals"]\n[interventions]\nstrengths = [1, "x"]', 3, "a list, each of them a number"),
    ('name = "x"', 1, "has no suite"),
    ("[[suite]]\nmargin = 2", 1, "has no text “suite”"),
    ('name = "a/b"\nsuites = ["capitals"]', 1, "Use letters"),
    ('suites = ["capitals"]\nmodel = "x', 2, "is not valid TOML"),
]


@pytest.mark.parametrize(("text", "line", "about"), FAULTS)
def test_a_fault_is_one_sentence_with_file_and_line(text: str, line: int, about: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PromptError) as caught:
        read_plan(path)
    assert str(caught.value).startswith(f"Line {line} of {path} ") and about in str(caught.value)


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"gone\.toml cannot be read"):
        read_plan(tmp_path / "gone.toml")


def test_layers_are_numbers_and_ranges() -> None:
    assert parse_layers("0,3, 5-7,6") == (0, 3, 5, 6, 7)
    for text in ("", "a", "3-", "7-5"):
        with pytest.raises(RequestError, match="names no layers"):
            parse_layers(text)


def test_a_file_of_prompts_is_no_plan(tmp_path: Path) -> None:
    assert is_suite_file(write_suite_file(tmp_path))
    assert not is_suite_file(written(tmp_path, FULL))
