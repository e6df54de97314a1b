"""A saved model comes back as it was, and what cannot be opened is refused in one clear sentence."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from circuitwise.errors import CircuitwiseError, RequestError
from circuitwise.model.forward import run
from circuitwise.model.loading import load_model
from circuitwise.model.model import view_model
from circuitwise.model.tokens import pad, tokenize
from tests import tiny
from tests.tinytokenizer import tiny_tokenizer


def saved(folder: Path, family: str = "llama-grouped-tied", *, dtype: torch.dtype = torch.float32) -> Path:
    """A model folder as transformers writes it."""
    tiny.hugging_face_model(family).to(dtype).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def change_json(path: Path, **changed: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def change_weights(folder: Path, **changed: torch.Tensor | None) -> None:
    """Replace weights, or drop those that are None."""
    path = folder / "model.safetensors"
    weights = load_file(path) | changed
    save_file({name: weight for name, weight in weights.items() if weight is not None}, path, {"format": "pt"})


def refusal(source: str | Path) -> str:
    """The one sentence that refuses a source."""
    with pytest.raises(CircuitwiseError) as caught:
        load_model(source)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith((".", ")"))
    return sentence


@torch.no_grad()
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_folder_gives_back_the_model_that_was_saved(family: str, tmp_path: Path):
    expected = tiny.tiny_model(family)
    loaded = load_model(saved(tmp_path / "model", family))
    tokens = pad([tiny.tokens_of(9)])
    assert torch.allclose(run(loaded, tokens).logits, run(expected, tokens).logits, rtol=0, atol=1e-6)
    assert loaded.architecture == expected.architecture and loaded.name == "model" and loaded.revision is None
    assert loaded.dtype is torch.float32 and not loaded.module.training
    assert not any(weight.requires_grad for weight in loaded.module.parameters())


@torch.no_grad()
@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "qwen3-tied"])
def test_a_model_runs_in_the_number_type_that_was_asked_for(family: str, tmp_path: Path):
    folder = saved(tmp_path / "model", family, dtype=torch.bfloat16)
    half = tiny.hugging_face_model(family)
    for weight in half.parameters():  # the weights alone: the rotary frequencies stay as they are
        weight.data = weight.data.to(torch.bfloat16)
    tokens = pad([tiny.tokens_of(9)])
    asked = load_model(folder, dtype="bfloat16")
    assert asked.dtype is torch.bfloat16
    expected = view_model(half, None, name="half")
    assert torch.equal(run(asked, tokens).logits, run(expected, tokens).logits)
    full = load_model(folder)
    assert full.dtype is torch.float32
    expected.module.float()
    assert torch.allclose(run(full, tokens).logits, run(expected, tokens).logits, rtol=0, atol=1e-6)
    assert load_model(folder, dtype=torch.float16).dtype is torch.float16


def test_an_unknown_number_type_is_refused(tmp_path: Path):
    with pytest.raises(RequestError, match="cannot run in “int8”. Choose float32, bfloat16, float16"):
        load_model(saved(tmp_path), dtype="int8")


@pytest.mark.parametrize("device", ["wonder", "cuda:77"])
def test_a_device_that_is_not_there_is_refused(device: str, tmp_path: Path):
    with pytest.raises(RequestError, match=f"There is no device “{device}” here"):
        load_model(saved(tmp_path), device=device)


def test_the_tokenizer_comes_along_if_there_is_one(tmp_path: Path):
    with_one = load_model(saved(tmp_path / "with"))
    assert tokenize(with_one, "the cat").tolist() == tiny_tokenizer().encode("the cat")
    tiny.hugging_face_model("gpt2").save_pretrained(tmp_path / "without")
    assert load_model(tmp_path / "without").tokenizer is None


def test_paths_may_hold_spaces_and_any_letters(tmp_path: Path):
    folder = saved(tmp_path / "мой новый модель ü 模型")
    assert load_model(folder).name == "мой новый модель ü 模型"
    assert load_model(str(folder)).d_model == tiny.WIDTH


def test_a_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved(tmp_path / "model")
    assert load_model("~/model").name == "model"


def test_weights_may_lie_in_several_files(tmp_path: Path):
    tiny.hugging_face_model("llama").save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    loaded = load_model(tmp_path).module
    expected = tiny.hugging_face_model("llama")
    assert all(torch.equal(loaded.get_parameter(name), weight) for name, weight in expected.named_parameters())


def test_weights_may_lie_in_the_older_format(tmp_path: Path):
    module = tiny.hugging_face_model("gpt_neox")
    module.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    loaded = load_model(tmp_path).module
    assert all(torch.equal(loaded.get_parameter(name), weight) for name, weight in module.named_parameters())


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    folder = saved(tmp_path)
    capfd.readouterr()
    load_model(folder)
    assert capfd.readouterr() == ("", "")


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path):
    folder = saved(tmp_path / "model")
    (folder / "surprise.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Surprise: pass\n")
    surprise = "surprise.Surprise"
    change_json(folder / "config.json", auto_map={"AutoConfig": surprise, "AutoModelForCausalLM": surprise})
    change_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, surprise]})
    load_model(folder)
    assert not (tmp_path / "ran").exists()


def test_a_name_that_is_nothing_is_refused():
    assert "There is no model “./nowhere/at all”: it is no folder, no file" in refusal("./nowhere/at all")
    assert "There is no model “weights.gguf”" in refusal("weights.gguf")
    assert "no short name (smollm2, stories15m)" in refusal(Path("nowhere"))


def test_a_revision_belongs_to_the_hub(tmp_path: Path):
    with pytest.raises(RequestError, match="is not on the hub, so it has no revision “main”. Leave the revision out"):
        load_model(saved(tmp_path), revision="main")


def test_a_folder_without_a_config_is_refused(tmp_path: Path):
    sentence = refusal(tmp_path)
    assert sentence.startswith(str(tmp_path)) and "has no config.json" in sentence and "or a GGUF file" in sentence


def test_a_config_that_is_no_json_is_named(tmp_path: Path):
    saved(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "lla')
    assert "config.json is not valid JSON" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    assert "config.json is valid JSON, but no table of settings" in refusal(tmp_path)


def test_a_config_that_makes_no_sense_is_refused(tmp_path: Path):
    saved(tmp_path)
    change_json(tmp_path / "config.json", num_attention_heads="many")
    assert re.search("cannot be opened: .*num_attention_heads", refusal(tmp_path))


def test_an_unknown_family_is_told_where_to_add_it(tmp_path: Path):
    saved(tmp_path)
    change_json(tmp_path / "config.json", model_type="wonder")
    assert re.search("of type “wonder” are not known yet; known are gemma, .*ARCHITECTURES in", refusal(tmp_path))


def test_a_folder_without_weights_is_refused(tmp_path: Path):
    saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert "has a config.json, but no weights: model.safetensors" in refusal(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_weights_are_named(share: float, tmp_path: Path):
    path = saved(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert refusal(tmp_path).startswith(f"{path} is truncated or damaged")


def test_a_missing_part_of_the_weights_is_named(tmp_path: Path):
    tiny.hugging_face_model("llama").save_pretrained(tmp_path, max_shard_size="20KB")
    part = sorted(tmp_path.glob("model-*.safetensors"))[1]
    part.unlink()
    assert refusal(tmp_path).startswith(f"{part} is missing: {tmp_path.name} lists it among its weights")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_named(number: float, tmp_path: Path):
    weight = torch.ones(tiny.WIDTH)
    weight[3] = number
    change_weights(saved(tmp_path), **{"model.layers.1.input_layernorm.weight": weight})
    sentence = refusal(tmp_path)
    assert "weights that are not numbers: model.layers.1.input_layernorm.weight holds NaN or infinity" in sentence


def test_missing_weights_are_named(tmp_path: Path):
    change_weights(saved(tmp_path), **{"model.norm.weight": None})
    assert "is not whole: the weights model.norm.weight are missing from its files" in refusal(tmp_path)


def test_left_over_weights_are_named(tmp_path: Path):
    change_weights(saved(tmp_path), **{"model.layers.0.mlp.wonder.weight": torch.ones(3)})
    assert "model.layers.0.mlp.wonder.weight have no place in a model of its config.json" in refusal(tmp_path)


def test_weights_of_another_shape_are_named(tmp_path: Path):
    change_weights(saved(tmp_path), **{"model.norm.weight": torch.ones(5)})
    assert "the weights model.norm.weight have another shape than its config.json says" in refusal(tmp_path)


def test_a_quantized_model_is_refused(tmp_path: Path):
    change_json(saved(tmp_path) / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    assert "is quantized, so circuits cannot be read from it" in refusal(tmp_path)


def test_a_model_with_an_adapter_is_refused(tmp_path: Path):
    (saved(tmp_path) / "adapter_config.json").write_text("{}")
    assert "holds an adapter, too: merge it" in refusal(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("buy milk")
    assert refusal(path) == (
        f"{path} is a file, but no GGUF file and no checkpoint of llama2.c (.bin, .data, .tgz): name one of these, or "
        "the folder that holds config.json and weights."
    )
    path.write_bytes(b"")
    assert "is a file, but no GGUF file" in refusal(path)


@pytest.mark.parametrize("text", ['{"version": ', "{}", '{"version": "1.0", "model": {"type": "wonder"}}', "[]"])
def test_a_damaged_tokenizer_is_refused(text: str, tmp_path: Path):
    (saved(tmp_path) / "tokenizer.json").write_text(text)
    assert f"The tokenizer of {tmp_path} cannot be opened" in refusal(tmp_path)
