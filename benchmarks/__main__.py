"""``python -m benchmarks``: attribution, interventions, training, stories, scaling, gemma, tables.

``--json`` prints one JSON value as the last line of the output; ``--keep`` puts the result into ``benchmarks/results``.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import attribution, gemma, interventions, scaling, stories, tables, training
from benchmarks.jobs import JOBS
from benchmarks.machine import n_cores
from benchmarks.results import note, show
from circuitwise.errors import CircuitwiseError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    below = top.add_subparsers(dest="benchmark", required=True)
    against = below.add_parser("attribution", help="whole runs against circuit-tracer, alternating")
    against.add_argument("--job", choices=JOBS, default="smollm2-shape", help="what to run")
    against.add_argument("--pairs", type=int, default=3, help="runs of each side")
    acting = below.add_parser("interventions", help="ablations against circuit-tracer, alternating")
    acting.add_argument("--job", choices=interventions.POSSIBLE, default="smollm2-shape", help="what to run")
    acting.add_argument("--pairs", type=int, default=3, help="runs of each side")
    learning = below.add_parser("training", help="training against eai-sparsify, alternating")
    learning.add_argument("--job", choices=training.JOBS, default="smollm2", help="what to run")
    learning.add_argument("--pairs", type=int, default=3, help="runs of each side")
    telling = below.add_parser("stories", help="the quality of sets trained on stories15M in 40 minutes of two cores")
    growth = below.add_parser("scaling", help="time and memory against the prompt's length and the rows")
    growth.add_argument("--plan", choices=scaling.PLANS, default="full", help="which points to run")
    large = below.add_parser("gemma", help="Gemma-2-2B shapes on an accelerator")
    large.add_argument("--device", default="cuda", help="where to run")
    below.add_parser("tables", help="make the tables of docs/benchmarks.md from the results that are kept")
    for command in (against, acting, learning, telling, growth):
        command.add_argument("--threads", type=int, default=n_cores(), help="threads of each run")
        command.add_argument("--folder", type=Path, help="where the weights are written; the cache by default")
    for command in (against, acting, learning, telling, large):
        command.add_argument("--keep", action="store_true", help="put the result into benchmarks/results")
    for command in (against, acting, learning, telling, growth, large):
        command.add_argument("--json", action="store_true", help="print the result as JSON in the last line")
    return top


def run(arguments: argparse.Namespace) -> None:
    """Run one benchmark."""
    match arguments.benchmark:
        case "attribution":
            job = JOBS[arguments.job]
            result = attribution.measure(
                job, n_pairs=arguments.pairs, n_threads=arguments.threads, root=arguments.folder
            )
            attribution.report(result, keep_it=arguments.keep)
        case "interventions":
            job = JOBS[arguments.job]
            result = interventions.measure(
                job, n_pairs=arguments.pairs, n_threads=arguments.threads, root=arguments.folder
            )
            interventions.report(result, keep_it=arguments.keep)
        case "training":
            result = training.measure(
                training.JOBS[arguments.job],
                n_pairs=arguments.pairs,
                n_threads=arguments.threads,
                root=arguments.folder,
            )
            training.report(result, keep_it=arguments.keep)
        case "stories":
            result = stories.measure(n_threads=arguments.threads, root=arguments.folder)
            stories.report(result, keep_it=arguments.keep)
        case "scaling":
            plan = scaling.PLANS[arguments.plan]
            result = scaling.measure(plan, n_threads=arguments.threads, root=arguments.folder)
            scaling.report(result)
            result = scaling.summarise(result) | result
        case "gemma":
            result = gemma.measure(gemma.find_device(arguments.device))
            gemma.report(result, keep_it=arguments.keep)
        case _:
            tables.write_tables()
            return
    if arguments.json:
        show(json.dumps(result))


def main() -> int:
    """Run what the command line asks for; 2 where the user can mend what is wrong."""
    try:
        run(parser().parse_args())
    except CircuitwiseError as error:
        note(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
