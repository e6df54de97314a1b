"""The stages that find a circuit: baseline, features, graphs, circuit.

Each takes the work on a behaviour, keeps what it computes prompt by prompt, and writes the files of S4's layout. Files
hold no times and no places of this machine.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import BinaryIO

import numpy as np

from circuitwise.circuit.aggregatesaving import save_aggregate
from circuitwise.circuit.aggregatetables import aggregate_network
from circuitwise.errors import RequestError
from circuitwise.interchange.s4 import write_s4
from circuitwise.prompts import SPLITS, Item, ItemTokens, Split
from circuitwise.storage import Json, write_json
from circuitwise.study.baseline import PROMPTS_PER_RUN, BaselineRow, measure_rows, read_item
from circuitwise.study.circuits import find_circuit
from circuitwise.study.features import Firings, LayerUse, add_up, fire, open_tallies, sampled_positions
from circuitwise.study.graphs import describe_graph, trace_item
from circuitwise.study.layout import (
    baseline_file,
    circuit_file,
    features_file,
    graph_file,
    graphs_file,
    layer_file,
    layer_meta_file,
    supernodes_file,
)
from circuitwise.study.run import Run
from circuitwise.study.store import GRAPH, TENSORS, copy_file
from circuitwise.study.tablefiles import array_file, write_rows
from circuitwise.study.work import Work
from circuitwise.study.written import written_fields

Sampled = tuple[int, tuple[int, ...], list[int]]
"""A prompt's number, its tokens, and the positions of it that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a stage came to."""

    done: int
    """Prompts that went through it."""
    files: Sequence[str]
    """What it wrote, as paths in the run."""


def run_baseline(work: Work) -> Outcome:
    """Both answers' log-probabilities after every prompt."""
    files = [baseline_file(work.behaviour, split) for split in SPLITS]
    done = 0
    for split, file in zip(SPLITS, files, strict=True):
        rows = list(_baseline_rows(work, split))
        if not rows:
            raise RequestError(f"No prompt of the split “{split}” could be measured. See the failures in the manifest.")
        write_rows(work.file(file), list(asdict(rows[0])), map(asdict, rows))
        done += len(rows)
    return Outcome(done=done, files=files)


def _baseline_rows(work: Work, split: Split) -> Iterator[BaselineRow]:
    """Every prompt's row; what runs together is the same however often the study was interrupted."""
    model = work.opened.model
    read = [(item, tokens) for _, item, tokens in work.every("", split, lambda _, item: read_item(model, item))]
    work.store.clock.forgo("baseline", len(work.suite.split(split)) - len(read))
    for start in range(0, len(read), PROMPTS_PER_RUN):
        some = read[start : start + PROMPTS_PER_RUN]
        of: Json = [work.opened.model_key, [item.as_json() for item, _ in some]]
        found = work.store.json("baseline", of, partial(_measure, work, some), n=len(some))
        yield from (BaselineRow(**row) for row in found)
        work.report(start + len(some), len(read))


def _measure(work: Work, some: Sequence[tuple[Item, ItemTokens]]) -> Json:
    items, tokens = [item for item, _ in some], [each for _, each in some]
    return [written_fields(row) for row in measure_rows(work.opened.model, items, tokens)]


def run_features(work: Work) -> Outcome:
    """What fires on every prompt, and the arrays that this comes to."""
    done, files = 0, list[str]()
    for split in SPLITS:
        read = [sampled for _, _, sampled in work.every("features", split, partial(_keep_firings, work))]
        if not read:
            raise RequestError(f"No prompt of the split “{split}” could be encoded. See the failures in the manifest.")
        files += _write_features(work, split, read)
        done += len(read)
    return Outcome(done=done, files=files)


def _keep_firings(work: Work, number: int, item: Item) -> Sampled:
    replacement = work.opened.replacement
    ids = read_item(replacement.model, item).scored_prompt
    positions = sampled_positions(replacement, ids, work.plan.features.positions)
    _firings(work, (number, ids, positions))
    return number, ids, positions


def _firings(work: Work, sampled: Sampled) -> Firings:
    _, ids, positions = sampled
    of: Json = [work.opened.key, ids, positions]
    return work.store.keep("features", of, lambda: fire(work.opened.replacement, ids, positions), TENSORS)


def _write_features(work: Work, split: Split, read: Sequence[Sampled]) -> list[str]:
    """S4's arrays of every layer: rows of samples are appended prompt by prompt, the rest is known at the end."""
    n_samples = sum(len(positions) for _, _, positions in read)
    tallies = open_tallies(work.opened.replacement, work.plan.features)
    named = partial(layer_file, work.behaviour, split)
    files: list[str] = []
    with ExitStack() as whole:
        open_files: dict[tuple[int, str], BinaryIO] = {}
        for tally in tallies:
            for name, (width, kind) in tally.rows.items():
                files.append(named(tally.layer, name))
                open_files[tally.layer, name] = whole.enter_context(
                    array_file(work.file(files[-1]), (n_samples, width), kind)
                )
        add_up(
            tallies,
            (_firings(work, each) for each in read),
            lambda layer, name, rows: open_files[layer, name].write(rows.tobytes()),
        )
    none = np.zeros((n_samples, 0), np.int64), np.zeros((n_samples, 0), np.float32)
    uses = [tally.settle(len(read), *none) for tally in tallies]
    for use in uses:
        arrays = {"feature_frequencies": use.frequency, "feature_means": use.mean, "feature_maxima": use.maximum}
        for name, array in arrays.items():
            files.append(named(use.layer, name))
            with array_file(work.file(files[-1]), array.shape, np.float32) as file:
                file.write(array.tobytes())
    return [*files, *_write_meta(work, split, read, uses)]


def _write_meta(work: Work, split: Split, read: Sequence[Sampled], uses: Sequence[LayerUse]) -> list[str]:
    metas: list[Json] = []
    for use, dictionary in zip(uses, work.opened.replacement.transcoders, strict=True):
        metas.append(
            {
                "layer": use.layer,
                "kind": dictionary.kind,
                "read": str(dictionary.read),
                "activation": type(dictionary.activation).__name__,
                "n_features": dictionary.n_features,
                "n_firing": use.n_firing,
                "n_features_that_fire": int((use.frequency > 0).sum()),
                "n_samples": len(use.top_indices),
                "top_k": min(work.plan.features.top_k, dictionary.n_features),
            }
        )
        write_json(work.file(layer_meta_file(work.behaviour, split, use.layer)), metas[-1])
    samples: Json = [[number, pos] for number, _, positions in read for pos in positions]
    summary: Json = {
        "behaviour": work.behaviour,
        "split": split,
        "positions": work.plan.features.positions,
        "n_prompts": len(read),
        "samples": samples,
        "layers": metas,
    }
    write_json(work.file(features_file(work.behaviour, split)), summary)
    written = [layer_meta_file(work.behaviour, split, use.layer) for use in uses]
    return [*written, features_file(work.behaviour, split)]


def run_graphs(work: Work) -> Outcome:
    """The graph of every training prompt that gets one."""
    first = work.plan.graphs.n_prompts
    found = [row for _, _, row in work.every("graphs", "train", partial(_trace, work), first=first)]
    if not found:
        raise RequestError("No prompt could be traced. See the failures in the manifest.")
    write_json(work.file(graphs_file(work.behaviour)), found)
    return Outcome(done=len(found), files=[graphs_file(work.behaviour), *(str(row["file"]) for row in found)])


def _trace(work: Work, number: int, item: Item) -> dict[str, Json]:
    """Keep the graph, put it where it belongs, and describe it."""
    replacement, how = work.opened.replacement, work.plan.graphs
    ids, file = read_item(replacement.model, item), graph_file(work.behaviour, number)
    of: Json = [work.opened.key, ids.scored_prompt, ids.scored, how.rows]
    graph = work.store.keep("graphs", of, lambda: trace_item(replacement, item, how), GRAPH)
    copy_file(work.store.path("graphs", of, GRAPH.suffix), work.file(file))
    return written_fields(describe_graph(graph, number, item, file))


def run_circuit(work: Work) -> Outcome:
    """What recurs in the graphs, as an artifact and in S4's two formats."""
    name, run = work.behaviour, Run(work.folder)
    rows = run.graphs(name)
    with work.store.clock.measuring("circuit", len(rows)):
        found = find_circuit((run.graph(name, row.number) for row in rows), name, work.plan.circuit)
    save_aggregate(found.aggregate, work.file(circuit_file(name)))
    members: Json = [str(member) for member in found.members]
    groups: Json = [written_fields(group) for group in found.supernodes]
    write_json(work.file(supernodes_file(name)), {"members": members, "supernodes": groups})
    paths = write_s4(aggregate_network(found.aggregate, found.supernodes), work.folder, name, "train")
    network = [path.relative_to(work.folder).as_posix() for path in paths]
    return Outcome(done=len(rows), files=[circuit_file(name), supernodes_file(name), *network])
