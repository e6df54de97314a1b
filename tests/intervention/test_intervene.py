"""An intervention does to the model what its edits say, and an edit that changes nothing changes nothing."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from circuitwise.dictionaries.dictionary import Dictionary
from circuitwise.edits import LAST, At, Edit, Freeze, From, MeanOver, Only, Patch, ResampleFrom, Scale, Set, Steer
from circuitwise.errors import RequestError
from circuitwise.intervention.continuing import Generation
from circuitwise.intervention.intervene import intervene, intervene_many
from circuitwise.intervention.outcome import Outcome
from circuitwise.intervention.session import Case
from circuitwise.model.forward import Rewrite, run
from circuitwise.model.tokens import pad
from circuitwise.replacement import Replacement
from circuitwise.targets import Difference
from circuitwise.vocabulary import Feature, Head, Site
from tests import tiny

PROMPT = tiny.tokens_of(7)
OTHER = tiny.tokens_of(7, seed=5)
REGIMES = [Freeze.NOTHING, Freeze.ATTENTION]


def activations(dictionary: Dictionary, x: torch.Tensor) -> torch.Tensor:
    """The dense activations of one prompt."""
    firing = dictionary.encode(x)
    dense = torch.zeros(len(x), dictionary.n_features)
    dense[firing.pos, firing.feature] = firing.value
    return dense


def whole_pass(replacement: Replacement, changed: dict[tuple[int, int, int], float], freeze: Freeze) -> torch.Tensor:
    """The logits of one whole pass in which activations (layer, position, feature) are set, done by hand."""
    model, tokens = replacement.model, pad([PROMPT])
    patterns = {layer: Site(layer, "pattern") for layer in range(model.n_layers)}
    frozen = run(model, tokens, read=patterns.values()).sites
    added: dict[Site, torch.Tensor] = {}
    rewrite: dict[Site, Rewrite] = {}

    def read(dictionary: Dictionary) -> Rewrite:
        def note(value: torch.Tensor, _: int) -> torch.Tensor:
            dense = activations(dictionary, value[0])
            for (layer, pos, feature), wanted in changed.items():
                if layer == dictionary.layer:
                    for number, site in enumerate(dictionary.writes):
                        row = (wanted - dense[pos, feature]) * dictionary.decoder[feature, number]
                        added.setdefault(site, torch.zeros(len(PROMPT), model.d_model))[pos] += row
            return value

        return note

    def write(site: Site) -> Rewrite:
        return lambda value, _: value + added[site] if site in added else value

    for dictionary in replacement.transcoders:
        rewrite[dictionary.read] = read(dictionary)
        rewrite |= {site: write(site) for site in dictionary.writes}
    if freeze is Freeze.ATTENTION:
        rewrite |= {site: (lambda pattern: lambda _value, _start: pattern)(frozen[site]) for site in patterns.values()}
    return run(model, tokens, rewrite=rewrite).logits[0, 0]


def firing_features(replacement: Replacement, n: int) -> list[tuple[int, int, int]]:
    """Some (layer, position, feature) that fire, no two alike."""
    reads = [dictionary.read for dictionary in replacement.transcoders]
    seen = run(replacement.model, pad([PROMPT]), read=reads).sites
    found = [
        (dictionary.layer, int(pos), int(feature))
        for dictionary in replacement.transcoders
        for pos, feature in activations(dictionary, seen[dictionary.read][0]).nonzero()
    ]
    draws = torch.Generator().manual_seed(1)
    return [found[int(number)] for number in torch.randperm(len(found), generator=draws)[:n]]


COMBINATIONS = [(family, "relu") for family in tiny.FAMILIES] + [("gemma2", kind) for kind in tiny.DICTIONARIES]
COMBINATIONS += [("llama-grouped-tied", kind) for kind in tiny.DICTIONARIES]


@pytest.mark.parametrize("freeze", REGIMES)
@pytest.mark.parametrize(("family", "kind"), COMBINATIONS)
def test_setting_features_adds_their_decoders_to_what_the_mlps_write(family: str, kind: str, freeze: Freeze):
    replacement = tiny.tiny_replacement(family, kind)
    places = firing_features(replacement, 4)
    changed = {place: 0.5 * number for number, place in enumerate(places)} | {(1, len(PROMPT) - 1, 3): 4.0}
    edits = [Set(Feature(layer, feature), value, At(pos)) for (layer, pos, feature), value in changed.items()]
    outcome = intervene(replacement, PROMPT, edits, freeze=freeze)
    expected = whole_pass(replacement, changed, freeze)
    torch.testing.assert_close(outcome.logits_after, expected, atol=2e-5, rtol=1e-5)
    assert not torch.allclose(outcome.logits_after, outcome.logits_before, atol=1e-4)


def edits_of(replacement: Replacement) -> list[list[Edit]]:
    """Cases of every kind."""
    (layer, pos, feature), (other_layer, _, other) = firing_features(replacement, 2)
    width = replacement.model.d_model
    one, two = Feature(layer, feature), Feature(other_layer, other)
    return [
        [Scale(one, 0.0)],
        [Set(one, 3.0, At(pos)), Steer(two, -1.5, at=LAST)],
        [Scale(Site(1, "mlp_out"), 0.0, At(2, -1))],
        [Set(Head(2, 1), 0.0, From(3))],
        [Steer(Site(0, "resid_post"), 0.7, torch.linspace(-1, 1, width), at=At(4))],
        [Patch(Site(1, "attn_out"), OTHER, At(1))],
        [Patch(two, OTHER), Scale(one, -1.0, At(pos))],
        [Only([(one, pos), (two, From(0))])],
    ]


@pytest.mark.parametrize("freeze", Freeze)
@pytest.mark.parametrize(("family", "kind"), COMBINATIONS)
def test_a_batch_gives_what_single_cases_give(family: str, kind: str, freeze: Freeze):
    replacement = tiny.tiny_replacement(family, kind)
    prompts = [PROMPT, tiny.tokens_of(7, seed=9)]
    cases = [Case(prompt, edits) for edits in edits_of(replacement) for prompt in prompts]
    watch = [Feature(2, number) for number in range(4)]
    for case, together in zip(cases, intervene_many(replacement, cases, freeze=freeze, watch=watch), strict=True):
        alone = intervene(replacement, case.prompt, case.edits, freeze=freeze, watch=watch)
        torch.testing.assert_close(together.logits_after, alone.logits_after, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.logits_before, alone.logits_before, atol=1e-5, rtol=1e-5)
        for first, second in zip(together.watched, alone.watched, strict=True):
            torch.testing.assert_close(first.after, second.after, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(first.preactivation_after, second.preactivation_after, atol=1e-5, rtol=1e-5)


def present(replacement: Replacement) -> list[list[Edit]]:
    """Edits that ask for what is there already."""
    layer, pos, feature = firing_features(replacement, 1)[0]
    known = intervene(replacement, PROMPT, [Scale(Head(0, 0), 1.0)], watch=[Feature(layer, feature)])
    value = float(known.watched[0].before[pos])
    everything = [(Feature(one, number), From(0)) for one in range(3) for number in range(tiny.FEATURES)]
    return [
        [Set(Feature(layer, feature), value, At(pos))],
        [Scale(Feature(layer, feature), 1.0)],
        [Scale(Site(1, "resid_mid"), 1.0), Scale(Head(1, 2), 1.0)],
        [Steer(Feature(layer, feature), 0.0)],
        [Steer(Site(0, "mlp_out"), 0.0, torch.ones(replacement.model.d_model))],
        [Patch(Feature(layer, feature), PROMPT)],
        [Patch(Site(1, "resid_pre"), PROMPT), Patch(Head(2, 3), PROMPT)],
        [Only(everything)],
        [Only([], ResampleFrom([PROMPT]))],
    ]


@pytest.mark.parametrize("freeze", Freeze)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_edit_that_changes_nothing_changes_nothing_exactly(family: str, freeze: Freeze):
    replacement = tiny.tiny_replacement(family, "cross-layer skip")
    for edits in present(replacement):
        outcome = intervene(replacement, PROMPT, edits, freeze=freeze, watch=[Feature(2, 0)])
        assert torch.equal(outcome.logits_after, outcome.logits_before)
        assert torch.equal(outcome.watched[0].after, outcome.watched[0].before)
        assert outcome.divergence == 0


@pytest.mark.parametrize("kind", tiny.DICTIONARIES)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_edit_that_changes_nothing_changes_nothing_for_any_dictionary(family: str, kind: str):
    replacement = tiny.tiny_replacement(family, kind)
    for edits in present(replacement):
        outcome = intervene(replacement, PROMPT, edits)
        assert torch.equal(outcome.logits_after, outcome.logits_before)


def test_ablating_a_feature_that_does_not_fire_changes_nothing():
    replacement = tiny.tiny_replacement()
    silent = next(
        Feature(1, number)
        for number in range(tiny.FEATURES)
        if not intervene(replacement, PROMPT, [Scale(Head(0, 0), 1.0)], watch=[Feature(1, number)])
        .watched[0]
        .before.any()
    )
    outcome = intervene(replacement, PROMPT, [Scale(silent, 0.0)])
    assert torch.equal(outcome.logits_after, outcome.logits_before)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_patching_the_last_stream_gives_the_other_prompts_answer(family: str):
    model = tiny.tiny_model(family)
    answer = run(model, pad([OTHER])).logits[0, 0]
    outcome = intervene(model, PROMPT, [Patch(Site(2, "resid_post"), OTHER, LAST)])
    torch.testing.assert_close(outcome.logits_after, answer, atol=1e-5, rtol=1e-5)
    below = intervene(model, PROMPT, [Patch(Site(0, "resid_pre"), OTHER)])
    torch.testing.assert_close(below.logits_after, answer, atol=1e-5, rtol=1e-5)


def test_patching_takes_the_positions_that_are_aligned():
    model, longer = tiny.tiny_model(), torch.cat([tiny.tokens_of(2, seed=3), PROMPT])
    site = Site(1, "mlp_out")
    value = run(model, pad([longer]), read=[site]).sites[site][0, 8]
    patched = intervene(model, PROMPT, [Patch(site, longer, LAST, At(-1))])
    by_hand = intervene(model, PROMPT, [Set(site, value, LAST)])
    torch.testing.assert_close(patched.logits_after, by_hand.logits_after)


def test_features_that_no_circuit_keeps_take_their_reference():
    replacement, references = tiny.tiny_replacement(kind="jumprelu"), [OTHER, tiny.tokens_of(5, seed=8)]
    dictionaries = list(replacement.transcoders)
    model, keep = replacement.model, [(Feature(1, 4), 3), (Feature(0, 2), From(2))]
    other = run(model, pad([OTHER]), read=[one.read for one in dictionaries]).sites
    drawn = {one.layer: activations(one, other[one.read][0]) for one in dictionaries}
    reads = [run(model, pad([prompt]), read=[one.read for one in dictionaries]).sites for prompt in references]
    means = {
        one.layer: torch.cat([activations(one, each[one.read][0]) for each in reads]).mean(0) for one in dictionaries
    }
    for reference, values in (
        (None, {layer: torch.zeros_like(value) for layer, value in drawn.items()}),
        (ResampleFrom([OTHER]), drawn),
        (MeanOver(references), {layer: value.expand(len(PROMPT), -1) for layer, value in means.items()}),
    ):
        kept = {(1, 3, 4)} | {(0, pos, 2) for pos in range(2, len(PROMPT))}
        changed = {
            (layer, pos, feature): float(values[layer][pos, feature])
            for layer in values
            for pos in range(len(PROMPT))
            for feature in range(tiny.FEATURES)
            if (layer, pos, feature) not in kept
        }
        outcome = intervene(replacement, PROMPT, [Only(keep, reference)])
        expected = whole_pass(replacement, changed, Freeze.NOTHING)
        torch.testing.assert_close(outcome.logits_after, expected, atol=5e-5, rtol=1e-4)


def test_edits_after_only_find_what_it_left():
    replacement = tiny.tiny_replacement()
    layer, pos, feature = firing_features(replacement, 1)[0]
    both = intervene(replacement, PROMPT, [Only([]), Steer(Feature(layer, feature), 2.0, at=At(pos))])
    kept = intervene(
        replacement, PROMPT, [Only([(Feature(layer, feature), pos)]), Set(Feature(layer, feature), 2.0, At(pos))]
    )
    torch.testing.assert_close(both.logits_after, kept.logits_after, atol=1e-5, rtol=1e-5)


def test_the_mean_of_a_site_is_taken_over_all_positions():
    model, site = tiny.tiny_model(), Site(1, "attn_out")
    mean = run(model, pad([OTHER]), read=[site]).sites[site][0].mean(0)
    found = intervene(model, PROMPT, [Set(site, MeanOver([OTHER]))]).logits_after
    torch.testing.assert_close(found, intervene(model, PROMPT, [Set(site, mean)]).logits_after)


class Made(Sequence[list[int]]):
    """Reference prompts that nobody keeps: each is made anew when it is asked for."""

    def __getitem__(self, number: Any) -> Any:
        return tiny.tokens_of(7, seed=range(5)[number]).tolist()

    def __len__(self) -> int:
        return 5


def test_reference_prompts_that_nobody_keeps_are_told_apart():
    model, site = tiny.tiny_model("llama-grouped-tied"), Site(1, "mlp_out")
    made, kept = (
        [Case(PROMPT, [Set(site, ResampleFrom(prompts, seed))]) for seed in range(12)]
        for prompts in (Made(), list(Made()))
    )
    for one, other in zip(intervene_many(model, made), intervene_many(model, kept), strict=True):
        assert torch.equal(one.logits_after, other.logits_after)


def test_watched_features_show_their_own_edits_and_what_those_lead_to():
    replacement = tiny.tiny_replacement()
    layer, pos, feature = next(place for place in firing_features(replacement, 50) if place[0] == 0)
    later = [Feature(2, number) for number in range(tiny.FEATURES)]
    outcome = intervene(
        replacement, PROMPT, [Scale(Feature(layer, feature), 0.5, At(pos))], watch=[Feature(0, feature), *later]
    )
    own = outcome.watched[0]
    assert float(own.after[pos]) == pytest.approx(0.5 * float(own.before[pos]))
    assert torch.equal(own.preactivation_after, own.preactivation_before)
    for watched in outcome.watched[1:]:
        assert torch.equal(watched.after[:pos], watched.before[:pos])
        torch.testing.assert_close(watched.after, watched.preactivation_after.clamp(min=0), atol=1e-5, rtol=1e-5)
    assert any(not torch.allclose(watched.after, watched.before, atol=1e-3) for watched in outcome.watched[1:])


def test_a_direction_added_to_the_stream_is_what_the_next_layer_reads():
    model, direction = tiny.tiny_model(), torch.linspace(-1, 1, tiny.WIDTH)
    stream = run(model, pad([PROMPT]), read=[Site(1, "resid_pre")]).sites[Site(1, "resid_pre")][0, 3]
    steered = intervene(model, PROMPT, [Steer(Site(0, "resid_post"), 2.0, direction, At(3))])
    by_hand = intervene(model, PROMPT, [Set(Site(1, "resid_pre"), stream + 2 * direction, At(3))])
    torch.testing.assert_close(steered.logits_after, by_hand.logits_after, atol=1e-5, rtol=1e-5)


def test_a_head_is_its_own_part_of_what_attention_puts_out():
    model = tiny.tiny_model("gemma2")
    width = model.blocks[1].attention.d_head

    def silence(value: torch.Tensor, _: int) -> torch.Tensor:
        value = value.clone()
        value[..., 2 * width : 3 * width] = 0
        return value

    expected = run(model, pad([PROMPT]), rewrite={Site(1, "head_out"): silence}).logits[0, 0]
    found = intervene(model, PROMPT, [Scale(Head(1, 2), 0.0)]).logits_after
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_later_edits_find_what_earlier_ones_left():
    replacement, feature = tiny.tiny_replacement(), Feature(1, 3)
    twice = [Set(feature, 1.5, LAST), Scale(feature, 2.0, LAST), Steer(feature, 0.25, at=LAST)]
    once = intervene(replacement, PROMPT, [Set(feature, 3.25, LAST)])
    torch.testing.assert_close(intervene(replacement, PROMPT, twice).logits_after, once.logits_after)


def test_many_cases_are_run_a_few_at_a_time():
    replacement, done = tiny.tiny_replacement(), list[tuple[int, int]]()
    cases = [Case(PROMPT, [Scale(Site(1, "mlp_out"), 0.1 * number, LAST)]) for number in range(12)]
    few = intervene_many(replacement, cases, n_bytes=4000, progress=lambda n, of: done.append((n, of)))
    for outcome, again in zip(few, intervene_many(replacement, cases), strict=True):
        torch.testing.assert_close(outcome.logits_after, again.logits_after, atol=1e-5, rtol=1e-5)
    assert done == [(number, 12) for number in range(1, 13)]


REFUSED: list[tuple[list[Edit], str]] = [
    ([], "There are no edits"),
    ([Scale(Feature(1, 99))], "There is no feature L1F99: the dictionary at layer 1 has features 0 to 39"),
    ([Scale(Feature(7, 1))], "There is no dictionary at layer 7 for L7F1; layers 0, 1, 2 have one"),
    ([Scale(Feature(1, 1), 0.0, At(7))], "There is no position 7: the prompt has 7 tokens"),
    ([Patch(Feature(1, 1), [5, 6, 7])], "The prompt has 7 tokens and the one that it is patched from 3"),
    ([Patch(Feature(1, 1), [5, 6, 7], LAST, At(1, 2))], "1 positions are patched from 2"),
    (
        [Steer(Site(1, "mlp_out"), 1.0, torch.ones(5))],
        r"direction for L1.mlp_out has shape \(5,\), but L1.mlp_out is 32",
    ),
    ([Steer(Site(1, "mlp_out"), 1.0)], "Steering L1.mlp_out needs a direction of width 32"),
    ([Steer(Feature(1, 1), 1.0, torch.ones(32))], "L1F1 is steered along its own decoder"),
    ([Set(Feature(1, 1), torch.ones(32))], "L1F1 is one number"),
    ([Scale(Head(1, 4))], "There is no head L1H4: tiny llama-grouped-tied has heads 0 to 3"),
    ([Scale(Head(3, 0))], "There is no L3H0: tiny llama-grouped-tied has layers 0 to 2"),
    ([Scale(Site(1, "pattern"))], "is inside attention"),
    ([Scale(Feature(1, 1)), Only([])], "Only must be the first"),
    ([Scale(Site(1, "mlp_out"), 0.0, At(2, -5))], "@2,-5 names a position of this prompt twice"),
    ([Only([], MeanOver([]))], "MeanOver has no prompts"),
    ([Only([], ResampleFrom([[5, 6]]))], "the reference prompt that was drawn has 2"),
]


@pytest.mark.parametrize(("edits", "sentence"), REFUSED)
def test_edits_that_make_no_sense_are_refused_in_one_sentence(edits: list[Edit], sentence: str):
    with pytest.raises(RequestError, match=sentence):
        intervene(tiny.tiny_replacement(), PROMPT, edits)


def test_features_need_dictionaries():
    for edit in (Scale(Feature(1, 1)), Only([])):
        with pytest.raises(RequestError, match="was given without dictionaries"):
            intervene(tiny.tiny_model(), PROMPT, [edit])


def test_special_leading_tokens_hold_no_features():
    replacement, prompt = tiny.tiny_replacement(), [1, *PROMPT.tolist()]
    with pytest.raises(RequestError, match="L1F1 has no position 0 to edit"):
        intervene(replacement, prompt, [Set(Feature(1, 1), 2.0, At(0))])
    everywhere = intervene(replacement, prompt, [Set(Feature(1, 1), 2.0)])
    chosen = intervene(replacement, prompt, [Set(Feature(1, 1), 2.0, At(*range(1, 8)))])
    torch.testing.assert_close(everywhere.logits_after, chosen.logits_after)


def test_what_leads_nowhere_once_everything_is_frozen_is_refused():
    with pytest.raises(RequestError, match="L1.mlp_in leads nowhere"):
        intervene(tiny.tiny_model(), PROMPT, [Scale(Site(1, "mlp_in"))], freeze=Freeze.EVERYTHING)
    with pytest.raises(RequestError, match="nothing to generate"):
        intervene(
            tiny.tiny_model(), PROMPT, [Scale(Head(1, 1))], freeze=Freeze.EVERYTHING, generation=Generation(n_tokens=2)
        )


def test_the_difference_is_that_of_the_two_answers():
    outcome: Outcome = intervene(tiny.tiny_model(), PROMPT, [Scale(Head(1, 1))], difference=Difference(5, 9))
    before, after = outcome.logits_before, outcome.logits_after
    assert outcome.effect == pytest.approx(float(before[5] - before[9] - after[5] + after[9]))
    assert outcome.token == 5
    with pytest.raises(RequestError, match="are the same token"):
        intervene(tiny.tiny_model(), PROMPT, [Scale(Head(1, 1))], difference=Difference(5, 5))
