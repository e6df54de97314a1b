"""``circuitwise demo`` studies two behaviours from prompts to a report, and says when nothing found is a finding."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from transformers import AutoTokenizer

from circuitwise.cli.demo import BEHAVIOURS, NO_FINDINGS
from circuitwise.model.builtin import find_builtin
from circuitwise.study.run import Run
from tests import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that reads real words."""
    folder = tmp_path_factory.mktemp("ein Modell") / "große Mühle"
    packed = find_builtin("smollm2")
    tokenizer = cast("Any", AutoTokenizer).from_pretrained(packed.parent, gguf_file=packed.name)
    tokenizer.save_pretrained(folder)
    tiny.hugging_face_model("llama-grouped-tied", vocab_size=len(tokenizer)).save_pretrained(folder)
    return folder


@pytest.mark.weights
def test_two_behaviours_of_any_model_end_in_a_report_whose_findings_are_the_runs(model: Path, tmp_path: Path):
    folder = tmp_path / "ein Lauf"
    words = ["demo", "--model", str(model), "--output", str(folder)]
    command = [sys.executable, "-m", "circuitwise", *words]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr
    assert NO_FINDINGS in done.stderr
    run, told = Run(folder), done.stdout
    assert run.behaviours == tuple(chosen.suite for chosen in BEHAVIOURS)
    assert all(state.finished for states in run.manifest.behaviours.values() for state in states.values())
    proofs = [run.proof(name) for name in run.behaviours]
    assert all(proof is not None and proof.headline in told for proof in proofs)
    page = folder / "report" / "index.html"
    assert told.rstrip().endswith(f"The report: {page}") and page.is_file()
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, env=alone)
    value = json.loads(again.stdout)
    assert value["remark"] == NO_FINDINGS and value["report"] == str(page)
    assert Run(folder).manifest.made == {}


NOUNS = """
suites = ["grammar"]
stages = ["baseline", "graphs", "circuit", "interventions", "evidence"]
n_prompts = 12
[interventions]
features = 1
supernodes = 0
controls = 1
strengths = [5.0]
steered = 0
"""


@pytest.mark.weights
def test_a_noun_decides_its_verb_through_few_features_of_the_built_in_model(tmp_path: Path):
    """What the demo shows of grammar: with the circuit as on the contrast prompt the answer turns round."""
    (tmp_path / "nouns.toml").write_text(NOUNS, "utf-8")
    command = [sys.executable, "-m", "circuitwise", "study", str(tmp_path / "nouns.toml"), "-o", str(tmp_path / "run")]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    baseline, proof, found = run.baseline("grammar", "test"), run.proof("grammar"), run.interventions("grammar")
    assert baseline is not None and baseline.sign_accuracy.estimate >= 0.8
    assert proof is not None and proof.verdict == "supported", proof
    lost, kept = proof.evidence["necessity"], proof.evidence["sufficiency"]
    assert lost.value.low > 0.8 and lost.null is not None and lost.null.n == 100 and lost.p == pytest.approx(1 / 101)
    assert kept.null is not None and kept.value.estimate > 2 * kept.null.high and kept.p == pytest.approx(1 / 101)
    assert found is not None
    patched = found.find("patching")
    assert patched.moved is not None and patched.moved.low > 0.8 and patched.intervened.high < 0
    assert patched.control is not None and abs(patched.control.estimate) < 0.2 * patched.effect.estimate
