"""``circuitwise quality``: how good a set of dictionaries is, layer by layer."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from circuitwise.cli.graphwriting import Force, check_free
from circuitwise.cli.opening import (
    BUILTIN,
    AllowMisfit,
    Device,
    Dtype,
    ModelName,
    Token,
    open_model,
    open_replacement,
)
from circuitwise.cli.screen import AsJson, Quiet, Screen, listing
from circuitwise.cli.trainrecipe import parse_layers, parse_tokens, text_of
from circuitwise.errors import PromptError, RequestError
from circuitwise.quality.budget import Cut, QualityBudget
from circuitwise.quality.figure import check_ending, write_quality_figure
from circuitwise.quality.measure import measure_quality
from circuitwise.quality.quality import GraphScores, Quality
from circuitwise.storage import write_text
from circuitwise.training.text import check_text

EXAMPLES = """\b
Examples:
  circuitwise quality smollm2 --text held-out.jsonl.xz
  circuitwise quality my-set --text held-out.txt --tokens 100k --spliced 20k --plot quality.png
  circuitwise quality coders --text held-out/ --prompts 0 --precision bfloat16 --json
  circuitwise quality my-set --text held-out.txt --prompts prompts.txt --markdown
"""


class MeasureQuality(NamedTuple):
    """Measure how good a set of dictionaries is for a model.

    For every layer: the fraction of variance unexplained (FVU), the features that fire on a token (L0), the features
    that never fired (dead), the cross-entropy with this layer's dictionary in the place of what it stands for, with
    zero and with the mean there, the share of the loss that the dictionary recovers, and its part in the errors of
    graphs. Then all layers at once, and the scores of the graphs.

    Give text that the set was not trained on. SET may be the folder of a training.
    """

    transcoders: Annotated[
        str, typer.Argument(metavar="SET", help="A short name, a reference, a folder, or the word random.")
    ]
    text: Annotated[
        str,
        typer.Option("--text", help="A .txt or .jsonl file, packed or not, a folder, or hub:OWNER/NAME:CONFIG:SPLIT."),
    ]
    model: ModelName = BUILTIN
    tokens: Annotated[str, typer.Option("--tokens", help="Tokens for FVU, L0 and dead features, for example 100k.")] = (
        f"{QualityBudget().tokens}"
    )
    spliced: Annotated[
        str, typer.Option("--spliced", help="Of these, tokens for cross-entropy: what takes most of the time.")
    ] = f"{QualityBudget().spliced}"
    prompts: Annotated[
        str, typer.Option("--prompts", help="How many prompts are cut from the text for graphs, or a file of prompts.")
    ] = f"{Cut().number}"
    rows: Annotated[int, typer.Option("--rows", help="Features of a graph that become nodes, at most.")] = (
        QualityBudget().rows
    )
    layers: Annotated[str | None, typer.Option("--layers", help="List some layers only, for example 0,3,6 or 0-5.")] = (
        None
    )
    context: Annotated[int, typer.Option("--context", help="Tokens that the model reads at a time.")] = (
        QualityBudget().context
    )
    precision: Annotated[
        str, typer.Option("--precision", help="Of the model's large products: float32 or bfloat16 (faster).")
    ] = QualityBudget().precision
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Write a figure: .png, .svg or .pdf.")] = (
        None
    )
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows as a table.")] = None
    markdown: Annotated[bool, typer.Option("--markdown", help="Show the table as Markdown.")] = False
    force: Force = False
    dtype: Dtype = None
    device: Device = None
    allow_misfit: AllowMisfit = False
    token: Token = None
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Load, measure, write, show."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        how = _budget(self)
        text = text_of(self.text)
        check_text(text)  # a missing text is said before the model is loaded
        for path in filter(None, (self.plot, self.csv)):
            check_free(path, "artifact", force=self.force)
        if self.plot is not None:
            check_ending(self.plot)
        model = open_model(screen, self.model, dtype=self.dtype, device=self.device, token=self.token)
        replacement = open_replacement(
            screen, model, self.transcoders, token=self.token, allow_misfit=self.allow_misfit
        )
        with screen.counting("Measuring") as progress:
            found = measure_quality(replacement, text, how=how, progress=progress)
        if self.plot is not None:
            write_quality_figure(found, self.plot)
        if self.csv is not None:
            write_text(self.csv, found.to_pandas().to_csv(lineterminator="\n"))
        screen.show(found.to_json(), lambda console: (_draw_markdown if self.markdown else _draw)(console, found))


def _budget(asked: MeasureQuality) -> QualityBudget:
    if asked.precision not in ("bfloat16", "float32"):
        raise RequestError(f"Products cannot be computed in “{asked.precision}”. Choose bfloat16 or float32.")
    return QualityBudget(
        tokens=parse_tokens(asked.tokens),
        spliced=parse_tokens(asked.spliced),
        prompts=_prompts(asked.prompts),
        rows=asked.rows,
        layers=None if asked.layers is None else parse_layers(asked.layers),
        context=asked.context,
        precision=asked.precision,
    )


def _prompts(text: str) -> Cut | tuple[str, ...]:
    """A number of prompts to cut from the text, or the lines of a file."""
    if text.strip().isdecimal():
        return Cut(number=int(text))
    try:
        lines = tuple(line for line in Path(text).read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PromptError(
            f"“{text}” is neither a number of prompts nor a file of prompts, one a line ({reason})."
        ) from error
    if not lines:
        raise PromptError(f"{text} holds no prompt. Write one a line.")
    return lines


def _draw(console: Console, found: Quality) -> None:
    head, *rows = found.rows()
    table = listing()
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    before, after = _before(found), _after(found)
    console.print(before, markup=False, soft_wrap=True, end="\n\n")
    console.print(table)
    console.print()
    for sentence in after:
        console.print(sentence, markup=False, soft_wrap=True)


def _draw_markdown(console: Console, found: Quality) -> None:
    head, *rows = found.rows()
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    page = "\n\n".join([_before(found), table, "\n".join(_after(found))])
    console.print(page, markup=False, soft_wrap=True)


def _before(found: Quality) -> str:
    """What was measured on what."""
    measured = found.measured
    trained = "" if found.n_trained is None else f", trained on {found.n_trained:,} tokens"
    made_for = "" if found.made_for in (None, found.model) else f" (it says it was made for {found.made_for})"
    first = "position" if measured.n_excluded == 1 else f"{measured.n_excluded} positions"
    return (
        f"{found.transcoders} ({found.kind}{trained}) on {found.model}{made_for}. {measured.n_tokens:,} tokens of "
        f"{measured.text} in sequences of {measured.context}, the first {first} of each left alone and "
        f"{measured.n_outliers:,} outliers left out of FVU, L0 and dead; "
        f"cross-entropy on {measured.n_spliced:,} tokens."
    )


def _after(found: Quality) -> list[str]:
    """What the table does not say."""
    together = found.together
    sentences = [
        f"The model itself: {found.cross_entropy:.3f} nats a token. All layers at once: {together.spliced:.3f}, which "
        f"recovers {together.recovered} of what zero loses; KL divergence {together.divergence:.3f}.",
    ]
    if found.graphs is not None:
        sentences += _graph_sentences(found.graphs)
    if found.no_graphs is not None:
        sentences.append(f"There are no graphs: {found.no_graphs}")
    if found.misfit:
        sentences.append("These dictionaries do not reconstruct this model; they were let through because you asked.")
    return sentences


def _graph_sentences(graphs: GraphScores) -> list[str]:
    unscored = len(graphs.prompts) - graphs.n_scored
    sentences = [
        f"{graphs.n_scored} graphs of at most {graphs.rows:,} features: replacement {graphs.replacement} (folded "
        f"{graphs.replacement_folded}), completeness {graphs.completeness} (folded {graphs.completeness_folded})."
    ]
    if unscored:
        sentences.append(f"{unscored} prompts have no score: nothing reaches their targets.")
    return sentences
