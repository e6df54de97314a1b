"""The page and the Markdown say what the run says, and no text becomes markup."""

import json
import re
from pathlib import Path

from circuitwise.report.page import MOST_PROMPTS
from circuitwise.study.run import Run
from tests.report.conftest import NASTY, TOO_LONG


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", html)


def test_the_page_needs_nothing_from_elsewhere(report: Path):
    text = report.read_text("utf-8")
    links = set(re.findall(r'(?:src|href)="([^"]*)"', text))
    assert {link for link in links if not link.startswith(("#", "data:"))} == set()
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|innerHTML", text)
    assert "default-src 'none'" in text and len(text) < 5_000_000


def test_the_verdict_and_the_strongest_sentences_come_first(run: Run, report: Path):
    proof, text = run.proof("agreement"), report.read_text("utf-8")
    assert proof is not None
    headline = proof.headline.split(": ", 1)[1]
    places = [text.index(each) for each in (headline[1:], "Does the model show it?", "What interventions do")]
    assert places == sorted(places)
    findings = re.findall(r"<li>(.*?)</li>", text[places[0] : places[1]], re.DOTALL)
    assert [each.replace("&#39;", "'") for each in findings] == [each.text for each in proof.sentences]


def test_a_prompt_that_holds_a_script_stays_a_prompt(report: Path):
    text, words = report.read_text("utf-8"), (report.parent / "report.md").read_text("utf-8")
    assert NASTY not in text and text.count("document.title=") == text.count("document.title=&#39;") + text.count(
        r"document.title=\u0027"
    )
    assert len(re.findall(r"<script", text)) == 2  # one with what is drawn, one that draws it
    assert "<script" not in words


def test_what_failed_is_listed(report: Path):
    text, words = report.read_text("utf-8"), (report.parent / "report.md").read_text("utf-8")
    failed = text[text.index("What failed") : text.index("Provenance</h2>")]
    assert TOO_LONG in failed and failed.count("<tr>") == 1 + failed.count(TOO_LONG)
    assert f"baseline: {TOO_LONG}" in words


def test_provenance_comes_from_the_manifest(run: Run, report: Path):
    told, text = run.manifest, report.read_text("utf-8")
    for value in (told.model_sha256, told.transcoders_sha256, told.machine, *told.versions.values()):
        assert value in text
    assert "prompts 42, interventions 456, torch 789" in plain(text) and "[evidence]" in text


def test_the_script_is_given_the_numbers_of_the_run(run: Run, report: Path):
    (inside,) = re.findall(r'<script type="application/json">(.*?)</script>', report.read_text("utf-8"), re.DOTALL)
    told, circuit = json.loads(inside), run.circuit("agreement")
    assert circuit is not None
    effects = {str(node): effect for node, effect in circuit.effects.items()}
    drawn = {node["name"]: node["effect"] for node in told["circuit"]["nodes"] if node["kind"] == "feature"}
    assert drawn == {name: float(f"{effects[name]:.4g}") for name in drawn}
    assert {str(node) for node in circuit.members} <= drawn.keys()
    rows = run.graphs("agreement")
    assert [each["prompt"] for each in told["prompts"]] == [row.prompt for row in rows[:MOST_PROMPTS]]
