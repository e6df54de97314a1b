"""A model's own text is drawn from what it predicts, story by story."""

import pytest
import torch

from benchmarks.storytelling import LENGTH, TOGETHER, drawn, stories_of
from circuitwise.model.forward import end_tokens, run
from circuitwise.model.tokens import pad
from tests import tiny


def test_tokens_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([[0.0, 1.0, -2.0, 0.5]])
    found = drawn(logits.expand(40_000, -1), torch.Generator().manual_seed(0))[:, 0]
    shares = torch.bincount(found, minlength=4) / len(found)
    assert torch.allclose(shares, logits[0].softmax(0), atol=0.01)


def test_stories_are_those_of_the_seed_and_hold_no_end():
    model = tiny.tiny_model("llama-grouped-tied", max_position_embeddings=LENGTH)
    one, again, other = (stories_of(model, seed) for seed in (0, 0, 1))
    assert len(one) == TOGETHER and one == again != other
    assert max(len(story) for story in one) < LENGTH
    assert not {int(end) for end in end_tokens(model)} & {token for story in one for token in story}


def test_a_story_is_as_likely_as_the_model_says(monkeypatch: pytest.MonkeyPatch):
    model = tiny.tiny_model("llama-grouped-tied", max_position_embeddings=LENGTH)
    monkeypatch.setattr("benchmarks.storytelling.LENGTH", 3)
    begin = torch.tensor([int(model.config.bos_token_id)])
    expected = run(model, pad([begin])).logits[0, 0].softmax(0)
    firsts = [story[0] for seed in range(8) for story in stories_of(model, seed) if story]
    shares = torch.bincount(torch.tensor(firsts), minlength=model.d_vocab) / (8 * TOGETHER)
    assert (shares - expected).abs()[3:].max() < 0.03
