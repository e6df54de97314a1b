"""Text as token sequences of one length, in an order that a seed decides.

Texts are tokenised without special tokens, joined by an empty line and cut into sequences; each starts with what the
tokenizer puts before a text (``<bos>``, where the model has one). The sequences lie in one small artifact, four bytes a
token, so that a resumed run needs not read the text again. Reading stops when there are as many as are wanted.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from circuitwise.errors import ArtifactError, PromptError, RequestError
from circuitwise.model.model import Model
from circuitwise.model.quiet import quiet
from circuitwise.model.tokens import text_ids
from circuitwise.storage import Json, read_artifact, write_artifact
from circuitwise.storage.checksum import sha256_of_text
from circuitwise.storage.jsontext import canonical_json
from circuitwise.training.recipe import Recipe
from circuitwise.training.text import HubText, Text, read_texts, text_files
from circuitwise.vocabulary import TokenBatch

BETWEEN = "\n\n"
"""What stands between two texts."""
SPARE = 2
"""So many times more sequences are read than a recipe trains on: the pool looks ahead, and steps are whole."""
MOST = 1 << 23
"""So many sequences are read where nobody says how many are wanted."""
FEW_TOKENS = 1 << 22
"""So many tokens are read for the shortest training, too."""
KIND, VERSION = "token sequences", 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sequences:
    """Tokenised text, cut to one length."""

    ids: Int[Tensor, "sequence context"]
    """Token ids."""
    n_excluded: int
    """How many positions at the start of each are not trained on: attention parks there."""
    seed: int
    """Decides the order."""

    @property
    def n_tokens(self) -> int:
        """Different positions that can be trained on."""
        return len(self.ids) * self.n_kept

    @property
    def n_kept(self) -> int:
        """Positions of a sequence that are trained on."""
        return self.ids.shape[1] - self.n_excluded

    def take(self, start: int, number: int) -> TokenBatch:
        """Sequences by their place in the endless order: each pass over the text is shuffled anew."""
        places = range(start, start + number)
        orders = {epoch: self._order(epoch) for epoch in {at // len(self.ids) for at in places}}
        chosen = torch.stack([orders[at // len(self.ids)][at % len(self.ids)] for at in places])
        return self.ids[chosen].long()

    def _order(self, epoch: int) -> Tensor:
        draws = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        return torch.randperm(len(self.ids), generator=draws)


def sequences_wanted(recipe: Recipe) -> int:
    """How many sequences a training can use, with some to spare."""
    how = recipe.reading
    n_trained = -(-recipe.n_tokens // (how.reuse * (how.context - 1)))
    return max(SPARE * n_trained, -(-FEW_TOKENS // how.context))


def pack(
    model: Model,
    text: Text,
    *,
    context: int,
    seed: int,
    path: Path,
    n_wanted: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sequences:
    """The sequences of a text, from the file if they were made before.

    Reading stops after ``n_wanted`` of them. ``progress`` is told how many tokens there are and are wanted.
    """
    if model.context_length is not None and context > model.context_length:
        raise RequestError(
            f"Sequences of {context} tokens do not fit {model.name}, which was made for at most {model.context_length}."
        )
    origin = sha256_of_text(canonical_json(_origin(text), what="The list of texts"))
    prefix = _prefix(model)
    whole: dict[str, Json] = {"origin": origin, "context": context}
    begun = whole | {"wanted": n_wanted}
    if path.exists():
        found = read_artifact(path, kind=KIND, version=VERSION)
        if found.header not in (whole, begun):
            raise ArtifactError(
                f"{path} was made from another text or with another context length, or is too short for this recipe. "
                "Go on with the text and the recipe that the training began with, or choose a new folder."
            )
        ids = found.tensors["ids"]
    else:
        ids = _cut(_tokens(model, text), prefix, context, n_wanted, progress)
        header = begun if len(ids) == n_wanted else whole
        write_artifact(path, kind=KIND, version=VERSION, header=header, tensors={"ids": ids})
    return Sequences(ids=ids, n_excluded=max(1, len(prefix)), seed=seed)


def _origin(text: Text) -> Json:
    """What tells one text from another without reading it: names and sizes of files, a name, or the texts."""
    if isinstance(text, HubText):
        return asdict(text)
    if isinstance(text, Path | str):
        return [[file.name, file.stat().st_size] for file in text_files(text)]
    return [sha256_of_text(each) for each in text]


def _prefix(model: Model) -> list[int]:
    """What the tokenizer puts before a text."""
    bare = text_ids(model, "a", special=False)
    whole = text_ids(model, "a")
    return whole[: next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)]


def _tokens(model: Model, text: Text) -> Iterator[list[int]]:
    between = text_ids(model, BETWEEN, special=False)
    with quiet():
        for each in read_texts(text):
            yield text_ids(model, each, special=False)
            yield between


def _cut(
    texts: Iterator[list[int]],
    prefix: list[int],
    context: int,
    n_wanted: int | None,
    progress: Callable[[int, int], None] | None,
) -> Int[Tensor, "sequence context"]:
    length = context - len(prefix)
    if length < 1:
        raise RequestError(f"A context of {context} tokens leaves no room for text. Choose a longer one.")
    rest: list[int] = []
    blocks: list[Tensor] = []
    n_read, n_most = 0, MOST if n_wanted is None else n_wanted
    for ids in texts:
        rest += ids
        n_whole = len(rest) // length
        if n_whole:
            body = torch.tensor(rest[: n_whole * length], dtype=torch.int32).view(n_whole, length)
            start = torch.tensor(prefix, dtype=torch.int32).expand(n_whole, -1)
            blocks.append(torch.cat([start, body], 1))
            rest = rest[n_whole * length :]
            n_read += n_whole
            if progress is not None:
                progress(min(n_read, n_most) * context, n_most * context)
        if n_read >= n_most:
            break
    if not blocks:
        raise PromptError(f"The text has fewer than {length} tokens, which is not one sequence. Give more text.")
    return torch.cat(blocks)[:n_most]
