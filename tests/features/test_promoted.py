"""The tokens that a feature promotes are those that the model's own norm and unembedding read off its direction."""

from dataclasses import replace

import pytest
import torch

from circuitwise.errors import RequestError
from circuitwise.features.promoted import promoted_tokens
from circuitwise.model.model import Model
from tests import tiny


def logits_by_the_modules(model: Model, direction: torch.Tensor) -> torch.Tensor:
    """The model's own final norm and unembedding on the direction, up to the norm's scale."""
    norm = model.final_norm.module
    bias = getattr(norm, "bias", None)
    read = norm(direction) if bias is None else norm(direction) - bias
    logits = read @ model.unembedding.weight.T
    return logits - logits.mean(-1, keepdim=True)


@pytest.mark.parametrize("family", list(tiny.FAMILIES))
def test_a_decoder_direction_equal_to_an_unembedding_row_promotes_that_token(family: str):
    model = tiny.tiny_model(family)
    dictionary = tiny.tiny_transcoders(model).layers[1]
    weight = model.final_norm.weight.float()
    planted = model.unembedding.weight[: tiny.FEATURES].float() / weight
    dictionary = replace(dictionary, decoder=planted.unsqueeze(1).contiguous())
    found = promoted_tokens(model, dictionary, n=3)
    assert found.top[:, 0].tolist() == list(range(tiny.FEATURES))


@pytest.mark.parametrize("family", ["gpt2", "llama-grouped-tied", "gpt_neox", "gemma2-untied"])
def test_a_plain_unembedding_row_promotes_its_token_where_the_norm_weighs_all_dimensions_alike(family: str):
    model = tiny.tiny_model(family)
    model.final_norm.module.get_parameter("weight").fill_(1.0)
    dictionary = replace(
        tiny.tiny_transcoders(model).layers[0],
        decoder=model.unembedding.weight[: tiny.FEATURES].float().unsqueeze(1).contiguous(),
    )
    assert promoted_tokens(model, dictionary, n=1).top.flatten().tolist() == list(range(tiny.FEATURES))


@pytest.mark.parametrize("family", ["gpt2-untied", "llama", "gpt_neox", "qwen3-tied", "gemma2", "gemma3_text"])
def test_the_values_are_in_proportion_to_what_the_models_own_modules_compute(family: str):
    model = tiny.tiny_model(family)
    dictionary = tiny.tiny_transcoders(model).layers[2]
    found = promoted_tokens(model, dictionary, n=5)
    expected = logits_by_the_modules(model, dictionary.decoder[:, 0])
    assert torch.equal(found.top, expected.topk(5, 1).indices)
    assert torch.equal(found.bottom, expected.topk(5, 1, largest=False).indices)
    own = torch.cat([found.top_value, found.bottom_value], 1)
    theirs = torch.cat([expected.gather(1, found.top), expected.gather(1, found.bottom)], 1)
    scale = (own * theirs).sum(1) / theirs.square().sum(1)
    assert bool((scale > 0).all())
    torch.testing.assert_close(own, theirs * scale[:, None], rtol=1e-3, atol=1e-4)


def test_the_writes_of_a_cross_layer_feature_are_summed():
    model = tiny.tiny_model()
    across = tiny.tiny_transcoders(model, "cross-layer").layers[0]
    together = replace(across, decoder=across.decoder.sum(1, keepdim=True), writes=across.writes[:1])
    assert len(across.writes) == 3
    torch.testing.assert_close(promoted_tokens(model, across).top_value, promoted_tokens(model, together).top_value)


def test_what_is_written_before_a_post_norm_goes_through_its_weight():
    model = tiny.tiny_model("gemma2")
    before = tiny.tiny_transcoders(model, sites=("mlp_in", "mlp_raw")).layers[1]
    norm = model.blocks[1].mlp_post_norm
    assert norm is not None
    after = tiny.tiny_transcoders(model, sites=("mlp_in", "mlp_out")).layers[1]
    after = replace(after, decoder=before.decoder * norm.weight)
    torch.testing.assert_close(promoted_tokens(model, before).top_value, promoted_tokens(model, after).top_value)


def test_slices_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch):
    model = tiny.tiny_model()
    dictionary = tiny.tiny_transcoders(model).layers[0]
    whole = promoted_tokens(model, dictionary)
    monkeypatch.setattr("circuitwise.features.promoted.VALUES_PER_SLICE", 3 * model.d_vocab)
    sliced = promoted_tokens(model, dictionary)
    assert torch.equal(whole.top, sliced.top) and torch.equal(whole.bottom, sliced.bottom)
    some = promoted_tokens(model, dictionary, features=torch.tensor([7, 2]))
    assert torch.equal(some.top, whole.top[[7, 2]])


def test_more_tokens_than_there_are_is_refused():
    model = tiny.tiny_model()
    with pytest.raises(RequestError, match="Cannot name 62 tokens"):
        promoted_tokens(model, tiny.tiny_transcoders(model).layers[0], n=62)
