"""What a study's work costs follows its plan."""

from dataclasses import replace

from circuitwise.study.aims import InterventionChoice
from circuitwise.study.plan import STAGES, Chosen, CircuitChoice, Plan
from circuitwise.study.prices import prices_of, work_ahead
from circuitwise.study.proving import ProofChoice

PLAN = Plan(name="x", suites=(Chosen(suite="capitals"),))


def test_every_kind_of_work_has_a_price() -> None:
    ahead = {kind: n for stage in STAGES for kind, n in work_ahead(PLAN, stage, 80, 30).items()}
    assert set(ahead) == set(prices_of(PLAN)) and ahead["graphs"] == 20 and ahead["evidence"] == 30
    assert ahead["baseline"] == 110


def test_what_is_done_more_often_costs_more() -> None:
    usual = prices_of(PLAN)
    fewer = prices_of(replace(PLAN, interventions=InterventionChoice(features=4, controls=1, strengths=(1.0, 5.0))))
    for kind in ("ablation", "patching", "steering", "neutral"):
        assert fewer[kind].passes < 0.7 * usual[kind].passes and fewer[kind].seconds < 0.7 * usual[kind].seconds
    more = prices_of(replace(PLAN, evidence=ProofChoice(controls=200), circuit=CircuitChoice(size=10)))
    assert more["evidence"].passes > 1.8 * usual["evidence"].passes
    assert more["evidence"].seconds < usual["evidence"].seconds, "there are fewer features to set"
    assert all(more[kind] == usual[kind] for kind in ("baseline", "features", "graphs"))
