"""Scores of graphs are means over prompts, and the layers share out what is missing."""

from dataclasses import replace

import pytest
import torch

from circuitwise.attribution.attribute import Budget, attribute
from circuitwise.circuit.scores import scores
from circuitwise.quality.graphs import error_shares, explain, refusal
from tests import tiny
from tests.quality import plain


def test_the_shares_of_the_layers_are_what_replacement_misses() -> None:
    for kind in ("relu", "cross-layer"):
        graph = attribute(tiny.tiny_replacement(kind=kind), tiny.tokens_of(8))
        shares = error_shares(graph)
        assert list(shares) == [0, 1, 2] and all(share >= 0 for share in shares.values())
        assert sum(shares.values()) == pytest.approx(1 - scores(graph).replacement, abs=1e-6)


def test_scores_are_means_over_the_prompts() -> None:
    replacement = plain.replacement_of("relu")
    prompts = [tiny.tokens_of(7, seed=seed) for seed in range(4)]
    done: list[int] = []
    found = explain(replacement, prompts, 30, lambda: done.append(1))
    graphs = [attribute(replacement, prompt, budget=Budget(rows=30)) for prompt in prompts]
    expected = [scores(graph) for graph in graphs]
    assert len(done) == found.scores.n_scored == 4 and found.scores.rows == 30
    assert found.scores.prompts == tuple(graph.prompt for graph in graphs)
    for name in ("replacement", "completeness", "replacement_folded", "completeness_folded"):
        assert getattr(found.scores, name).value == pytest.approx(sum(getattr(one, name) for one in expected) / 4)
    assert found.scores.replacement.low is not None
    missing = 1 - sum(one.replacement for one in expected) / 4
    assert sum(found.error_share.values()) == pytest.approx(missing, abs=1e-6)


def test_only_transcoders_have_graphs() -> None:
    transcoders = plain.replacement_of("skip").transcoders
    assert refusal(transcoders) is None
    coders = tuple(
        replace(one, read=one.writes[0], skip=None, encoder=torch.zeros_like(one.encoder)) for one in transcoders
    )
    assert "A graph needs transcoders" in str(refusal(replace(transcoders, layers=coders)))
