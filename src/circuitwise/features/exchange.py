"""Features as other tools write and read them: circuit-tracer's viewer and Neuronpedia, both ways.

    circuit-tracer   FOLDER/{number}.json, the number standing for layer and index (Cantor's pairing), which its viewer
                     looks for in features/{scan}/. Examples stand in groups: “Top activations”, then quintiles
    Neuronpedia      one object: pos_str, neg_str, activations, explanations, a histogram

Both draw histograms with bars of one width, ours are logarithmic: each of our bins is spread evenly over the bars that
it covers, so the bars add up to the number of firings. What a format has no place for comes back empty.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.features.labels import Label
from circuitwise.features.profile import Bar, Context, Profile, Token
from circuitwise.storage import write_text
from circuitwise.storage.envelope import existing_file
from circuitwise.vocabulary import Feature

N_BARS = 50
"""Bars of a histogram with bars of one width."""
TOP = "Top activations"
"""What circuit-tracer's viewer calls the first group."""
UNKNOWN = -1
"""The id of a token that a file names by its text only."""


def write_tracer_features(profiles: Iterable[Profile], folder: Path | str, *, transcoders: str) -> int:
    """Write one file a feature for circuit-tracer's viewer, and return how many."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    n_written = 0
    for profile in profiles:
        feature = profile.feature
        total = feature.layer + feature.index
        number = total * (total + 1) // 2 + feature.index
        _write(place / f"{number}.json", tracer_value(profile, transcoders=transcoders))
        n_written += 1
    return n_written


def tracer_value(profile: Profile, *, transcoders: str) -> dict[str, object]:
    """A feature in the layout of circuit-tracer's viewer."""
    n_groups = len(profile.quintiles)
    groups = [(TOP, profile.strongest)]
    groups += [(f"Quintile {n_groups - at} of {n_groups}", group) for at, group in enumerate(profile.quintiles)]
    return {
        "transcoder_id": f"{transcoders}-{profile.feature.layer}",
        "index": profile.feature.index,
        "examples_quantiles": [
            {"quantile_name": name, "examples": [_tracer_example(context) for context in group]}
            for name, group in groups
            if group
        ],
        "top_logits": [token.text for token in profile.promoted],
        "bottom_logits": [token.text for token in profile.suppressed],
        "act_min": 0.0,
        "act_max": profile.maximum,
        "quantile_values": _percentiles(profile.bars),
        "histogram": even_bars(profile),
        "activation_frequency": profile.frequency,
        "label": profile.label.text,
    }


def read_tracer_feature(path: Path | str) -> Profile:
    """The feature in a file of that layout; the file's name says which layer it is of."""
    value = _read(path)
    try:
        groups = {
            str(group["quantile_name"]): tuple(_context(each) for each in group["examples"])
            for group in cast("list[dict[str, list[dict[str, object]]]]", value["examples_quantiles"])
        }
        number = int(Path(path).stem) if Path(path).stem.isdecimal() else None
        index = int(cast("int", value["index"]))
        layer = _layer_of(number, index)
        return Profile(
            feature=Feature(layer, index),
            promoted=_named(value["top_logits"]),
            suppressed=_named(value["bottom_logits"]),
            label=Label(text=str(value.get("label", "")), share=0.0, source="file"),
            frequency=float(cast("float", value["activation_frequency"])),
            maximum=float(cast("float", value["act_max"])),
            strongest=groups.get(TOP, ()),
            quintiles=tuple(group for name, group in groups.items() if name != TOP),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtifactError(f"{path} is no feature of circuit-tracer's viewer ({error!r}). Get it anew.") from error


def neuronpedia_value(profile: Profile, *, model: str, source_set: str) -> dict[str, object]:
    """A feature in Neuronpedia's layout; its tokens must carry values, so compute them with the dictionaries."""
    if any(token.value is None for token in (*profile.promoted, *profile.suppressed)):
        raise RequestError(
            "Neuronpedia's layout says how much each token is promoted, which a survey does not store. Name the "
            "dictionaries too, with --transcoders."
        )
    width = profile.maximum / N_BARS
    heights = even_bars(profile)
    return {
        "modelId": model,
        "layer": f"{profile.feature.layer}-{source_set}",
        "index": str(profile.feature.index),
        "sourceSetName": source_set,
        "frac_nonzero": profile.frequency,
        "maxActApprox": profile.maximum,
        "pos_str": [token.text for token in profile.promoted],
        "pos_values": [token.value for token in profile.promoted],
        "neg_str": [token.text for token in profile.suppressed],
        "neg_values": [token.value for token in profile.suppressed],
        "freq_hist_data_bar_heights": heights,
        "freq_hist_data_bar_values": [(at + 0.5) * width for at in range(len(heights))],
        "activations": [
            {
                "tokens": [token.text for token in context.tokens],
                "values": list(context.activations),
                "maxValue": max(context.activations),
                "maxValueTokenIndex": context.activations.index(max(context.activations)),
                "minValue": min(context.activations),
            }
            for context in (*profile.strongest, *(each for group in profile.quintiles for each in group))
        ],
        "explanations": [
            {"description": profile.label.text, "explanationModelName": profile.label.source, "scores": []}
        ],
    }


def write_neuronpedia_feature(profile: Profile, path: Path | str, *, model: str, source_set: str) -> None:
    """Write one feature in Neuronpedia's layout."""
    _write(Path(path), neuronpedia_value(profile, model=model, source_set=source_set))


def read_neuronpedia_feature(path: Path | str) -> Profile:
    """The feature in a file of Neuronpedia's layout, which knows one list of contexts: all come back as strongest."""
    value = _read(path)
    try:
        explanations = cast("list[dict[str, str]]", value.get("explanations") or [])
        contexts = tuple(
            _context(each | {"tokens_acts_list": each["values"]})
            for each in cast("list[dict[str, object]]", value.get("activations") or [])
        )
        text = explanations[0]["description"] if explanations else ""
        return Profile(
            feature=Feature(int(str(value["layer"]).split("-")[0]), int(cast("str", value["index"]))),
            promoted=_named(value["pos_str"], value["pos_values"]),
            suppressed=_named(value["neg_str"], value["neg_values"]),
            label=Label(text=text, share=0.0, source="file"),
            frequency=float(cast("float", value.get("frac_nonzero") or 0.0)),
            maximum=float(cast("float", value.get("maxActApprox") or 0.0)),
            strongest=tuple(sorted(contexts, key=lambda context: -context.value)),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtifactError(f"{path} is no feature of Neuronpedia ({error!r}). Get the file anew.") from error


def even_bars(profile: Profile) -> list[float]:
    """The histogram in bars of one width, from 0 to the maximum."""
    heights = [0.0] * N_BARS
    width = profile.maximum / N_BARS
    for bar in profile.bars:
        start, stop = bar.start, min(bar.stop, profile.maximum)
        span = stop - start
        for at in range(N_BARS):
            overlap = min(stop, (at + 1) * width) - max(start, at * width)
            if span > 0 and overlap > 0:
                heights[at] += bar.count * overlap / span
    return heights


def _percentiles(bars: Sequence[Bar]) -> list[float]:
    """The activations below which 1 %, 2 %, … of all lie, as exactly as the bins tell."""
    return [_quantile(bars, percent / 100) for percent in range(1, 101)] if bars else []


def _quantile(bars: Sequence[Bar], share: float) -> float:
    wanted = share * sum(bar.count for bar in bars)
    for bar in bars:
        if wanted <= bar.count:
            return bar.start + (bar.stop - bar.start) * wanted / max(1, bar.count)
        wanted -= bar.count
    return bars[-1].stop


def _tracer_example(context: Context) -> dict[str, object]:
    return {
        "tokens_acts_list": list(context.activations),
        "train_token_ind": context.peak,
        "is_repeated_datapoint": False,
        "tokens": [token.text for token in context.tokens],
    }


def _context(example: dict[str, object]) -> Context:
    activations = tuple(float(value) for value in cast("list[float]", example["tokens_acts_list"]))
    tokens = _named(example["tokens"])
    peak = int(cast("int", example.get("train_token_ind", activations.index(max(activations)))))
    if len(tokens) != len(activations) or not 0 <= peak < len(tokens):
        raise ValueError("tokens and activations differ in number")
    return Context(sequence=-1, start=0, tokens=tokens, activations=activations, peak=peak)


def _named(texts: object, values: object = None) -> tuple[Token, ...]:
    names = [str(text) for text in cast("list[object]", texts)]
    numbers = [None] * len(names) if values is None else [float(value) for value in cast("list[float]", values)]
    return tuple(Token(UNKNOWN, text, value) for text, value in zip(names, numbers, strict=True))


def _layer_of(number: int | None, index: int) -> int:
    """The layer, from the number that names the file: (layer + index)(layer + index + 1)/2 + index."""
    if number is None:
        return 0
    layer = 0
    while (layer + index) * (layer + index + 1) // 2 + index < number:
        layer += 1
    return layer


def _write(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, separators=(",", ":"), allow_nan=False))


def _read(path: Path | str) -> dict[str, object]:
    try:
        value: object = json.loads(existing_file(path).read_bytes())
    except ValueError as error:
        raise ArtifactError(f"{path} is not valid JSON: {error}. Get the file anew.") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} holds no object, but a feature is one. Get the file anew.")
    return cast("dict[str, object]", value)
