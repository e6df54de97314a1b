// The panel beside a network: an overview, or a node with all that is known of it.

function overview(it) {
  const drawn = new Set(it.nodes.map((node) => node.group)); // a supernode without a mark cannot light up
  const groups = (it.options.groups || []).map((group, number) => ({ ...group, number }))
    .filter(({ number }) => drawn.has(number));
  const features = it.nodes.filter((node) => node.kind === "feature")
    .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, LISTED);
  return [
    make("p", { class: "hint" }, "Click a node, or use Tab, the arrows and Enter: its strongest paths light up."),
    title("Strongest features", "effect, nats"),
    list(it, features.map((node) => ({ number: node.number, value: node.effect, part: Math.abs(node.effect) / it.most }))),
    groups.length ? title("Supernodes", "features") : null,
    groups.length ? make("div", { class: "groups" }, ...groups.map((group) => make("button", {
      type: "button", class: `group ${SIGN(group.sign)}`, "aria-pressed": String(it.group === group.number),
      "data-group": group.number, title: group.label, click: () => it.choose(group.number),
    }, make("span", {}, group.label), make("b", {}, `${group.n}`)))) : null,
  ].filter(Boolean);
}

function portrait(it, node) {
  const facts = [
    [node.spread === undefined ? "effect" : "mean effect", `${nats(node.effect)} nats`],
    ["over prompts", node.spread === undefined ? null : `± ${Math.abs(node.spread).toPrecision(2)} nats (standard deviation)`],
    ["same sign in", node.agreement === undefined ? null : percent(node.agreement)],
    ["direct", node.direct === undefined ? null : `${nats(node.direct)} nats`],
    ["activation", node.kind === "feature" && node.activation !== undefined ? node.activation.toPrecision(3) : null],
    ["in graphs", node.frequency === undefined ? null : percent(node.frequency)],
    ["ablated alone", node.measured ? `${nats(node.measured[0])} nats [${nats(node.measured[1])}, ${nats(node.measured[2])}]` : null],
  ].filter(([, value]) => value !== null);
  const group = node.group === undefined ? null : (it.options.groups || [])[node.group];
  const badges = [node.rank ? `member ${node.rank}` : null, node.member ? "in the circuit" : null].filter(Boolean);
  const edges = (side, end) => list(it, node[side].filter((edge) => it.visible(edge)).slice(0, LISTED)
    .map((edge) => ({ number: edge[end], value: edge.weight, part: edge.share })));
  return [
    make("div", { class: "panel-head" },
      make("h3", { class: "panel-name", tabindex: "-1" }, node.name),
      make("button", { type: "button", class: "close", "aria-label": "Back to the overview", click: () => it.select(node.number) }, "×")),
    badges.length ? make("p", { class: "badges" }, ...badges.map((text) => make("span", {}, text))) : null,
    node.label ? make("p", { class: "panel-label" }, node.label) : null,
    make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    group ? make("p", { class: "soft" }, `Supernode: ${group.label}`) : null,
    ...tokens("Promotes", node.promoted), ...tokens("Suppresses", node.suppressed),
    ...contexts(node.contexts),
    ...route(it, node),
    title("Reads from", "weight; bar: share of inputs"), edges("into", "source"),
    title("Writes to", "weight; bar: share of the target’s inputs"), edges("out", "target"),
  ].filter(Boolean);
}

// The strongest path through a node, from a token to the answer, edge by edge.
function route(it, node) {
  const walk = (at, side, end) => {
    const edge = it.nodes[at][side].find((each) => it.visible(each));
    return edge ? [edge[end], ...walk(edge[end], side, end)] : [];
  };
  const numbers = [...walk(node.number, "into", "source").reverse(), node.number, ...walk(node.number, "out", "target")];
  if (numbers.length < 2) return [];
  return [title("Strongest path"), make("p", { class: "route" }, ...numbers.flatMap((number, place) => [
    place ? make("i", {}, "→") : null,
    make("button", { type: "button", class: number === node.number ? "step here" : "step",
      "data-to": it.nodes[number].name, click: () => number === node.number || it.travel(number) }, it.nodes[number].name),
  ]))];
}

function tokens(heading, texts) {
  if (!texts || !texts.length) return [];
  return [make("h4", {}, heading), make("p", { class: "chips" }, ...texts.map((text) => make("span", {}, text)))];
}

function contexts(some) {
  if (!some || !some.length) return [];
  return [make("h4", {}, "Fires on"), ...some.map((tokens) => make("p", { class: "context" }, ...tokens.map(
    ([text, shade]) => make("span", shade ? { style: `--shade: ${shade}%` } : {}, text))))];
}

function list(it, rows) {
  if (!rows.length) return make("p", { class: "soft" }, "Nothing that the filter lets through.");
  return make("ul", { class: "links" }, ...rows.map(({ number, value, part }) => {
    const node = it.nodes[number];
    return make("li", {}, make("button", {
      type: "button", class: `link ${SIGN(value)}`, style: `--part: ${Math.round(100 * part)}%`,
      "data-to": node.name, title: node.label || node.name, click: () => it.travel(number),
    }, make("span", {}, node.name, node.label ? make("small", {}, node.label) : null),
    make("b", {}, nats(value))));
  }));
}
