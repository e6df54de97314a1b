"""Many prompts' graphs as one circuit: what recurs, how strongly, and with which sign.

Every graph is pruned, its nodes lose their positions for roles (see ``roles``), and what falls together within a prompt
is added up (activations: the highest). Prompts count alike, and each once.

    frequency   share of the prompts in whose pruned graph a node is, or an edge has a weight
    activation  mean over the prompts in which the node is
    direct      the node's own edge into the target, pruned or not; zero in prompts without the node
    effect      the same, directly and through features (see ``effect``)
    weight      an edge's weight, zero where it was cut

Graphs are taken one at a time. What is kept of them are 48 bytes for every distinct edge of the pruned graphs, some
500 for every distinct node, a checksum for every prompt and a bit for every node and prompt: nothing else grows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuitwise.circuit.aggregation import Aggregate, Aggregation, MeanEdges, Positions
from circuitwise.circuit.cutoff import TIE
from circuitwise.circuit.effect import direct_effects, effects
from circuitwise.circuit.prune import prune
from circuitwise.circuit.roles import FROM_END, Anywhere, ByName, FromEnd, Placing, RoleNode, role_nodes
from circuitwise.circuit.tally import Tally, sorted_distinct
from circuitwise.errors import RequestError
from circuitwise.graph.graph import Graph, Kind
from circuitwise.storage.checksum import sha256_of_text
from circuitwise.vocabulary import integers

_SPAN = 2**32
"""An edge's number is its target's times this, plus its source's."""


def aggregate(graphs: Iterable[Graph], *, placing: Placing = FROM_END, how: Aggregation = Aggregation()) -> Aggregate:
    """The circuit of many prompts, from their graphs in any order, each with one target such as a logit difference."""
    gathered = _Gathered(placing, how)
    for graph in graphs:
        gathered.add(graph)
    return gathered.settle()


@dataclass(slots=True, eq=False)
class _Gathered:
    """What the graphs so far add up to."""

    placing: Placing
    """What stands for positions."""
    how: Aggregation
    """What counts."""
    like: Graph | None = None
    """The first graph's words: what the others must agree with."""
    misfit: bool = False
    """Whether any graph is marked."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """The checksum of every prompt, and its target."""
    numbers: dict[RoleNode, int] = field(default_factory=dict[RoleNode, int])
    """Every node, and its number by order of appearance."""
    present: list[int] = field(default_factory=list[int])
    """In which prompts every node is: one bit a prompt."""
    activation: Tally = field(default_factory=Tally)
    """Values of nodes."""
    direct: Tally = field(default_factory=Tally)
    """Direct effects of nodes."""
    effect: Tally = field(default_factory=Tally)
    """Effects of nodes."""
    weight: Tally = field(default_factory=Tally)
    """Weights of edges, by the numbers of target and source."""

    def add(self, graph: Graph) -> None:
        """Count a graph, unless its prompt was counted before."""
        if not self._is_new(graph):
            return
        origin, edges = torch.arange(len(graph.nodes)), graph.edges
        if self.how.prune is not None:
            circuit = prune(graph, self.how.prune)
            origin, edges = circuit.origin, circuit.graph.edges
        nodes = role_nodes(graph, self.placing)
        kept = [nodes[number] for number in integers(origin)]
        mine = torch.tensor([self.numbers.setdefault(node, len(self.numbers)) for node in kept], dtype=torch.int64)
        keys, place = sorted_distinct(mine)
        self.present += [0] * (len(self.numbers) - len(self.present))
        for key in integers(keys):
            self.present[key] |= 1 << (len(self.prompts) - 1)
        value = graph.nodes.value[origin].double()
        self.activation.add(keys, value.new_full((len(keys),), -torch.inf).scatter_reduce_(0, place, value, "amax"))
        self.direct.add(keys, _summed(direct_effects(graph)[origin], place, len(keys)))
        self.effect.add(keys, _summed(effects(graph)[origin], place, len(keys)))
        keys, place = sorted_distinct(mine[edges.target] * _SPAN + mine[edges.source])
        self.weight.add(keys, _summed(edges.weight.double(), place, len(keys)))

    def settle(self) -> Aggregate:
        """What passes the thresholds, in an order that the graphs' own has no part in."""
        if self.like is None:
            raise RequestError("There is no graph to aggregate. Give those of one prompt at least.")
        n_prompts, nodes = len(self.prompts), list(self.numbers)
        count = torch.tensor([bits.bit_count() for bits in self.present], dtype=torch.float64)
        activation = self.activation.total / count
        keep = self._kept(nodes, count, activation)
        kept = sorted(integers(torch.where(keep)[0]), key=nodes.__getitem__)
        new = torch.full((len(nodes),), -1)
        new[kept] = torch.arange(len(kept))
        chosen = torch.tensor(kept, dtype=torch.int64)
        return Aggregate(
            model=self.like.model,
            transcoders=self.like.transcoders,
            n_layers=self.like.n_layers,
            n_prompts=n_prompts,
            misfit=self.misfit,
            positions=_word(self.placing),
            how=self.how,
            nodes=tuple(nodes[number] for number in kept),
            frequency=count[chosen] / n_prompts,
            activation=activation[chosen],
            direct=self.direct.over(n_prompts).take(chosen),
            effect=self.effect.over(n_prompts).take(chosen),
            edges=self._edges(nodes, new),
        )

    def _is_new(self, graph: Graph) -> bool:
        """Whether the prompt was not counted before; a graph that does not belong to the others is refused."""
        if self.like is None:
            self.like = graph
        _check_alike(self.like, graph)
        self.misfit |= graph.misfit
        key, target, n_before = _checksum(graph), graph.targets[0].text, len(self.prompts)
        if (before := self.prompts.setdefault(key, target)) != target:
            raise RequestError(
                f"“{graph.prompt}” comes with two targets, “{before}” and “{target}”, but a prompt counts once. Give "
                f"the graph of one of them, or aggregate them apart."
            )
        return len(self.prompts) > n_before

    def _kept(
        self, nodes: list[RoleNode], count: Float[Tensor, " node"], activation: Float[Tensor, " node"]
    ) -> Bool[Tensor, " node"]:
        """Which nodes pass their thresholds; the target and the bias always do."""
        feature = torch.tensor([node.kind == Kind.FEATURE for node in nodes])
        always = torch.tensor([node.kind in (Kind.TARGET, Kind.BIAS) for node in nodes])
        often = count >= self.how.frequency * len(self.prompts) * (1 - TIE)
        active = activation.abs() >= self.how.activation * (1 - TIE)
        return always | (often & (active | ~feature))

    def _edges(self, nodes: list[RoleNode], new: Int[Tensor, " node"]) -> MeanEdges:
        """The edges that pass their thresholds, between nodes that did; ``new`` has the nodes' numbers there, or -1."""
        n_prompts, target, source = len(self.prompts), self.weight.keys // _SPAN, self.weight.keys % _SPAN
        weight = self.weight.over(n_prompts)
        biased = torch.tensor([node.kind == Kind.BIAS for node in nodes])[source]
        size = weight.mean.abs()
        least = torch.full_like(size, self.how.edge)
        if self.how.edge_as == "share":
            least = self.how.edge * torch.zeros(len(nodes)).double().index_add_(0, target, size * ~biased)[target]
        inside = (new[target] >= 0) & (new[source] >= 0)
        strong = torch.where(inside & ~biased & (size >= least * (1 - TIE)))[0]
        strong = strong[_order(new[target[strong]], new[source[strong]])]
        if self.how.top_edges is not None:
            strong = _strongest_each(strong, new[target[strong]], size[strong], self.how.top_edges)
        chosen = torch.cat([strong, torch.where(inside & biased)[0]])
        chosen = chosen[_order(new[target[chosen]], new[source[chosen]])]
        ends = zip(integers(target[chosen]), integers(source[chosen]), strict=True)
        both = [(self.present[end] & self.present[start]).bit_count() for end, start in ends]
        return MeanEdges(
            target=new[target[chosen]],
            source=new[source[chosen]],
            weight=weight.take(chosen),
            together=self.weight.total[chosen] / torch.tensor(both, dtype=torch.float64),
            frequency=self.weight.count[chosen].double() / n_prompts,
        )


def _check_alike(first: Graph, graph: Graph) -> None:
    """Refuse a graph of several targets, and one of another model, set of dictionaries or sort of target."""
    if len(graph.targets) != 1:
        raise RequestError(
            f"The graph of “{graph.prompt}” has {len(graph.targets)} targets, but an aggregate is about one, such as "
            f"the difference of two logits. Trace the prompt on that alone (targets=Difference(…), --target)."
        )
    origins = [f"{each.model} ({each.n_layers} layers) with {each.transcoders}" for each in (first, graph)]
    if origins[0] != origins[1]:
        raise RequestError(
            f"The graphs come from {origins[0]} and from {origins[1]}, but an aggregate is about one model and one set "
            f"of dictionaries. Aggregate them apart."
        )
    sorts = [_sort_of_target(each) for each in (first, graph)]
    if sorts[0] != sorts[1]:
        raise RequestError(
            f"“{first.prompt}” was traced on {sorts[0]}, “{graph.prompt}” on {sorts[1]}: their effects are no numbers "
            f"of one kind. Trace all prompts on the same sort of target."
        )


def _sort_of_target(graph: Graph) -> str:
    layer = int(graph.nodes.layer[graph.nodes.where(Kind.TARGET)[0]])
    if layer < graph.n_layers:
        return f"something in layer {layer}"
    return "a difference of logits or a direction" if graph.targets[0].probability is None else "a token's logit"


def _checksum(graph: Graph) -> str:
    """The same for the same prompt."""
    return sha256_of_text(repr((graph.token_ids, graph.tokens)))


def _word(placing: Placing) -> Positions:
    match placing:
        case FromEnd():
            return "from end"
        case Anywhere():
            return "anywhere"
        case ByName():
            return "by name"


def _summed(values: Float[Tensor, " part"], place: Int[Tensor, " part"], n: int) -> Float[Tensor, " item"]:
    """The sums of values with the same place."""
    return values.new_zeros(n).index_add_(0, place, values)


def _order(target: Int[Tensor, " edge"], source: Int[Tensor, " edge"]) -> Int[Tensor, " edge"]:
    return torch.argsort(target * _SPAN + source)


def _strongest_each(
    edges: Int[Tensor, " edge"], target: Int[Tensor, " edge"], size: Float[Tensor, " edge"], n: int
) -> Int[Tensor, " kept"]:
    """The n largest of each target's edges; of equal ones the first."""
    order = torch.argsort(size, descending=True, stable=True)
    order = order[torch.argsort(target[order], stable=True)]
    counts = torch.bincount(target)
    first = counts.cumsum(0) - counts
    rank = torch.arange(len(order)) - first[target[order]]
    return edges[order[rank < n]]
