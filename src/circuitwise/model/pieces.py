"""A fast tokenizer from SentencePiece-like pieces with scores, as llama2.c packs them.

Text is a space and then characters; the neighbours whose union has the best score are merged until none is a piece. A
character that is no piece falls into its bytes, which are tokens 3 to 258.
"""

from collections.abc import Iterator, Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

SPACE = "▁"
SPECIAL = ("<unk>", "<s>", "</s>")
N_SPECIAL = len(SPECIAL)
FIRST_PIECE = N_SPECIAL + 256
"""Below are special tokens and bytes."""


def tokenizer_from(pieces: Sequence[tuple[bytes, float]]) -> PreTrainedTokenizerFast:
    """The tokenizer of these pieces, which puts ``<s>`` before a text."""
    bytewise = [f"<0x{byte:02X}>" for byte in range(256)]
    texts = [piece.decode("utf-8", "replace").replace(" ", SPACE) for piece, _ in pieces[FIRST_PIECE:]]
    vocabulary = {name: token for token, name in enumerate([*SPECIAL, *bytewise, *texts])}
    scores = {text: score for text, (_, score) in zip(texts, pieces[FIRST_PIECE:], strict=True)}
    inner = Tokenizer(
        models.BPE(vocab=vocabulary, merges=_merges(scores, vocabulary), unk_token=SPECIAL[0], byte_fallback=True)
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    inner.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    unknown, begin, end = SPECIAL
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token=unknown, bos_token=begin, eos_token=end)


def _merges(scores: dict[str, float], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Which neighbours are merged, the best union first."""
    found = [
        (-score, vocabulary[text], vocabulary[left], left, right)
        for text, score in scores.items()
        for left, right in _splits(text)
        if left in scores and right in scores
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def _splits(text: str) -> Iterator[tuple[str, str]]:
    return ((text[:at], text[at:]) for at in range(1, len(text)))
