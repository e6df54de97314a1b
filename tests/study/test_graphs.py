"""A prompt's graph explains the logit difference at the scored token."""

from pathlib import Path

import pytest
import torch

from circuitwise.circuit.scores import scores
from circuitwise.graph import Kind
from circuitwise.study.baseline import read_item
from circuitwise.study.graphs import describe_graph, trace_item
from circuitwise.study.plan import GraphChoice
from tests.study.material import small_replacement, small_suite


def test_the_edges_into_the_target_add_up_to_the_models_logit_difference(tmp_path: Path) -> None:
    replacement, suite = small_replacement(tmp_path), small_suite(tmp_path)
    for item in suite.train[:3]:
        graph = trace_item(replacement, item, GraphChoice(rows=500))
        tokens = read_item(replacement.model, item)
        with torch.no_grad():
            logits = replacement.model.module(torch.tensor([tokens.scored_prompt])).logits[0, -1]
        difference = float(logits[tokens.scored[0]] - logits[tokens.scored[1]])
        (target,) = graph.nodes.where(Kind.TARGET)
        into = float(graph.edges.weight[graph.edges.target == target].sum())
        told = describe_graph(graph, 3, item, "x.graph")
        assert told.difference == pytest.approx(difference, abs=1e-3) and into == pytest.approx(difference, abs=1e-3)
        assert told.replacement == scores(graph).replacement_folded and told.number == 3


def test_a_graph_has_as_many_features_as_its_budget(tmp_path: Path) -> None:
    replacement, suite = small_replacement(tmp_path), small_suite(tmp_path)
    told = describe_graph(trace_item(replacement, suite.train[0], GraphChoice(rows=9)), 0, suite.train[0], "x")
    assert told.n_features == 9 and told.n_pos == 6 and 0 <= (told.replacement or 0) <= (told.replacement_traced or 0)
