"""The page and the Markdown of a report, from what was read of its run. Text of prompts never becomes markup."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import isfinite
from typing import Literal, cast

import jinja2
from markupsafe import Markup

from circuitwise.evidence import Claim, Interval
from circuitwise.features import Survey
from circuitwise.report.chapter import Chapter
from circuitwise.report.ink import Picture
from circuitwise.report.network import Network, prompt_network
from circuitwise.storage import Json
from circuitwise.study.graphs import PromptGraph
from circuitwise.study.planfile import plan_text
from circuitwise.study.run import Manifest, Run
from circuitwise.study.sentences import chance, nats, percent

MOST_PROMPTS = 24
"""Prompts whose graphs are on the page."""
MOST_FAILURES = 40
"""Failed prompts that are listed there."""
PACKAGE = files("circuitwise.report") / "templates"
"""Where templates, style and script lie."""
SCRIPTS = ("layout.js", "panel.js", "page.js")
"""The parts of the page's script, in order."""
SHARES = ("necessity", "sufficiency", "minimality", "importance")
"""Claims whose value is a share; all others are about logit differences, in nats."""
UNTRIED = "The circuit was not put to the proof in this run."
"""Stands where a verdict would stand."""
ANSWER = "right less wrong answer"
"""What a circuit's graph leads to."""
HARD = "\N{NO-BREAK SPACE}"
"""Holds together what belongs to one number."""
Unit = Literal["share", "nats"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One behaviour, ready to be shown."""

    chapter: Chapter
    """What the run has about it."""
    network: Network | None
    """Its circuit, as it is drawn."""
    prompts: Sequence[tuple[PromptGraph, Network]]
    """Single prompts, as they are drawn."""
    pictures: Mapping[str, Picture]
    """Its figures by what they show."""

    def as_json(self) -> dict[str, Json]:
        """What the page's script reads."""
        circuit = self.chapter.circuit
        groups = () if circuit is None else circuit.supernodes
        return {
            "name": self.chapter.behaviour,
            "answer": ANSWER,
            "circuit": None if self.network is None else self.network.as_json(),
            "groups": [{"label": each.label, "n": len(each.members), "sign": each.sign} for each in groups],
            "prompts": [
                {
                    "prompt": row.prompt,
                    "target": row.target,
                    "difference": row.difference,
                    "replacement": row.replacement,
                    "completeness": row.completeness,
                    "n_features": row.n_features,
                    "drawn": network.n_drawn,
                    "network": network.as_json(),
                }
                for row, network in self.prompts
            ],
        }


def prompt_networks(run: Run, chapter: Chapter, survey: Survey | None) -> list[tuple[PromptGraph, Network]]:
    """The first prompts' graphs, one opened after the other."""
    members = () if chapter.circuit is None else chapter.circuit.members
    return [
        (row, prompt_network(run.graph(chapter.behaviour, row.number), members, survey))
        for row in chapter.prompts[:MOST_PROMPTS]
    ]


def page(run: Run, parts: Sequence[Part]) -> str:
    """The whole report as one HTML file."""
    return render("page.html", run.manifest, parts, plan_text(run.plan))


def markdown(run: Run, parts: Sequence[Part]) -> str:
    """The report in Markdown, with the figures beside it."""
    return render("report.md", run.manifest, parts, plan_text(run.plan))


def environment() -> jinja2.Environment:
    """The templates with the words that they use; HTML is escaped, Markdown by its own filter."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("circuitwise.report"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":"), "allow_nan": False}
    filters = {"how": _value, "bounds": _bounds, "chance": _chance, "without": _without, "plain": _plain}
    filters |= {"typeset": typeset}
    cast("dict[str, object]", found.filters).update(filters)
    return found


def claim_of(chapter: Chapter, name: str) -> Claim | None:
    """One of the claims about a circuit."""
    claims = () if chapter.proof is None else chapter.proof.claims
    return next((claim for claim in claims if claim.name == name), None)


def unit_of(claim: Claim) -> Unit:
    """What a claim's value is measured in."""
    return "share" if claim.name in SHARES else "nats"


def opening(chapter: Chapter) -> str:
    """The verdict's first sentence."""
    if chapter.proof is None:
        return UNTRIED
    return _without(chapter.proof.headline, chapter.verdict).split(". ")[0].removesuffix(".") + "."


def typeset(text: str) -> str:
    """A sentence with minus signs and numbers that no line breaks apart; names such as L3F7@-1 stay as they are."""
    text = re.sub(r"(?<![\w@.\-])-(?=\d)", "\N{MINUS SIGN}", text)
    text = re.sub(r"(?<=\d) ?%", f"{HARD}%", text)
    text = re.sub(r"\b([pq]) = (?=[\d.])", rf"\1{HARD}={HARD}", text)
    return re.sub(r"\[[^\[\]]{1,40}\]", lambda found: found[0].replace(" ", HARD), text)


def render(template: str, told: Manifest | None, parts: Sequence[Part], plan: str = "", explored: Json = None) -> str:
    """A template with everything that any of them asks for."""
    templates = environment()
    sources = {name: (PACKAGE / name).read_text("utf-8") for name in ("page.css", *SCRIPTS)}
    return templates.get_template(template).render(
        told=told,
        sections=parts,
        plan=plan,
        explored=explored,
        most_failures=MOST_FAILURES,
        claim_of=claim_of,
        unit_of=unit_of,
        opening=opening,
        untried=UNTRIED,
        scatter_name=_scatter_name,
        when=_when,
        css=Markup(sources["page.css"]),
        script=Markup("\n".join(sources[name] for name in SCRIPTS)),
    )


def _value(value: float | None, unit: Unit) -> str:
    """A number in its unit."""
    if value is None or not isfinite(value):
        return "–"
    match unit:
        case "share":
            return typeset(percent(value))
        case "nats":
            return typeset(nats(value))


def _bounds(value: Interval, unit: Unit) -> str:
    """Where it lies."""
    if not (isfinite(value.low) and isfinite(value.high)):
        return "[no bounds]"
    return f"[{_value(value.low, unit)}, {_value(value.high, unit)}]"


def _chance(value: float | None) -> str:
    return "–" if value is None else chance(value)


def _without(text: str, verdict: str) -> str:
    """A headline without the verdict that stands before it."""
    rest = text.removeprefix(f"{verdict.capitalize()}: ")
    return rest[:1].upper() + rest[1:]


def _plain(text: object) -> str:
    """Text in Markdown: nothing of it means anything else."""
    return re.sub(r"([\\`*_{}\[\]<>|#~$])", r"\\\1", re.sub(r"\s+", " ", str(text)))


def _scatter_name(chapter: Chapter, number: int) -> str:
    scatters = () if chapter.interventions is None else chapter.interventions.scatters
    return scatters[number].name if number < len(scatters) else ""


def _when(time: str) -> str:
    """A time as people write it."""
    return time[:16].replace("T", " ") + " UTC"
