"""Notebooks show runs, graphs and circuits in a cell of their own."""

from html import unescape

from circuitwise.circuit.prune import prune
from circuitwise.report.inline import show
from circuitwise.report.page import typeset
from circuitwise.study.run import Run
from circuitwise.study.study import Study
from tests.report.conftest import NASTY


def test_a_run_shows_its_verdict_and_strongest_findings(run: Run):
    shown, proof = show(run), run.proof("agreement")
    assert proof is not None
    text = unescape(shown.page)
    assert typeset(proof.headline.split(": ", 1)[1][1:]) in text
    assert all(typeset(each.text) in text for each in proof.sentences[:3])


def test_a_cell_is_a_frame_without_access_to_anything(run: Run):
    html = show(run).html
    assert (
        show(run)._repr_html_() == html
        and html.startswith('<iframe sandbox="allow-scripts" srcdoc="')
        and html.endswith("</iframe>")
    )
    assert html.count("<") == 2 and "http" not in html.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_graph_and_a_circuit_can_be_explored(run: Run):
    graph, circuit = run.graph("agreement", 0), run.circuit("agreement")
    assert circuit is not None
    assert 'class="card explorer of-circuit"' in show(graph).page and NASTY not in show(graph).page
    first = str(circuit.members[0])
    assert first in show(circuit).page and first in show(circuit.aggregate).page


def test_a_pruned_graph_can_be_explored_and_names_what_it_explains(run: Run):
    circuit = prune(run.graph("agreement", 0))
    text = show(circuit).page
    assert 'class="card explorer of-circuit"' in text
    assert f'"answer":"{circuit.graph.targets[0].text}"' in text


def test_a_study_shows_its_plan(run: Run):
    text = unescape(show(Study(run.plan)).page)
    assert 'transcoders = "planted"' in text and "explorer" not in text.split("<body>")[1].split("<script>")[0]
