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
    ('suites = ["folder"]', 1, "there is no file"),
    ('suites = [""]', 1, "there is no file"),
    ('suites = ["capitals", "capitals"]', 1, "a second suite “capitals”"),
    ('suits = ["capitals"]', 1, "“suits”, which means nothing here"),
    ('suites = ["capitals"]\n"two words" = 1', 2, "“two words”, which means nothing here"),
    ('suites = "capitals"', 1, "a list of texts is expected"),
    ("suites = [1]", 1, "a list of texts is expected"),
    ('suites = ["capitals"]\nmodel = 3', 2, "a text is expected"),
    ('suites = ["capitals"]\nname = 2020-01-01', 2, "of the type date"),
    ('suites = ["capitals"]\nallow_misfit = 1', 2, "true or false is expected"),
    ('suites = ["capitals"]\nstages = ["basline"]', 2, "one of “baseline”"),
    ('suites = ["capitals"]\nstages = []', 2, "a list of one or several"),
    ('suites = ["capitals"]\nlayers = "5-3"', 2, "names no layers"),
    ('suites = ["capitals"]\nlayers = "0-99999999999"', 2, "names no layers"),
    ('suites = ["capitals"]\nlayers = []', 2, "a list of one or several, each a whole number"),
    ('suites = ["capitals"]\nn_prompts = 0', 2, "0 prompts are none"),
    ('suites = ["capitals"]\nn_prompts = -5', 2, "a whole number from 0 to 2^63 or “all” is expected"),
    ('suites = ["capitals"]\nn_prompts = true', 2, "a whole number from 0"),
    ('suites = ["capitals"]\n[seeds]\ntorch = -1', 3, "a whole number from 0"),
    ('suites = ["capitals"]\n[seeds]\ntorch = 99999999999999999999', 3, "a whole number from 0"),
    ('suites = ["capitals"]\n[seeds]\nprompts = "x"', 3, "a whole number from 0"),
    ('suites = ["capitals"]\nseeds = 3', 2, "“seeds”, which means nothing here"),
    ('suites = ["capitals"]\n[graph]\nrows = 3', 2, "the table [graph]"),
    ('suites = ["capitals"]\n[graphs]\nrows = 0.5', 3, "a whole number from 0"),
    ('suites = ["capitals"]\n[graphs]\nrows = 0', 3, "show nothing"),
    ('suites = ["capitals"]\n\n[graphs.rows]\nx = 1', 3, "a whole number from 0"),
    ('suites = ["capitals"]\n[features]\npositions = "first"', 3, "one of “last 5”, “all” is expected"),
    ('suites = ["capitals"]\n[circuit]\nedge = 0.1\nfrequency = 2', 4, "is no share of prompts"),
    ('suites = ["capitals"]\n[circuit]\nactivation = nan', 3, "is nan"),
    ('suites = ["capitals"]\n[evidence]\ncontrols = 5', 3, "100 random circuits"),
    ('suites = ["capitals"]\n[evidence]\nseed = 5', 3, "“seed”, which means nothing here"),
    ('suites = ["capitals"]\n[interventions]\nstrengths = [1, "x"]', 3, "each a number, is expected"),
    ('[[suite]]\nsuite = "capitals"\nn_test = 0', 3, "0 prompts cannot be taken"),
    ('[[suite]]\nsuite = "capitals"\nn_train = 3', 3, "since they come in pairs"),
    ('[[suite]]\nsuite = "capitals"\nn_test = 2\nshare = 3', 4, "share = 3.0"),
    ('name = "x"', 1, "has no suite"),
    ("", 1, "has no suite"),
    ("[[suite]]\nmargin = 2", 1, "has no text “suite”"),
    ('suites = ["capitals"]\nname = "a/b"', 2, "Use letters"),
    ('suites = ["capitals"]\nname = ".."', 2, "Use letters"),
    ('suites = ["capitals"]\nmodel = "x', 2, "is not valid TOML"),
    ('suites = ["capitals"]\nmodel = "x"\n\nmodel = "y"\n', 4, "is not valid TOML: Cannot overwrite a value. Mend"),
    ('suites = ["capitals"]\nx = ' + "[" * 3000 + "]" * 3000, 2, "is nested too deep"),
]


@pytest.mark.parametrize(("text", "line", "about"), FAULTS)
def test_a_fault_is_one_sentence_with_file_and_line(text: str, line: int, about: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = written(tmp_path, text)
    with pytest.raises(PromptError) as caught:
        read_plan(path)
    assert str(caught.value).startswith(f"Line {line} of {path} ") and about in str(caught.value)


def test_faults_of_a_suite_are_told_before_anything_is_opened(tmp_path: Path) -> None:
    suite = write_suite_file(tmp_path)
    suite.write_text(suite.read_text("utf-8").replace('split = "test"', 'split = "dev"', 1), "utf-8")
    with pytest.raises(PromptError, match=r"Line \d+ of .*tiny\.toml has the split 'dev'"):
        read_plan(written(tmp_path, 'suites = ["tiny.toml"]'))


def test_two_suites_of_one_name_are_told_apart_by_their_line(tmp_path: Path) -> None:
    copy = write_suite_file(tmp_path).read_text("utf-8")
    (tmp_path / "second.toml").write_text(copy, "utf-8")
    with pytest.raises(PromptError, match=r"Line 3 of .* names a second suite “tiny”"):
        read_plan(written(tmp_path, 'suites = ["tiny.toml"]\n[[suite]]\nsuite = "second.toml"'))


def test_a_study_is_named_for_its_file_whatever_that_is_called(tmp_path: Path) -> None:
    path = tmp_path / "meine größte Studie, v1.2.toml"
    path.write_bytes(b'\xef\xbb\xbfsuites = ["capitals"]\r\n[graphs]\r\nrows = 3\r\n')
    plan = read_plan(path)
    assert (plan.name, plan.graphs.rows) == ("meine-größte-Studie-v1.2", 3)


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
