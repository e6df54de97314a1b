"""A survey holds what one gets by encoding every sequence by itself and looking through all of it."""

import sys
from collections import defaultdict
from functools import cache

import pytest
import torch

from circuitwise.errors import RequestError
from circuitwise.features.examples import Examples
from circuitwise.features.survey import Survey, survey
from circuitwise.model.forward import run
from circuitwise.model.tokens import pad
from circuitwise.vocabulary import Feature
from tests.features.material import FEW, N_POS, replacement, sequences, surveyed

KINDS = ("relu", "jumprelu", "topk", "batchtopk", "skip", "cross-layer")


@cache
def encoded_alone(kind: str) -> dict[int, torch.Tensor]:
    """Every layer's activations, (sequence, position, feature), each sequence run and encoded by itself."""
    held = replacement(kind)
    found: defaultdict[int, list[torch.Tensor]] = defaultdict(list)
    with torch.no_grad():
        for tokens in sequences():
            reads = [dictionary.read for dictionary in held.transcoders]
            sites = run(held.model, pad([tokens]), read=reads, logits="none").sites
            for dictionary in held.transcoders:
                firing = dictionary.encode(sites[dictionary.read][0])
                dense = torch.zeros(N_POS, dictionary.n_features)
                dense[firing.pos, firing.feature] = firing.value
                dense[0] = 0
                found[dictionary.layer].append(dense)
    return {layer: torch.stack(rows) for layer, rows in found.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_counts_means_maxima_and_histograms_are_those_of_all_activations(kind: str):
    found, alone = surveyed(kind), encoded_alone(kind)
    for layer, activations in alone.items():
        flat = activations.flatten(0, 1)
        for index in range(0, flat.shape[1], 3):
            profile = found.profile(Feature(layer, index))
            fired = flat[:, index][flat[:, index] > 0]
            assert profile.n_firings == len(fired)
            assert profile.n_positions == 50 * (N_POS - 1)
            assert profile.frequency == len(fired) / profile.n_positions
            assert profile.mean == pytest.approx(float(fired.mean()) if len(fired) else 0.0, rel=1e-5)
            assert profile.maximum == pytest.approx(float(fired.max()) if len(fired) else 0.0, rel=1e-5)
            assert sum(bar.count for bar in profile.bars) == len(fired)
            for bar in profile.bars:
                inside = ((fired >= bar.start * (1 - 1e-6)) & (fired < bar.stop * (1 + 1e-6))).sum()
                within = ((fired >= bar.start * (1 + 1e-6)) & (fired < bar.stop * (1 - 1e-6))).sum()
                assert int(within) <= bar.count <= int(inside)


@pytest.mark.parametrize("kind", KINDS)
def test_every_stored_activation_equals_a_fresh_encode(kind: str):
    found, alone = surveyed(kind), encoded_alone(kind)
    n_seen = 0
    for layer, activations in alone.items():
        for index in range(activations.shape[2]):
            profile = found.profile(Feature(layer, index))
            for context in (*profile.strongest, *(each for group in profile.quintiles for each in group)):
                place = slice(context.start, context.start + FEW.length)
                fresh = activations[context.sequence, place, index]
                torch.testing.assert_close(torch.tensor(context.activations), fresh, rtol=1e-4, atol=1e-5)
                assert [token.id for token in context.tokens] == sequences()[context.sequence, place].tolist()
                assert context.value > 0
                n_seen += 1
    assert n_seen > 500


@pytest.mark.parametrize("kind", ["relu", "batchtopk"])
def test_the_strongest_contexts_are_the_largest_of_each_sequence(kind: str):
    found, alone = surveyed(kind), encoded_alone(kind)
    for layer, activations in alone.items():
        best = activations.amax(1).topk(FEW.strongest, 0)
        for index in range(activations.shape[2]):
            contexts = found.profile(Feature(layer, index)).strongest
            expected = [float(value) for value in best.values[:, index] if value > 0]
            assert [context.value for context in contexts] == pytest.approx(expected, rel=1e-4)


def test_the_sample_is_spread_evenly_over_all_firings():
    """With every sequence firing at most once a feature, each firing is drawn with the same chance."""
    held, ids = replacement("topk"), sequences(400)
    found = survey(held, ids, Examples(strongest=1, sampled=40, before=0, after=0), precision="float32")
    layer = found.layers[1]
    frequent = torch.where(layer.n_firings > 400)[0]
    drawn = layer.sampled.sequence[frequent].float()
    assert len(frequent) >= 5 and bool((drawn >= 0).all())
    assert float(drawn.mean()) == pytest.approx(199.5, abs=4 * 400 / 12**0.5 / drawn.numel() ** 0.5)
    assert all(len(set(row.tolist())) == 40 for row in drawn)  # one a sequence at most
    other = survey(held, ids, Examples(strongest=1, sampled=40, before=0, after=0, seed=1), precision="float32")
    assert not torch.equal(other.layers[1].sampled.sequence, layer.sampled.sequence)


def test_batches_change_nothing_and_progress_counts_tokens(monkeypatch: pytest.MonkeyPatch):
    whole = surveyed()
    monkeypatch.setattr(sys.modules["circuitwise.features.survey"], "TOKENS_PER_RUN", 3 * N_POS)
    told: list[tuple[int, int]] = []
    parts = survey(replacement(), sequences(), FEW, precision="float32", progress=lambda *at: told.append(at))
    assert told[0] == (3 * N_POS, 50 * N_POS) and told[-1] == (50 * N_POS, 50 * N_POS) and len(told) == 17
    for number, layer in whole.layers.items():
        again = parts.layers[number]
        assert torch.equal(layer.n_firings, again.n_firings)
        for name in ("strongest", "sampled"):
            one, other = getattr(layer, name), getattr(again, name)
            assert torch.equal(one.sequence, other.sequence) and torch.equal(one.pos, other.pos)
            torch.testing.assert_close(one.window, other.window, rtol=1e-4, atol=1e-5)


def test_the_same_survey_twice_is_the_same():
    one, other = surveyed(), surveyed.__wrapped__()
    assert one.origin == other.origin and one.layers[2].labels == other.layers[2].labels
    assert torch.equal(one.layers[2].strongest.window, other.layers[2].strongest.window)


def test_quintiles_go_from_the_strongest_to_the_weakest_of_the_sample():
    profile = max((surveyed().profile(Feature(1, index)) for index in range(40)), key=lambda profile: profile.n_firings)
    assert [len(group) for group in profile.quintiles] == [2, 2, 2, 2, 2]
    values = [context.value for group in profile.quintiles for context in group]
    assert values == sorted(values, reverse=True) and values[0] <= profile.maximum


def test_a_context_is_moved_inwards_at_the_ends_of_a_sequence():
    found = surveyed()
    starts = {
        context.start - (context.start + context.peak)
        for index in range(40)
        for context in found.profile(Feature(0, index)).strongest
    }
    assert min(starts) < -FEW.before and max(starts) > -FEW.before  # some peaks stand late, some early in their window
    short = survey(replacement(), sequences()[:, :4], FEW, precision="float32")
    assert all(len(context.tokens) == 4 for context in short.profile(Feature(0, 0)).strongest)


def test_the_tokens_of_a_survey_have_texts_and_a_model_without_a_tokenizer_shows_ids():
    found = surveyed()
    texts = [token.text for context in found.profile(Feature(0, 1)).strongest for token in context.tokens]
    assert any(text.strip().isalpha() for text in texts)
    assert len(found.profile(Feature(0, 1)).promoted) == FEW.tokens


def test_what_is_not_there_is_refused_in_a_sentence():
    found: Survey = surveyed()
    with pytest.raises(RequestError, match="layer 1 has the features 0 to 39"):
        found.profile(Feature(1, 40))
    with pytest.raises(RequestError, match=r"holds the layers 0, 1, 2, so it knows no L7F0"):
        found.profile(Feature(7, 0))
    with pytest.raises(RequestError, match="cannot leave out 24"):
        survey(replacement(), sequences(), FEW, n_excluded=24)
    with pytest.raises(RequestError, match="ids that are none"):
        survey(replacement(), sequences() + 50, FEW)
    with pytest.raises(RequestError, match="at least one"):
        survey(replacement(), sequences()[:0], FEW)
