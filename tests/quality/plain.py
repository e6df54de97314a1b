"""Quality once more, the long way: plain hooks on the Hugging Face model, dense activations, one sequence at a time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from circuitwise.dictionaries.activations import BatchTopK, JumpReLU, ReLU, TopK
from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.model.model import Model, view_model
from circuitwise.replacement import Replacement
from circuitwise.training.packing import Sequences
from tests import tiny
from tests.tinytokenizer import tiny_tokenizer
from tests.training.material import some_texts

TEXTS = some_texts(6, 60)
CONTEXT = 16
FAMILIES = ("llama-grouped-tied", "gpt2", "gpt_neox", "gemma2", "qwen3")
"""Serial and parallel blocks, with and without post-norms, biases, a soft cap."""
CASES = (
    *((FAMILIES[0], kind) for kind in tiny.DICTIONARIES),
    *((family, "cross-layer skip") for family in FAMILIES[1:]),
)
"""Every kind of dictionary, and every family with the richest one."""


def model_of(family: str = FAMILIES[0], *, adds_bos: bool = False) -> Model:
    """A tiny model of a family that reads text."""
    return view_model(tiny.hugging_face_model(family), tiny_tokenizer(adds_bos=adds_bos), name=f"tiny {family}")


def replacement_of(kind: str, family: str = FAMILIES[0]) -> Replacement:
    """The same with random dictionaries of a kind."""
    model = model_of(family)
    return Replacement(model, tiny.tiny_transcoders(model, kind), allow_misfit=True)


def sequences_of(number: int = 5, *, seed: int = 3) -> Sequences:
    """Random sequences without repetition (equal tokens would tie in BatchTopK), the first position left out."""
    draws = torch.Generator().manual_seed(seed)
    rows = [3 + torch.randperm(tiny.VOCAB - 3, generator=draws)[:CONTEXT] for _ in range(number)]
    return Sequences(ids=torch.stack(rows).int(), n_excluded=1, seed=0)


def in_order(sequences: Sequences) -> Tensor:
    """The sequences as they are taken."""
    return sequences.take(0, len(sequences.ids))


def activations(dictionary: Dictionary, x: Tensor) -> Tensor:
    """What fires on one sequence, densely."""
    pre = x @ dictionary.encoder.T + dictionary.encoder_bias
    match dictionary.activation:
        case ReLU():
            return pre.clamp(min=0)
        case JumpReLU(threshold=threshold):
            return torch.where(pre > threshold, pre, 0.0)
        case TopK(k=k):
            return torch.where(pre >= pre.sort(dim=1).values[:, [-k]], pre, 0.0).clamp(min=0)
        case BatchTopK(k=k):
            return torch.where(pre >= pre.flatten().sort().values[-k * len(pre)], pre, 0.0).clamp(min=0)


def reconstruction(transcoders: Transcoders, inputs: Mapping[int, Tensor], layer: int) -> Tensor:
    """What all dictionaries up to a layer write at its output, of one sequence."""
    total = torch.zeros_like(inputs[layer])
    for source in range(layer + 1):
        dictionary, x = transcoders.layers[source], inputs[source]
        sites = [site.layer for site in dictionary.writes]
        if layer in sites:
            total = total + activations(dictionary, x) @ dictionary.decoder[:, sites.index(layer)]
        if source == layer:
            total = total + dictionary.bias + (0 if dictionary.skip is None else x @ dictionary.skip.T)
    return total


def outputs(model: Model) -> list[nn.Module]:
    """The modules whose output the MLPs add to the stream."""
    return [block.mlp_module if block.mlp_post_norm is None else block.mlp_post_norm.module for block in model.blocks]


@contextmanager
def hooked(modules: Mapping[nn.Module, Callable[[Tensor], Tensor | None]]) -> Iterator[None]:
    """Change or watch what modules give."""
    with ExitStack() as stack:
        for module, change in modules.items():
            handle = module.register_forward_hook(lambda _, __, out, change=change: change(out))
            stack.callback(handle.remove)
        yield


def log_probabilities(model: Model, ids: Tensor) -> Tensor:
    """Of the tokens that follow each position of one sequence."""
    with torch.no_grad():
        return torch.log_softmax(model.module(ids[None]).logits[0].float(), -1)


def loss(predicted: Tensor, ids: Tensor, first: int = 1) -> float:
    """The mean cross-entropy of the positions from the first one on."""
    return float(torch.nn.functional.nll_loss(predicted[first:-1], ids[first + 1 :]))


def watched(model: Model, ids: Tensor) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """What every MLP reads and adds on one sequence."""
    reads: dict[int, Tensor] = {}
    adds: dict[int, Tensor] = {}

    def note(into: dict[int, Tensor], layer: int) -> Callable[[Tensor], None]:
        return lambda out: into.update({layer: out[0].detach().clone()})

    modules = {block.mlp_norm.module: note(reads, layer) for layer, block in enumerate(model.blocks)}
    with hooked(modules | {module: note(adds, layer) for layer, module in enumerate(outputs(model))}):
        log_probabilities(model, ids)
    return reads, adds
