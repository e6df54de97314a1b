"""``circuitwise export``: a graph or circuit in another tool's format."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from circuitwise.circuit.prune import Circuit, prune
from circuitwise.cli.graphfiles import GraphPath, Subject, file_kind, graph_of, open_subject, provenance_after
from circuitwise.cli.graphwriting import PLAIN, Force, Format, check_free, format_of, write_subject, written_files
from circuitwise.cli.labelled import SurveyFolder, features_of, open_labels
from circuitwise.cli.screen import AsJson, Quiet, Screen
from circuitwise.errors import RequestError
from circuitwise.features.exchange import write_tracer_features
from circuitwise.interchange.document import write_document
from circuitwise.interchange.reading import read_document
from circuitwise.interchange.writing import Export as NeuronpediaExport

EXAMPLES = """\b
Examples:
  circuitwise export france.graph --prune -o france.json --scan gemma-2-2b
  circuitwise export france.circuit -o france.graphml
  circuitwise export france.graph -o france.csv
  circuitwise export downloaded.json --format artifact -o downloaded.graph
  circuitwise export france.graph --prune --survey my-survey --features features/my-scan -o france.json
"""


class Export(NamedTuple):
    r"""Write a graph or circuit for another tool.

    \b
    neuronpedia     JSON for Neuronpedia and circuit-tracer's viewer          .json
    circuit-tracer  a file for circuit_tracer.Graph.from_pt                   .pt
    graphml         for networkx, Gephi, Cytoscape                            .graphml
    csv             tables: FILE.nodes.csv and FILE.edges.csv                 .csv
    s4              nodes, edges, metadata: FILE.json, and FILE.graphml
    artifact        circuitwise's own file                                    any other

    The ending of the file chooses the format, or --format does. A JSON graph that is written as JSON again keeps all
    that it says.
    """

    graph: GraphPath
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write.")]
    format: Annotated[Format | None, typer.Option("--format", help="The format, where the ending does not say.")] = None
    prune: Annotated[bool, typer.Option("--prune", help="Prune the graph first, to the shares 0.8 and 0.98.")] = False
    slug: Annotated[str | None, typer.Option("--slug", help="Neuronpedia: the graph's name in an address.")] = None
    scan: Annotated[str | None, typer.Option("--scan", help="Neuronpedia: the model's name there.")] = None
    source_set: Annotated[
        str | None, typer.Option("--source-set", help="Neuronpedia: the set that has the features.")
    ] = None
    survey: SurveyFolder = None
    features: Annotated[
        Path | None,
        typer.Option("--features", metavar="FOLDER", help="Write the features' examples for circuit-tracer's viewer."),
    ] = None
    force: Force = False
    quiet: Quiet = False
    as_json: AsJson = False

    def run(self) -> None:
        """Open, prune if asked, write."""
        screen = Screen(quiet=self.quiet, json=self.as_json)
        format = self.format or format_of(self.output)
        how = NeuronpediaExport(slug=self.slug, scan=self.scan, source_set=self.source_set)
        if how != PLAIN and format != "neuronpedia":
            raise RequestError(f"--slug, --scan and --source-set are for Neuronpedia's format, not for “{format}”.")
        if self.features is not None and self.survey is None:
            raise RequestError("Examples of features come from a survey. Name it with --survey.")
        check_free(self.output, format, force=self.force)
        with screen.working(f"Writing {self.output}"):
            if self._rewrites(format, how):
                write_document(read_document(self.graph), self.output)
            else:
                subject = self._open()
                write_subject(subject, self.output, format, provenance=provenance_after(self.graph), how=how)
        files = [str(file) for file in written_files(self.output, format)]
        screen.show(
            {"format": format, "written": files},
            lambda console: console.print(f"Written: {', '.join(files)} ({format}).", markup=False, soft_wrap=True),
        )

    def _rewrites(self, format: Format, how: NeuronpediaExport) -> bool:
        """Whether a JSON graph is to be written as it stands."""
        unchanged = not self.prune and how == PLAIN and self.survey is None
        return unchanged and format == "neuronpedia" and file_kind(self.graph) == "json"

    def _open(self) -> Subject:
        subject = open_subject(self.graph)
        if self.prune:
            if isinstance(subject, Circuit):
                raise RequestError(f"{self.graph} is a circuit already. Leave --prune out.")
            subject = prune(subject)
        if self.survey is not None:
            subject, found = open_labels(subject, self.graph, self.survey)
            if self.features is not None:
                named = sorted({feature for _, feature in features_of(graph_of(subject))})
                profiles = (found.profile(feature) for feature in named if feature.layer in found.layers)
                write_tracer_features(profiles, self.features, transcoders=graph_of(subject).transcoders)
        return subject
