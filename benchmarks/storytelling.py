"""Text of a model's own: what stories15M writes when it draws every token from what it predicts."""

import json
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import DynamicCache

from benchmarks.results import note
from circuitwise.errors import RequestError
from circuitwise.model.forward import end_tokens
from circuitwise.model.loading import load_model
from circuitwise.model.model import Model
from circuitwise.storage import atomic_path
from circuitwise.vocabulary import integers

TOGETHER = 256
"""How many stories are written side by side."""
LENGTH = 256
"""Tokens of a story, its beginning included; the model was made for no more."""


def write_stories(path: Path, *, n_tokens: int, seed: int) -> Path:
    """At least so many tokens of stories in a file with one of them a line; found where it was written before."""
    if path.is_file():
        return path
    model = load_model("stories15m", device="cpu", dtype="bfloat16")
    if model.tokenizer is None:
        raise RequestError(f"{model.name} has no tokenizer. Fetch it anew.")
    lines: list[str] = []
    n_written = 0
    while n_written < n_tokens:
        for ids in stories_of(model, seed + len(lines)):
            lines.append(json.dumps({"text": model.tokenizer.decode(ids)}))
            n_written += len(ids)
        note(f"{path.name}: {n_written:,} of {n_tokens:,} tokens written")
    with atomic_path(path) as partial:
        partial.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@torch.no_grad()
def stories_of(model: Model, seed: int) -> list[list[int]]:
    """Some stories, without what begins and ends them. One that has ended makes no more work."""
    draws = torch.Generator().manual_seed(seed)
    ends = end_tokens(model)
    stories: list[list[int]] = [[] for _ in range(TOGETHER)]
    going = torch.arange(TOGETHER)
    following = torch.full((TOGETHER, 1), int(model.config.bos_token_id))
    cache = DynamicCache(config=model.config)
    for _ in range(LENGTH - 1):
        logits = model.module(input_ids=following, past_key_values=cache, use_cache=True).logits[:, -1]
        following = drawn(logits, draws)
        goes_on = ~torch.isin(following[:, 0], ends)
        if not bool(goes_on.all()):
            cache.batch_select_indices(goes_on.nonzero()[:, 0])
            going, following = going[goes_on], following[goes_on]
        if not len(going):
            break
        for story, token in zip(integers(going), integers(following[:, 0]), strict=True):
            stories[story].append(token)
    return stories


def drawn(logits: Tensor, draws: torch.Generator) -> Int[Tensor, "story 1"]:
    """One token for each row of logits; quicker than ``multinomial``."""
    sums = logits.float().softmax(-1).cumsum_(-1)
    wanted = torch.rand(len(sums), 1, generator=draws) * sums[:, -1:]
    return torch.searchsorted(sums, wanted).clamp(max=sums.shape[1] - 1)
