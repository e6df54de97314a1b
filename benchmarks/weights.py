"""The weights of a job: drawn once, written once, opened by both sides with their own loaders.

    model/          a Hugging Face folder that transformers 4 and 5 read, with a stub tokenizer of numbered words
    transcoders/    a circuit-tracer set: config.yaml and layer_i.safetensors
    job.json        the job, and the prompt's token ids; the first one is special, as circuit-tracer wants it

Encoders and decoders are drawn evenly, W_enc ~ N(0, 1/d), W_dec ~ 0.1 N(0, 1/d). Each layer has one bias: the value
at which ``job.firing`` features fire at a position on average, on the job's own prompt.
"""

import dataclasses
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from benchmarks.jobs import Job
from circuitwise.cache import cache_folder
from circuitwise.dictionaries.activations import ReLU
from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.dictionaries.hooks import kind_of_hook
from circuitwise.model.builtin import find_builtin
from circuitwise.model.conversion import unpack
from circuitwise.model.forward import run
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.model.quiet import quiet
from circuitwise.model.tokens import pad, text_ids
from circuitwise.vocabulary import Site

SEED = 0
PAD, BOS, EOS = 0, 1, 2
LONGEST = 2048
"""Tokens of the longest prompt."""
DECODER_LENGTH = 0.1
NORM_SPREAD = 0.1
"""How far the norms' weights lie from where training would start: else an offset of one could be forgotten unseen."""
TEXT = "The old harbour town wakes before the sun does, and the fishermen carry their nets down to the boats."
"""The prompt of a trained model."""


def prepare(job: Job, root: Path | None = None) -> Path:
    """The folder with a job's weights: made now, or found where it was made before."""
    parent = cache_folder() / "benchmarks" if root is None else root
    folder = parent / f"{job.name}-{job.fingerprint}"
    if folder.is_dir():
        return folder
    partial = parent / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # a killed process left it
    try:
        _write(job, partial)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def random_module(job: Job, device: str = "cpu") -> PreTrainedModel:
    """A model of a job's shape as training would start it, but for the norms' weights, which differ a little."""
    torch.manual_seed(SEED)
    settings: dict[str, Any] = {
        "vocab_size": job.n_vocab,
        "hidden_size": job.d_model,
        "intermediate_size": job.d_mlp,
        "num_hidden_layers": job.n_layers,
        "num_attention_heads": job.n_heads,
        "num_key_value_heads": job.n_kv_heads,
        "head_dim": job.d_head,
        "max_position_embeddings": 2 * LONGEST,
        "tie_word_embeddings": True,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }
    with torch.device(device):
        if job.family == "gemma2":
            own: dict[str, Any] = {"query_pre_attn_scalar": job.d_head, "sliding_window": max(4, job.n_tokens // 2)}
            module: PreTrainedModel = Gemma2ForCausalLM(Gemma2Config(**settings | own))
        else:
            module = LlamaForCausalLM(LlamaConfig(**settings))
    with torch.no_grad():
        for parameter in nn.Module.parameters(module):
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=NORM_SPREAD)
    return module


def random_prompt(job: Job) -> list[int]:
    """Token ids drawn at random behind a special one; a shorter prompt is the beginning of a longer one."""
    draws = torch.Generator().manual_seed(SEED)
    drawn = torch.randint(EOS + 1, job.n_vocab, (LONGEST - 1,), generator=draws)
    return [BOS, *map(int, drawn)]


def draw_dictionaries(job: Job, model: Model, prompt: list[int]) -> Iterator[Dictionary]:
    """Random dictionaries for every layer, the first token left out of what their biases are set on."""
    sites = [Site(layer, kind_of_hook(job.read_hook, "the job")) for layer in range(job.n_layers)]
    tokens = torch.tensor(prompt[: job.n_tokens], device=model.device)
    seen = run(model, pad([tokens]), read=sites, logits="none").sites
    draws = torch.Generator(model.device).manual_seed(SEED)
    for site in sites:
        yield _draw_dictionary(job, site, seen[site][0, 1:].float(), draws)


def _draw_dictionary(job: Job, site: Site, x: Tensor, draws: torch.Generator) -> Dictionary:
    def draw(length: float) -> Tensor:
        shape = (job.n_features, job.d_model)
        return torch.randn(shape, generator=draws, device=x.device) * (length / math.sqrt(job.d_model))

    encoder = draw(1.0)
    strongest = (x @ encoder.T).flatten().topk(job.firing * len(x) + 1).values
    threshold = strongest[-2:].mean()  # between two values: a feature at the threshold itself would fire by chance
    return Dictionary(
        read=site,
        writes=(Site(site.layer, kind_of_hook(job.write_hook, "the job")),),
        activation=ReLU(),
        encoder=encoder,
        encoder_bias=-threshold.expand(job.n_features).contiguous(),
        decoder=draw(DECODER_LENGTH)[:, None],
        bias=torch.zeros(job.d_model, device=x.device),
    )


def _write(job: Job, folder: Path) -> None:
    model_folder, set_folder = folder / "model", folder / "transcoders"
    for each in (model_folder, set_folder):
        each.mkdir(parents=True)
    prompt = random_prompt(job) if job.weights == "random" else _copy_trained(model_folder, job)
    if job.weights == "random":
        with quiet():
            random_module(job).save_pretrained(model_folder)
    _make_readable_by_both(model_folder / "config.json", job)
    _write_tokenizer(model_folder, job)
    _write_set(job, load_model(model_folder, device="cpu"), prompt, set_folder)
    _write_json(folder / "job.json", {"job": dataclasses.asdict(job), "tokens": prompt})


def _copy_trained(folder: Path, job: Job) -> list[int]:
    """Copy the real model, and return the prompt as its own tokenizer splits it."""
    source = unpack(find_builtin(job.weights))
    for file in (*source.glob("model*"), source / "config.json"):
        shutil.copyfile(file, folder / file.name)
    return [BOS, *text_ids(load_model(source, device="cpu"), TEXT, special=False)]


def _make_readable_by_both(path: Path, job: Job) -> None:
    """The rotary base under its old name, which transformers 4 wants and transformers 5 still reads."""
    config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    rotary: dict[str, Any] = config.pop("rope_parameters")
    names = {"llama": "LlamaForCausalLM", "gemma2": "Gemma2ForCausalLM"}
    _write_json(path, config | {"rope_theta": rotary["rope_theta"], "architectures": [names[job.family]]})


def _write_tokenizer(folder: Path, job: Job) -> None:
    """A tokenizer of numbered words: circuit-tracer does not start without one."""
    words = {f"[{token}]": token for token in range(job.n_vocab)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=f"[{PAD}]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": f"[{BOS}]", "eos_token": f"[{EOS}]", "pad_token": f"[{PAD}]", "unk_token": f"[{PAD}]"}
    _write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"} | special)


def _write_set(job: Job, model: Model, prompt: list[int], folder: Path) -> None:
    hooks = f"feature_input_hook: {job.read_hook}\nfeature_output_hook: {job.write_hook}\n"
    (folder / "config.yaml").write_text(f"model_name: {job.name}\nmodel_kind: transcoder_set\n{hooks}", "utf-8")
    for dictionary in draw_dictionaries(job, model, prompt):
        tensors = {
            "W_enc": dictionary.encoder,
            "b_enc": dictionary.encoder_bias,
            "W_dec": dictionary.decoder[:, 0].contiguous(),
            "b_dec": dictionary.bias,
        }
        safetensors.torch.save_file(tensors, folder / f"layer_{dictionary.layer}.safetensors")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value) + "\n", "utf-8")
