"""``circuitwise demo``: two behaviours studied from prompts to a report; what ``make demo`` runs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from circuitwise.cli.opening import ModelName
from circuitwise.cli.screen import AsJson, Quiet, Screen
from circuitwise.cli.studying import carry_out
from circuitwise.cli.studyruns import draw_table, result_of, run_value
from circuitwise.dictionaries.shipped import shipped_for
from circuitwise.study.aims import InterventionChoice
from circuitwise.study.opening import RANDOM
from circuitwise.study.overview import strongest_sentences
from circuitwise.study.plan import Chosen, GraphChoice, Plan
from circuitwise.study.run import Run
from circuitwise.study.study import RUNS

BEHAVIOURS = (Chosen(suite="grammar", n_test=12), Chosen(suite="capitals", n_test=10))
"""What is studied."""
N_TRAIN = 12
"""Prompts that each circuit is found on."""
ACTS = InterventionChoice(features=4, controls=1, strengths=(1.0, 5.0), steered=1)
"""What is done to them: half of what a study does, so that it is over in minutes."""
N_SENTENCES = 3
"""Findings that are shown at the end."""
NO_FINDINGS = (
    "No dictionaries are shipped for this model, so random directions stand for them: they show how a study goes, and "
    "nothing found with them is a finding."
)
EXAMPLES = """\b
Examples:
  circuitwise demo
  circuitwise demo --output runs/first
  circuitwise demo --model openai-community/gpt2
"""


def demo(
    model: ModelName = "smollm2",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="RUN", help="The run's folder.")] = Path(RUNS)
    / "demo",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Study two behaviours of a model, from prompts to a report.

    Does a noun's number decide its verb, and does a country bring its capital? Twelve prompts of each are traced, what
    recurs becomes a circuit, and that is put to the proof on other prompts, beside a hundred random circuits. On two
    cores this takes a few minutes; given again, the command goes on where it was. `circuitwise study` does the same
    with behaviours, prompts and thresholds of your own.
    """
    screen = Screen(quiet=quiet, json=as_json)
    shipped = shipped_for(model)
    plan = Plan(
        name="demo",
        suites=tuple(BEHAVIOURS),
        model=model,
        transcoders=RANDOM if shipped is None else shipped,
        graphs=GraphChoice(n_prompts=N_TRAIN),
        interventions=ACTS,
        n_prompts=N_TRAIN,
    )
    run, page = carry_out(screen, plan, output)
    if shipped is None:
        screen.note(NO_FINDINGS)
    assert page is not None
    value = {**run_value(run), "report": str(page), "remark": NO_FINDINGS if shipped is None else None}
    screen.show(value, lambda console: _draw(console, run, page))


def _draw(console: Console, run: Run, page: Path) -> None:
    """What came of it, the strongest findings, and where to look."""
    draw_table(console, run)
    console.print()
    for name in run.behaviours:
        console.print(f"{name}: {result_of(run, name)}", markup=False, soft_wrap=True)
    if found := strongest_sentences(run, N_SENTENCES):
        console.print("\nThe strongest findings, on prompts that the circuits were not found on:")
        for number, (name, sentence) in enumerate(found, 1):
            console.print(f"{number}. {name}: {sentence.text}", markup=False, soft_wrap=True)
    console.print(f"\nThe report: {page}", markup=False, soft_wrap=True)
