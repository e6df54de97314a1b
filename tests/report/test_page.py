"""The page and the Markdown say what the run says, and no text becomes markup."""

import json
import re
from pathlib import Path

from circuitwise.report.chapter import read_chapter
from circuitwise.report.figures import pictures
from circuitwise.report.network import (
    MOST_EDGES,
    MOST_EDGES_OF_PROMPT,
    MOST_ERRORS,
    MOST_ERRORS_OF_PROMPT,
    MOST_FEATURES,
    MOST_OF_PROMPT,
)
from circuitwise.report.page import MOST_PROMPTS, Part, claim_of, opening, page, typeset, unit_of
from circuitwise.study.run import Run
from tests.report.conftest import NASTY, TOO_LONG
from tests.report.crowd import crowded


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", html)


def test_the_page_needs_nothing_from_elsewhere(report: Path):
    text = report.read_text("utf-8")
    links = set(re.findall(r'(?:src|href)="([^"]*)"', text))
    assert {link for link in links if not link.startswith(("#", "data:"))} == set()
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|innerHTML", text)
    assert "default-src 'none'" in text


def test_the_verdict_and_the_strongest_sentences_come_first(run: Run, report: Path):
    proof, text = run.proof("agreement"), report.read_text("utf-8")
    assert proof is not None
    headline = typeset(proof.headline.split(": ", 1)[1])
    places = [text.index(each) for each in (headline[1:], "Does the model show it?", "What interventions do")]
    assert places == sorted(places)
    findings = re.findall(r"<li>(.*?)</li>", text[places[0] : places[1]], re.DOTALL)
    assert [each.replace("&#39;", "'") for each in findings] == [typeset(each.text) for each in proof.sentences]


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


def test_a_page_with_as_much_on_it_as_there_can_be_stays_below_5_mb(run: Run):
    chapter = read_chapter(run, "agreement")
    single = crowded(MOST_OF_PROMPT + MOST_ERRORS_OF_PROMPT, MOST_EDGES_OF_PROMPT)
    part = Part(
        chapter=chapter,
        network=crowded(MOST_FEATURES + MOST_ERRORS, MOST_EDGES, surveyed=True),
        prompts=[(chapter.prompts[0], single)] * MOST_PROMPTS,
        pictures={picture.name.removesuffix("_agreement"): picture for picture in pictures(chapter)},
    )
    size = len(page(run, [part]).encode())
    assert 1_000_000 < size < 5_000_000


def test_key_numbers_stand_below_the_verdict_with_their_intervals_and_verdicts(run: Run, report: Path):
    text = report.read_text("utf-8")
    keys = plain(text[text.index('<dl class="keys card">') : text.index('<ol class="findings">')])
    chapter = read_chapter(run, "agreement")
    assert chapter.tested is not None
    claims = [claim_of(chapter, name) for name in ("necessity", "sufficiency", "minimality")]
    values = [chapter.tested.accuracy, *(claim.value for claim in claims if claim is not None)]
    verdicts = [chapter.tested.verdict, *(claim.verdict for claim in claims if claim is not None)]
    shown = re.findall(r"<dd>([\d\N{MINUS SIGN}]+)\s%", keys)
    assert [each.replace("\N{MINUS SIGN}", "-") for each in shown] == [f"{100 * each.estimate:z.0f}" for each in values]
    assert re.findall(r'<span class="badge (\w+)">', keys) == verdicts
    assert keys.count("<small>[") == len(values) == 4


def test_claims_are_shares_or_logit_differences(run: Run):
    proof = run.proof("agreement")
    assert proof is not None
    units = {claim.name: unit_of(claim) for claim in proof.claims}
    assert units["necessity"] == units["minimality"] == "share" and units["ablation"] == "nats"


def test_one_behaviour_begins_with_its_verdict_and_several_with_one_sentence_each(run: Run):
    chapter = read_chapter(run, "agreement")
    part = Part(chapter=chapter, network=None, prompts=(), pictures={})
    alone, several = page(run, [part]), page(run, [part, part])
    assert '<ul class="lede">' not in alone and alone.index('class="verdict"') < alone.index("<table")
    lede = several[several.index('<ul class="lede">') : several.index("<table")]
    assert lede.count(typeset(opening(chapter))) == 2
    assert opening(chapter).endswith("than random circuits of the same layers and roles do.")


def test_numbers_are_set_with_minus_signs_and_hold_together():
    nbsp, minus = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
    assert typeset("keeps 2 % [-6 %, 7 %]") == f"keeps 2{nbsp}% [{minus}6{nbsp}%,{nbsp}7{nbsp}%]"
    assert typeset("L3F7@-1, set to -1 times (q = 0.004), 1 - complement") == (
        f"L3F7@-1, set to {minus}1 times (q{nbsp}={nbsp}0.004), 1 - complement"
    )
