"""``circuitwise feature``: what one feature means, on one page."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, NamedTuple, cast

import torch
import typer
from rich.console import Console
from rich.text import Text

from circuitwise.cli.opening import chosen_set, draw_for, is_drawn, open_model
from circuitwise.cli.screen import AsJson, Quiet, Screen
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.dictionaries.shipped import shipped_survey
from circuitwise.dictionaries.transcoders import Transcoders
from circuitwise.errors import RequestError
from circuitwise.features.exchange import write_neuronpedia_feature, write_tracer_features
from circuitwise.features.labels import Label, readable
from circuitwise.features.page import about, feature_page, groups_of
from circuitwise.features.profile import Context, Profile, Token
from circuitwise.features.promoted import promoted_tokens
from circuitwise.features.saving import check_belongs, load_survey
from circuitwise.model.model import Model
from circuitwise.model.tokens import token_text
from circuitwise.storage import Json, write_text
from circuitwise.vocabulary import Feature, integers, numbers

EXAMPLES = """\b
Examples:
  circuitwise feature L12F345
  circuitwise feature L12F345 --survey my-survey
  circuitwise feature L12F345 --transcoders my-set/set
  circuitwise feature L12F345 --transcoders my-set/set --survey my-survey --html feature.html
"""
N_TOKENS = 10
"""How many promoted tokens are computed."""
BLOCKS = " ▁▂▃▄▅▆▇█"
"""The heights of a bar."""
SHADES = ("", "on grey23", "on orange4", "on dark_orange3", "black on orange1")
"""A token's background, from silent to the feature's maximum."""


class FeatureRequest(NamedTuple):
    """Show what one feature means: its label, the tokens that it promotes, and where it fires.

    The survey (see `circuitwise survey`) knows where it fires; the dictionaries tell how much it promotes each token.
    Either is enough, both together are checked to belong together; without --transcoders no model is loaded. Without
    either, the dictionaries that come along for the model are meant, and the survey that came with them.
    """

    feature: Annotated[str, typer.Argument(help="Layer and index, for example L12F345.", show_default=False)]
    transcoders: Annotated[
        str | None, typer.Option("--transcoders", "-t", help="The dictionaries: a set's name or folder.")
    ] = None
    survey: Annotated[Path | None, typer.Option("--survey", help="The folder of a survey of them.")] = None
    model: Annotated[str, typer.Option("--model", help="The model that the dictionaries belong to.")] = "smollm2"
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one page that needs no network.")
    ] = None
    tracer: Annotated[
        Path | None, typer.Option("--tracer", metavar="FOLDER", help="Write it for circuit-tracer's viewer.")
    ] = None
    neuronpedia: Annotated[
        Path | None, typer.Option("--neuronpedia", metavar="FILE", help="Write it in Neuronpedia's layout.")
    ] = None
    contexts: Annotated[int, typer.Option("--contexts", min=0, help="How many contexts of each group are shown.")] = 5
    token: Annotated[str | None, typer.Option("--token", help="An access token for gated models.")] = None
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Open, compute, write, show."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        feature = Feature.parse(self.feature)
        profile, set_name, model_name = self._profile(screen, feature)
        written = self._write(profile, set_name, model_name)
        for path in written:
            screen.note(f"Written: {path}")
        screen.show(_as_json(profile, written), lambda console: _draw(console, profile, self.contexts))

    def _profile(self, screen: Screen, feature: Feature) -> tuple[Profile, str, str]:
        """The profile, and what set and model are called."""
        survey = self.survey
        if survey is None:
            survey = shipped_survey(chosen_set(self.transcoders, self.model))
        found = None if survey is None else load_survey(survey, layers=[feature.layer])
        profile = None if found is None else found.profile(feature)
        if self.transcoders is None and found is not None and profile is not None:
            return profile, found.origin.transcoders, found.origin.model
        name = chosen_set(self.transcoders, self.model)
        model = open_model(screen, self.model, dtype=None, device=None, token=self.token)
        with screen.working(f"Loading {name}"):
            transcoders = _open(model, name, self.token)
        if found is not None:
            check_belongs(found, transcoders)
        return _with_values(model, transcoders, feature, profile), transcoders.name, model.name

    def _write(self, profile: Profile, set_name: str, model_name: str) -> list[str]:
        written: list[str] = []
        if self.html is not None:
            write_text(self.html, feature_page(profile))
            written.append(str(self.html))
        if self.tracer is not None:
            write_tracer_features([profile], self.tracer, transcoders=set_name)
            written.append(str(self.tracer))
        if self.neuronpedia is not None:
            write_neuronpedia_feature(profile, self.neuronpedia, model=model_name, source_set=set_name)
            written.append(str(self.neuronpedia))
        return written


def _open(model: Model, name: str, token: str | None) -> Transcoders:
    return draw_for(model) if is_drawn(name) else load_transcoders(name, token=token, device=model.device)


def _with_values(model: Model, transcoders: Transcoders, feature: Feature, profile: Profile | None) -> Profile:
    """The profile with the tokens that the feature promotes, computed anew."""
    dictionary = next((each for each in transcoders if each.layer == feature.layer), None)
    if dictionary is None:
        held = ", ".join(str(each.layer) for each in transcoders)
        raise RequestError(f"{transcoders.name} has dictionaries for the layers {held}, so there is no {feature}.")
    if feature.index >= dictionary.n_features:
        raise RequestError(
            f"There is no {feature}: layer {feature.layer} has the features 0 to {dictionary.n_features - 1}."
        )
    if transcoders.d_model != model.d_model or any(site.layer >= model.n_layers for site in transcoders.sites):
        raise RequestError(
            f"{transcoders.name} was made for {transcoders.model_name or 'another model'}, not for {model.name}. "
            "Name its model with --model."
        )
    row = torch.tensor([feature.index])
    ends = promoted_tokens(model, dictionary, features=row, n=min(N_TOKENS, model.d_vocab))
    promoted = _tokens(model, ends.top, ends.top_value)
    suppressed = _tokens(model, ends.bottom, ends.bottom_value)
    if profile is not None:
        return replace(profile, promoted=promoted, suppressed=suppressed)
    names = ", ".join(f"“{readable(token.text)}”" for token in promoted[:3])
    label = Label(text=f"promotes {names}", share=0.0)
    return Profile(feature=feature, promoted=promoted, suppressed=suppressed, label=label)


def _tokens(model: Model, ids: torch.Tensor, values: torch.Tensor) -> tuple[Token, ...]:
    pairs = zip(integers(ids.flatten()), numbers(values.flatten()), strict=True)
    return tuple(Token(token, token_text(model, token), value) for token, value in pairs)


def _as_json(profile: Profile, written: list[str]) -> Json:
    value = asdict(profile)
    value["feature"] = str(profile.feature)
    return cast("Json", value | {"written": written})


def _draw(console: Console, profile: Profile, n_contexts: int) -> None:
    console.print(Text.assemble((str(profile.feature), "bold"), f"  {profile.label.text}"), soft_wrap=True)
    if profile.strongest:
        console.print(f"The label covers {profile.label.share:.0%} of drawn firings.")
    console.print(about(profile), end="\n\n")
    for title, tokens in (("Promotes", profile.promoted), ("Suppresses", profile.suppressed)):
        named = "  ".join(_named(token) for token in tokens)
        console.print(Text.assemble((f"{title:<10}  ", "dim"), named), soft_wrap=True)
    if profile.bars:
        tallest = max(bar.count for bar in profile.bars)
        heights = "".join(BLOCKS[-(-bar.count * (len(BLOCKS) - 1) // tallest)] for bar in profile.bars)
        start, stop = profile.bars[0].start, profile.bars[-1].stop
        console.print(Text.assemble(("\nActivations ", "dim"), f"{start:.3g} {heights} {stop:.3g}"))
    for title, contexts in groups_of(profile):
        if n_contexts:
            console.print(Text(f"\n{title}", "bold"))
        for context in contexts[:n_contexts]:
            console.print(_context_line(profile, context), soft_wrap=True)


def _named(token: Token) -> str:
    value = "" if token.value is None else f" {token.value:+.2f}"
    return f"“{readable(token.text)}”{value}"


def _context_line(profile: Profile, context: Context) -> Text:
    """The activation, then the text: shaded by activation, the token that it was chosen for in guillemets."""
    line = Text(f"{context.value:8.3g}  ")
    for place, (token, activation) in enumerate(zip(context.tokens, context.activations, strict=True)):
        share = activation / profile.maximum if profile.maximum > 0 else 0.0
        shade = SHADES[min(len(SHADES) - 1, int(share * (len(SHADES) - 1)) + 1)] if activation > 0 else ""
        text = readable(token.text)
        line.append(f"«{text}»" if place == context.peak else text, shade)
    return line
