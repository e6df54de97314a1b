"""The identities: perfect dictionaries lose nothing, empty ones recover nothing, and the mean explains nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitwise.dictionaries.activations import ReLU
from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import PromptError, RequestError
from circuitwise.model.model import Model
from circuitwise.quality import Cut, Quality, QualityBudget, measure_quality
from circuitwise.replacement import Replacement
from circuitwise.vocabulary import Site, SiteKind
from tests import tiny
from tests.quality import plain

HOW = QualityBudget(context=plain.CONTEXT, tokens=240, spliced=120, prompts=Cut(number=0))


def identity(model: Model, layer: int, kind: SiteKind) -> Dictionary:
    """An autoencoder that is complete: a feature for each direction and its opposite."""
    both = torch.cat([torch.eye(model.d_model), -torch.eye(model.d_model)])
    site = Site(layer, kind)
    return Dictionary(
        read=site,
        writes=(site,),
        activation=ReLU(),
        encoder=both,
        encoder_bias=torch.zeros(len(both)),
        decoder=both.unsqueeze(1).clone(),
        bias=torch.zeros(model.d_model),
    )


def complete(model: Model, kind: SiteKind) -> Transcoders:
    layers = tuple(identity(model, layer, kind) for layer in range(model.n_layers))
    return Transcoders(name="complete", format="made", layers=layers)


def writing(replacement: Replacement, biases: dict[Site, torch.Tensor]) -> Replacement:
    """The same dictionaries, writing nothing but these vectors."""
    layers = tuple(
        replace(one, decoder=torch.zeros_like(one.decoder), bias=biases[one.writes[0]])
        for one in replacement.transcoders
    )
    return Replacement(replacement.model, replace(replacement.transcoders, layers=layers), allow_misfit=True)


def measured(replacement: Replacement, how: QualityBudget = HOW) -> Quality:
    return measure_quality(replacement, plain.TEXTS, how=how)


@pytest.mark.parametrize(
    ("family", "kind"),
    [*((family, "mlp_out") for family in plain.FAMILIES), *(("gemma2", kind) for kind in ("resid_post", "resid_pre"))],
)
def test_complete_dictionaries_lose_nothing(family: str, kind: SiteKind) -> None:
    model = plain.model_of(family)
    found = measured(Replacement(model, complete(model, kind)))
    assert found.kind == "sparse autoencoder" and not found.misfit
    for row in found.layers:
        assert row.fvu < 1e-10 and row.firing == pytest.approx(model.d_model)
        assert row.alone.spliced == pytest.approx(found.cross_entropy, abs=1e-5)
        assert abs(row.alone.divergence) < 1e-5
    assert found.together.spliced == pytest.approx(found.cross_entropy, abs=2e-5)


def test_complete_dictionaries_recover_everything_that_there_is() -> None:
    model = plain.model_of("gpt2")  # here the MLPs are of use on this text
    found = measured(Replacement(model, complete(model, "mlp_out")))
    shares = [one.recovered.value for one in (found.together, *(row.alone for row in found.layers))]
    assert [share for share in shares if share is not None] == pytest.approx([1.0] * (4 - shares.count(None)), abs=1e-3)
    assert shares.count(None) < 4 and found.mean_recovered == pytest.approx(1, abs=1e-3)


def test_dictionaries_that_write_nothing_recover_nothing() -> None:
    replacement = plain.replacement_of("relu", "gpt2")
    nothing = {one.writes[0]: torch.zeros(32) for one in replacement.transcoders}
    found = measured(writing(replacement, nothing))
    for one in (found.together, *(row.alone for row in found.layers)):
        assert one.spliced == pytest.approx(one.zeroed, abs=1e-6)
        assert one.recovered.value is None or one.recovered.value == pytest.approx(0, abs=1e-4)
    assert any(row.alone.recovered.value is not None for row in found.layers)


def test_the_mean_explains_nothing() -> None:
    replacement = plain.replacement_of("cross-layer", "llama")
    nothing = {one.writes[0]: torch.zeros(32) for one in replacement.transcoders}
    seen = whole_text(writing(replacement, nothing))
    found = measured(writing(replacement, seen), replace(HOW, tokens=10**6, spliced=10**6))
    for row in found.layers:
        assert row.fvu == pytest.approx(1, abs=1e-6)
        assert row.alone.spliced == pytest.approx(row.alone.averaged, abs=1e-5)
        share = row.alone.recovered_over_mean.value
        assert share is None or share == pytest.approx(0, abs=1e-3)


def whole_text(replacement: Replacement) -> dict[Site, torch.Tensor]:
    """The mean of what every MLP adds, over all of the text."""
    from circuitwise.quality.heldout import read_held_out

    held = read_held_out(replacement.model, plain.TEXTS, replace(HOW, tokens=10**6)).sequences
    adds = [plain.watched(replacement.model, ids)[1] for ids in held.take(0, len(held.ids))]
    return {Site(layer, "mlp_out"): torch.cat([one[layer][1:] for one in adds]).mean(0) for layer in range(3)}


def test_all_is_measured_and_told(tmp_path: Path) -> None:
    replacement = plain.replacement_of("relu")
    told: list[tuple[int, int]] = []
    text = tmp_path / "kept back.txt"
    text.write_text("\n".join(plain.TEXTS), "utf-8")
    how = replace(HOW, prompts=Cut(number=3, tokens=6), layers=(0, 2))
    found = measure_quality(replacement, text, how=how, progress=lambda done, all: told.append((done, all)))
    assert told[-1][0] == told[-1][1] and told == sorted(told) and len({all for _, all in told}) == 1
    assert [row.layer for row in found.layers] == [0, 2]
    assert (found.model, found.transcoders, found.misfit) == ("tiny llama-grouped-tied", "tiny relu", True)
    assert (found.measured.text, found.measured.n_tokens, found.measured.n_spliced) == ("kept back.txt", 240, 8 * 14)
    assert found.graphs is not None and len(found.graphs.prompts) == found.graphs.n_scored == 3
    assert all(row.error_share is not None for row in found.layers)
    assert measure_quality(replacement, text, how=how) == found


def test_a_begin_token_is_the_position_that_is_left_alone() -> None:
    model = plain.model_of(adds_bos=True)
    found = measured(Replacement(model, tiny.tiny_transcoders(model), allow_misfit=True))
    assert found.measured.n_excluded == 1 and found.measured.n_spliced == 8 * 14


def test_prompts_of_ones_own_make_the_graphs() -> None:
    how = replace(HOW, prompts=("the cat is", "a dog on the mat"))
    found = measured(plain.replacement_of("relu"), how)
    assert found.graphs is not None and found.graphs.prompts == how.prompts


def test_a_set_that_allows_no_graphs_says_why() -> None:
    model = plain.model_of()
    replacement = Replacement(model, complete(model, "resid_post"))
    found = measured(replacement, replace(HOW, prompts=Cut(number=3, tokens=6)))
    assert found.graphs is None and found.no_graphs is not None and "A graph needs transcoders" in found.no_graphs
    with pytest.raises(RequestError, match="Leave the prompts out"):
        measured(replacement, replace(HOW, prompts=("the cat",)))


def test_what_cannot_be_measured_is_refused() -> None:
    replacement = plain.replacement_of("relu")
    with pytest.raises(RequestError, match=r"no dictionary for layer 7\. It has layers 0, 1, 2"):
        measured(replacement, replace(HOW, layers=(1, 7)))
    with pytest.raises(PromptError, match="fewer than 16 tokens"):
        measure_quality(replacement, ["the cat"], how=HOW)
    with pytest.raises(RequestError, match="do not fit"):
        measured(replacement, replace(HOW, context=999))
