"""Numbers of hand-made rows, worked out by hand."""

import pytest

from circuitwise.errors import RequestError
from circuitwise.evidence import Bootstrap, Permute, flip_signs
from circuitwise.study.curves import curves_of
from circuitwise.study.effects import effects_of, gather
from circuitwise.study.measurement import InterventionType, Measurement

HOW = Bootstrap(draws=200, seed=789)
BASELINE = (4.0, 2.0, 1.0, 5.0)
GROUPS = ("a", "a", "b", "c")


def row(
    number: int,
    after: float,
    *,
    kind: InterventionType = "ablation_zero",
    control: str = "",
    strength: float | None = None,
) -> Measurement:
    before = BASELINE[number]
    return Measurement(
        prompt_idx=number,
        prompt=f"prompt {number}",
        baseline_logit_diff=before,
        intervened_logit_diff=after,
        effect_size=before - after,
        relative_effect=(before - after) / abs(before),
        intervention_type=kind,
        layer="3",
        features_intervened="" if number == 3 and kind == "ablation_zero" else "L3F1@2",
        correct_token=" a",
        incorrect_token=" b",
        aim="everything" if kind == "patching_everything" else "L3F1@-1",
        kind="everything" if kind == "patching_everything" else "feature",
        control=control,
        strength=strength,
        baseline_probability=0.5,
        intervened_probability=0.5 - 0.1 * number,
        probability_effect=0.1 * number,
        frozen_effect=2.0 * number if kind == "ablation_zero" and not control else None,
        group=GROUPS[number],
    )


def rows_of(
    after: tuple[float, ...], kind: InterventionType = "ablation_zero", control: str = "", strength: float | None = None
):
    return [row(number, value, kind=kind, control=control, strength=strength) for number, value in enumerate(after)]


def test_means_ratios_and_controls_are_those_of_a_hand_computation():
    rows = [
        *rows_of((1.0, 1.0, -1.0, 4.0)),
        *rows_of((4.0, 1.5, 1.0, 5.0), control="feature 1"),
        *rows_of((3.0, 2.0, 1.0, 5.5), control="feature 2"),
    ]
    (effect,) = effects_of(gather(rows), (), HOW)
    assert effect.baseline.estimate == 3
    assert effect.intervened.estimate == 1.25
    assert effect.effect.estimate == 1.75  # 3, 1, 2, 1
    assert effect.relative.estimate == pytest.approx(1.75 / 3)  # and not the mean of 0.75, 0.5, 2, 0.2
    assert effect.control is not None
    assert effect.control.estimate == pytest.approx((0.5 + 0.25 + 0 - 0.25) / 4)
    assert effect.beyond is not None
    assert effect.beyond.estimate == pytest.approx(1.75 - 0.125)
    assert effect.p == flip_signs([2.5, 0.75, 2.0, 1.25], clusters=GROUPS, how=Permute(seed=789)).p
    assert effect.q == effect.p  # one test alone
    assert effect.probability.estimate == pytest.approx(0.15)
    assert effect.flipped.estimate == 0.25
    assert effect.touched == 0.75
    assert effect.frozen is not None
    assert effect.frozen.estimate == 3
    assert effect.effect.n_clusters == 3
    assert effect.moved is None


def test_patching_is_a_share_of_the_way_to_the_contrast():
    rows = rows_of((2.0, 0.0, 1.0, 3.0), "patching") + rows_of((-4.0, -2.0, -1.0, -5.0), "patching_everything")
    patched, whole = effects_of(gather(rows), (), HOW)
    assert patched.moved is not None
    assert whole.moved is not None
    assert patched.moved.estimate == pytest.approx(1.5 / 6)
    assert whole.moved.estimate == 1
    assert patched.control is patched.p is patched.q is None


def test_q_is_corrected_for_all_effects():
    rows = [
        *rows_of((1.0, 1.0, -1.0, 4.0)),
        *rows_of((4.0, 1.5, 1.0, 5.0), control="feature 1"),
        *rows_of((3.9, 2.0, 1.1, 5.0), "ablation_inhibit"),
        *rows_of((4.0, 2.0, 1.0, 5.0), "ablation_inhibit", control="feature 1"),
    ]
    first, second = effects_of(gather(rows), (), HOW)
    assert first.p is not None
    assert first.q is not None
    assert second.p is not None
    assert first.p < second.p
    assert first.q == pytest.approx(min(1, 2 * first.p))


def test_a_curve_says_where_it_rises_and_where_it_falls():
    rows = [
        *rows_of((5.0, 1.0, 2.0, 6.0), "steering_amplify", strength=1.0),
        *rows_of((6.0, 0.0, 1.5, 7.0), "steering_amplify", strength=5.0),
    ]
    (curve,) = curves_of(gather(rows), (), HOW)
    assert curve.strengths == (0.0, 1.0, 5.0)
    assert [each.estimate for each in curve.difference] == [3.0, 3.5, 3.625]
    assert curve.monotone
    assert (curve.rising.estimate, curve.falling.estimate) == (0.5, 0.25)  # the third goes up and down
    assert curve.control == ()


def test_nothing_comes_to_nothing():
    with pytest.raises(RequestError, match="nothing to summarise"):
        gather([])
