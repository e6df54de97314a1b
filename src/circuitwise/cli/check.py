"""``circuitwise check``: whether everything works here, on one model, with real graphs behind the answer.

Each check belongs to one of four gates: is everything installed, does the model run, do its graphs say what it does,
and can others go on from here?
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from circuitwise.cli.checks import (
    CheckResult,
    Checks,
    check_behaviour,
    check_complete,
    check_dictionaries,
    check_intervention,
    check_memory,
    check_model,
    check_no_op,
    check_saving,
    check_scores,
    check_trace,
    check_versions,
)
from circuitwise.cli.graphwriting import check_free
from circuitwise.cli.machine import describe_machine
from circuitwise.cli.opening import BUILTIN, RANDOM, ModelName, SetName
from circuitwise.cli.screen import AsJson, Quiet, Screen
from circuitwise.dictionaries.shipped import shipped_for
from circuitwise.errors import PromptError
from circuitwise.graph.graph import Graph
from circuitwise.memory import peak_resident
from circuitwise.replacement import Replacement
from circuitwise.storage import Json, Provenance, write_json
from circuitwise.suites import BEHAVIOURS

PROMPTS = ("The capital of France is", "Write a poem about trees", "Describe a happy day")
"""What is traced unless other prompts are given; the last two leave open what comes next."""
GATES: Mapping[str, str] = {
    "installation": "Is everything installed?",
    "model": "Does the model run, with dictionaries, from a prompt to a graph?",
    "understanding": "Does a graph say what the model does?",
    "integration": "Can others go on from here, with files and prompts?",
}
"""What the checks add up to, by name."""
FAILED = 1
"""The exit code where a check failed."""
EXAMPLES = """\b
Examples:
  circuitwise check
  circuitwise check --output validation.json
  circuitwise check --model google/gemma-2-2b --transcoders gemma --json
  circuitwise check --prompt "The opposite of hot is" --quiet && echo sound
"""


def check(
    model: ModelName = BUILTIN,
    transcoders: SetName = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="What is traced, instead of three prompts; may be given several times."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Also write the JSON to a file; an older one is replaced."),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check that everything works here, on one model: versions, weights, dictionaries, graphs, interventions, suites.

    Prompts are traced, and the graphs are put to the proof: edges add up to what they explain, files give back what
    was saved, interventions do what edges say. Where no dictionaries are shipped for the model and none are named,
    random ones stand in: they prove the machinery as well. All is computed in float32, since sums are held to that.

    Exit code 0: every check passed. 1: one failed. 2: the command cannot be understood, and nothing was checked.
    """
    screen = Screen(quiet=quiet, json=as_json)
    prompts = PROMPTS if prompt is None else tuple(prompt)
    if not all(each.strip() for each in prompts):
        raise PromptError("The prompt is empty. Give the text that the model shall continue.")
    if output is not None:
        check_free(output, "artifact", force=True)
    checks, suites = Checks(screen), Checks(screen)
    report = _report(model, transcoders or shipped_for(model) or RANDOM, prompts, checks, suites)
    if output is not None:
        write_json(output, report)
    made = [*checks.results, *suites.results]
    screen.show(report, lambda console: _draw(console, made))
    if output is not None:
        screen.note(f"Written to {output}.")
    if not report["overall_success"]:
        raise typer.Exit(FAILED)


def _report(name: str, set_name: str, prompts: Sequence[str], checks: Checks, suites: Checks) -> dict[str, Json]:
    """Make all checks, and put them into one value."""
    time, machine = Provenance.now().time, describe_machine()
    checks.make("installation", "versions", check_versions)
    model = checks.make("model", "model", partial(check_model, name))
    replacement = checks.make("model", "dictionaries", partial(check_dictionaries, model, set_name))
    graphs = [_check_prompt(checks, replacement, prompt) for prompt in prompts]
    graph = next((each for each in graphs if each is not None), None)
    checks.make("understanding", "intervention", partial(check_intervention, replacement, graph))
    checks.make("understanding", "no-op", partial(check_no_op, replacement, graph))
    for behaviour in BEHAVIOURS:
        suites.make("integration", f"suite {behaviour}", partial(check_behaviour, model, behaviour))
    checks.make("installation", "memory", partial(check_memory, model, machine.memory_total))
    made = [*checks.results, *suites.results]
    return {
        "timestamp": time,
        "versions": {"python": machine.python, **machine.packages},
        "model": name if model is None else model.name,
        "transcoders": set_name if replacement is None else replacement.transcoders.name,
        "peak_bytes": peak_resident(),
        "results": [asdict(each) for each in checks.results],
        "ws2_results": [asdict(each) for each in suites.results],
        "gates": {gate: all(each.passed for each in made if each.gate == gate) for gate in GATES},
        "overall_success": all(each.passed for each in made),
    }


def _check_prompt(checks: Checks, replacement: Replacement | None, prompt: str) -> Graph | None:
    checks.prompt = prompt
    graph = checks.make("model", "trace", partial(check_trace, replacement, prompt))
    checks.make("model", "scores", partial(check_scores, graph))
    checks.make("understanding", "complete", partial(check_complete, graph))
    checks.make("integration", "save and load", partial(check_saving, graph))
    checks.prompt = None
    return graph


def _draw(console: Console, made: Sequence[CheckResult]) -> None:
    """Gate by gate, then whether all is well."""
    for gate, question in GATES.items():
        here = [each for each in made if each.gate == gate]
        answer = "yes" if all(each.passed for each in here) else "NO"
        console.print(f"{question} {answer}", markup=False, style="bold", soft_wrap=True)
        for each in here:
            word = "passed" if each.passed else "FAILED"
            console.print(f"  {word}  {each.title}: {each.sentence}", markup=False, soft_wrap=True)
            if each.remark is not None:
                console.print(f"          {each.remark}", markup=False, soft_wrap=True)
        console.print()
    n_failed, seconds = sum(not each.passed for each in made), math.fsum(each.seconds for each in made)
    told = f"{n_failed} of {len(made)} checks failed" if n_failed else f"All {len(made)} checks passed"
    console.print(f"{told}, in {seconds:.0f} s.", markup=False, soft_wrap=True)
