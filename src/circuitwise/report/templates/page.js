"use strict";
// Draws networks and lets people walk through them. No library, no network, no markup made of text: text is text.

const SVG = "http://www.w3.org/2000/svg";
const WANTED_EDGES = 140; // so many are shown at first
const APART = 17; // pixels between the nodes of a full cell
const SCALE = 3; // the slider is finer where edges are weak
const LISTED = 8; // edges or features in a list
const SIGN = (value) => (value < 0 ? "against" : "for");

function make(tag, attributes = {}, ...children) {
  const inside = ["svg", "g", "path", "circle", "rect", "line", "text", "title"].includes(tag);
  const found = inside ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") found.addEventListener("click", value);
    else if (value !== undefined && value !== false) found.setAttribute(name, value === true ? "" : value);
  }
  found.append(...children.filter((child) => child !== null && child !== undefined));
  return found;
}

const nats = (value) => (value === null ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toPrecision(3));
const percent = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`);
const short = (text, n) => (text.length > n ? text.slice(0, n - 1) + "…" : text);

class Explorer {
  constructor(root, network, options) {
    Object.assign(this, { root, options, selected: null, group: null, threshold: 0, reach: 2, errors: false });
    this.stage = root.querySelector(".stage");
    this.panel = root.querySelector(".panel");
    this.slider = root.querySelector(".edge-filter");
    this.slider.addEventListener("input", () => this.filter());
    root.querySelector(".reach").addEventListener("change", (event) => this.follow(Number(event.target.value)));
    root.querySelector(".show-errors").addEventListener("change", (event) => this.showErrors(event.target.checked));
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.load(network);
    let width = this.stage.clientWidth;
    new ResizeObserver(() => {
      if (this.stage.clientWidth !== width) {
        width = this.stage.clientWidth;
        this.draw();
      }
    }).observe(this.stage);
  }

  load(network) {
    this.nodes = network.nodes.map((node, number) => ({ ...node, number, into: [], out: [] }));
    this.edges = network.edges.map(([target, source, weight, share, carried]) =>
      ({ target, source, weight, share, carried }));
    for (const edge of this.edges) {
      this.nodes[edge.target].into.push(edge); // what carries most comes first
      this.nodes[edge.source].out.push(edge);
    }
    this.columns = network.columns;
    this.most = Math.max(1e-9, ...this.nodes.map((node) => (node.kind === "feature" ? Math.abs(node.effect || 0) : 0)));
    this.top = Math.max(1e-9, ...this.edges.map((edge) => edge.carried));
    const first = this.edges.filter((edge) => this.shown(edge))[WANTED_EDGES]; // none where all of them fit
    this.slider.value = first ? Math.min(90, Math.ceil(100 * (first.carried / this.top) ** (1 / SCALE))) : 0;
    this.selected = this.group = null;
    this.draw();
    this.filter();
    this.tell();
  }

  // Where everything stands: rows are the layers that have nodes, columns are positions, as wide as their fullest cell;
  // a cell that is too full goes over several lines.
  place(width) {
    const layers = [...new Set(this.nodes.map((node) => node.layer))].sort((a, b) => a - b);
    const cells = new Map();
    for (const node of this.nodes) {
      const key = `${node.column} ${node.layer}`;
      cells.set(key, [...(cells.get(key) || []), node]);
    }
    const fullest = this.columns.map((_, column) =>
      Math.max(...layers.map((layer) => (cells.get(`${column} ${layer}`) || []).length)));
    const shares = fullest.map((n) => 1.2 + Math.min(n, 14)), left = 46, right = 14;
    const unit = (width - left - right) / shares.reduce((sum, share) => sum + share, 0);
    const bounds = [left];
    for (const share of shares) bounds.push(bounds[bounds.length - 1] + share * unit);
    const room = (column) => Math.max(1, Math.floor((bounds[column + 1] - bounds[column] - 8) / APART));
    const lines = (layer) => Math.max(...this.columns.map((_, column) =>
      Math.ceil((cells.get(`${column} ${layer}`) || []).length / room(column))));
    const step = Math.max(20, Math.min(56, 500 / layers.length));
    const middle = new Map();
    let y = 14;
    for (const layer of [...layers].reverse()) {
      const height = step + (lines(layer) - 1) * APART;
      middle.set(layer, y + height / 2);
      y += height;
    }
    for (const [key, some] of cells) {
      const [column, layer] = key.split(" ").map(Number), span = bounds[column + 1] - bounds[column];
      some.sort((a, b) => (a.kind === "error") - (b.kind === "error") || a.number - b.number);
      const rows = Math.ceil(some.length / room(column)), each = Math.ceil(some.length / rows);
      some.forEach((node, turn) => {
        const line = Math.floor(turn / each), n = Math.min(each, some.length - line * each);
        node.x = bounds[column] + (span * ((turn % each) + 0.75)) / (n + 0.5);
        node.y = middle.get(layer) + (line - (rows - 1) / 2) * APART;
      });
    }
    return { layers, bounds, height: y + 26, row: (layer) => middle.get(layer), left };
  }

  radius(node) {
    return node.kind === "feature" ? 3.2 + 9 * Math.sqrt(Math.abs(node.effect || 0) / this.most) : 4.5;
  }

  draw() {
    const width = Math.max(320, this.stage.clientWidth);
    const at = this.place(width);
    const svg = make("svg", {
      viewBox: `0 0 ${width} ${at.height}`, width, height: at.height, role: "group", "aria-label": this.options.name,
    });
    for (const [number, layer] of at.layers.entries()) {
      const last = number === at.layers.length - 1;
      const name = layer < 0 ? "tokens" : last && this.nodes.some((n) => n.layer === layer && n.kind === "target")
        ? "answer" : `L${layer}`;
      svg.append(
        make("line", { class: "rule", x1: at.left, x2: width, y1: at.row(layer), y2: at.row(layer) }),
        make("text", { class: "axis", x: at.left - 8, y: at.row(layer) + 3.5, "text-anchor": "end" }, name));
    }
    this.columns.forEach((name, column) => {
      const room = at.bounds[column + 1] - at.bounds[column], x = (at.bounds[column] + at.bounds[column + 1]) / 2;
      const label = make("text", { class: "axis", x, y: at.height - 8, "text-anchor": "middle" },
        short(name || "anywhere", Math.max(2, Math.floor(room / 6.4))));
      label.append(make("title", {}, name || "anywhere"));
      if (column) svg.append(make("line",
        { class: "rule", x1: at.bounds[column], x2: at.bounds[column], y1: 0, y2: at.height - 24 }));
      svg.append(label);
    });
    const lines = make("g", { class: "edges" }), marks = make("g", { class: "nodes" });
    for (const edge of [...this.edges].reverse()) {
      const from = this.nodes[edge.source], to = this.nodes[edge.target];
      const y1 = from.y - this.radius(from), y2 = to.y + this.radius(to), bend = Math.max(8, (y1 - y2) / 2);
      edge.line = make("path", {
        class: `edge ${SIGN(edge.weight)}`,
        d: `M${from.x.toFixed(1)} ${y1.toFixed(1)}C${from.x.toFixed(1)} ${(y1 - bend).toFixed(1)} ` +
          `${to.x.toFixed(1)} ${(y2 + bend).toFixed(1)} ${to.x.toFixed(1)} ${y2.toFixed(1)}`,
        "stroke-width": (0.8 + 4.2 * Math.sqrt(edge.carried / this.top)).toFixed(2),
      });
      lines.append(edge.line);
    }
    for (const node of this.nodes) marks.append(this.mark(node));
    svg.append(lines, marks);
    this.stage.replaceChildren(svg);
    this.focusable = this.nodes.find((node) => node.kind === "target") || this.nodes[0];
    if (this.focusable) this.focusable.mark.setAttribute("tabindex", "0");
    this.refresh();
  }

  mark(node) {
    const size = this.radius(node), { x, y } = node;
    const mark = make("g", {
      class: `node ${node.kind} ${SIGN(node.effect)}${node.rank || node.member ? " member" : ""}`,
      tabindex: "-1", role: "button", "data-name": node.name,
      "aria-label": `${node.name}${node.label ? `, ${node.label}` : ""}, effect ${nats(node.effect)} nats`,
      click: () => this.select(node.number),
    });
    if (node.kind === "error") {
      mark.append(make("path", { d: `M${x} ${y - 4.5}L${x + 4.5} ${y}L${x} ${y + 4.5}L${x - 4.5} ${y}Z` }));
    } else if (node.kind === "token") {
      mark.append(make("rect", { x: x - 5, y: y - 4, width: 10, height: 8, rx: 2 }));
    } else if (node.kind === "target") {
      mark.append(make("rect", { x: x - 9, y: y - 7, width: 18, height: 14, rx: 4 }));
    } else {
      if (node.rank || node.member) mark.append(make("circle", { class: "ring", cx: x, cy: y, r: size + 2.4 }));
      mark.append(make("circle", { cx: x, cy: y, r: size }));
    }
    mark.append(make("title", {}, `${node.name}  ${nats(node.effect)} nats${node.label ? `\n${node.label}` : ""}`));
    node.mark = mark;
    return mark;
  }

  shown(edge) {
    return this.errors || (this.nodes[edge.source].kind !== "error" && this.nodes[edge.target].kind !== "error");
  }

  visible(edge) {
    return edge.carried >= this.threshold && this.shown(edge);
  }

  filter() {
    this.threshold = this.top * (Number(this.slider.value) / 100) ** SCALE;
    this.refresh();
  }

  follow(reach) {
    this.reach = reach;
    this.refresh();
  }

  showErrors(shown) {
    this.errors = shown;
    this.refresh();
  }

  // The strongest visible edges from a node on, and from all that they lead to.
  walk(start, side, end) {
    const edges = new Set(), nodes = new Set(), ahead = [start];
    while (ahead.length) {
      const some = this.nodes[ahead.pop()][side].filter((edge) => this.visible(edge)).slice(0, this.reach || undefined);
      for (const edge of some) {
        edges.add(edge);
        if (!nodes.has(edge[end])) {
          nodes.add(edge[end]);
          ahead.push(edge[end]);
        }
      }
    }
    return { edges, nodes };
  }

  refresh() {
    const svg = this.stage.firstElementChild;
    if (!svg) return;
    let n = 0;
    const chosen = this.selected !== null;
    const up = chosen ? this.walk(this.selected, "into", "source") : { edges: new Set(), nodes: new Set() };
    const down = chosen ? this.walk(this.selected, "out", "target") : { edges: new Set(), nodes: new Set() };
    const grouped = (node) => this.group !== null && node.group === this.group;
    for (const edge of this.edges) {
      const shown = this.visible(edge);
      n += shown;
      edge.line.classList.toggle("hidden", !shown);
      edge.line.classList.toggle("on", up.edges.has(edge) || down.edges.has(edge));
    }
    for (const node of this.nodes) {
      node.mark.classList.toggle("hidden", node.kind === "error" && !this.errors);
      node.mark.classList.toggle("selected", node.number === this.selected);
      node.mark.classList.toggle("ancestor", up.nodes.has(node.number));
      node.mark.classList.toggle("descendant", down.nodes.has(node.number));
      node.mark.classList.toggle("grouped", grouped(node));
    }
    svg.classList.toggle("focused", chosen || this.group !== null);
    const output = this.root.querySelector(".edge-count");
    output.textContent = `${n} of ${this.edges.length}` +
      (this.threshold ? `, that carry at least ${this.threshold.toPrecision(2)} nats` : "");
  }

  select(number) {
    this.selected = number === this.selected ? null : number;
    this.group = null;
    if (this.selected !== null) this.point(this.nodes[this.selected]);
    this.refresh();
    this.tell();
  }

  choose(group) {
    this.group = group === this.group ? null : group;
    this.selected = null;
    this.refresh();
    this.tell();
  }

  point(node) {
    this.focusable.mark.setAttribute("tabindex", "-1");
    this.focusable = node;
    node.mark.setAttribute("tabindex", "0");
  }

  key(event) {
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Enter" || event.key === " ") this.select(this.focusable.number);
    else if (event.key === "Escape") this.select(this.selected);
    else if (event.key in directions) this.move(...directions[event.key]);
    else return;
    event.preventDefault();
  }

  move(right, down) {
    const from = this.focusable;
    let best = null, least = Infinity;
    for (const node of this.nodes) {
      const ahead = (node.x - from.x) * right + (node.y - from.y) * down;
      const aside = Math.abs((node.x - from.x) * down) + Math.abs((node.y - from.y) * right);
      if (node === from || ahead < 1 || node.mark.classList.contains("hidden")) continue;
      if (ahead + 3 * aside < least) [best, least] = [node, ahead + 3 * aside];
    }
    if (best) {
      this.point(best);
      best.mark.focus();
    }
  }

  // The panel: a node with all that is known of it, or an overview.
  tell() {
    this.panel.replaceChildren(...(this.selected === null ? this.overview() : this.portrait(this.nodes[this.selected])));
  }

  overview() {
    const groups = this.options.groups || [];
    const features = this.nodes.filter((node) => node.kind === "feature")
      .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, LISTED);
    return [
      make("p", { class: "hint" }, "Click a node, or use Tab, the arrows and Enter: its strongest paths light up."),
      make("h4", {}, "Strongest features"),
      this.list(features.map((node) => ({ number: node.number, value: node.effect, part: Math.abs(node.effect) / this.most }))),
      groups.length ? make("h4", {}, "Supernodes") : null,
      groups.length ? make("div", { class: "groups" }, ...groups.map((group, number) => make("button", {
        type: "button", class: `group ${SIGN(group.sign)}`, "aria-pressed": String(this.group === number),
        click: () => this.choose(number),
      }, make("span", {}, short(group.label, 60)), make("b", {}, `${group.n}`)))) : null,
    ].filter(Boolean);
  }

  portrait(node) {
    const facts = [
      ["effect", node.spread === undefined ? `${nats(node.effect)} nats` : `${nats(node.effect)} ± ${Math.abs(node.spread).toPrecision(2)} nats`],
      ["same sign in", node.agreement === undefined ? null : percent(node.agreement)],
      ["direct", node.direct === undefined ? null : `${nats(node.direct)} nats`],
      ["activation", node.kind === "feature" && node.activation !== undefined ? node.activation.toPrecision(3) : null],
      ["in graphs", node.frequency === undefined ? null : percent(node.frequency)],
      ["ablated alone", node.measured ? `${nats(node.measured[0])} nats [${nats(node.measured[1])}, ${nats(node.measured[2])}]` : null],
    ].filter(([, value]) => value !== null);
    const group = node.group === undefined ? null : (this.options.groups || [])[node.group];
    const badges = [node.rank ? `member ${node.rank}` : null, node.member ? "in the circuit" : null].filter(Boolean);
    const edges = (side, end) => this.list(node[side].filter((edge) => this.visible(edge)).slice(0, LISTED)
      .map((edge) => ({ number: edge[end], value: edge.weight, part: edge.share })));
    return [
      make("div", { class: "panel-head" },
        make("h3", { class: "panel-name" }, node.name),
        make("button", { type: "button", class: "close", "aria-label": "Back to the overview", click: () => this.select(node.number) }, "×")),
      badges.length ? make("p", { class: "badges" }, ...badges.map((text) => make("span", {}, text))) : null,
      node.label ? make("p", { class: "panel-label" }, node.label) : null,
      make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
      group ? make("p", { class: "soft" }, `Supernode: ${group.label}`) : null,
      ...this.tokens("Promotes", node.promoted), ...this.tokens("Suppresses", node.suppressed),
      ...this.contexts(node.contexts),
      make("h4", {}, "Reads from"), edges("into", "source"),
      make("h4", {}, "Writes to"), edges("out", "target"),
    ].filter(Boolean);
  }

  tokens(title, texts) {
    if (!texts || !texts.length) return [];
    return [make("h4", {}, title), make("p", { class: "chips" }, ...texts.map((text) => make("span", {}, text)))];
  }

  contexts(some) {
    if (!some || !some.length) return [];
    return [make("h4", {}, "Fires on"), ...some.map((tokens) => make("p", { class: "context" }, ...tokens.map(
      ([text, shade]) => make("span", shade ? { style: `--shade: ${shade}%` } : {}, text))))];
  }

  list(rows) {
    if (!rows.length) return make("p", { class: "soft" }, "Nothing that the filter lets through.");
    return make("ul", { class: "links" }, ...rows.map(({ number, value, part }) => {
      const node = this.nodes[number];
      return make("li", {}, make("button", {
        type: "button", class: `link ${SIGN(value)}`, style: `--part: ${Math.round(100 * part)}%`,
        "data-to": node.name, title: node.label || node.name, click: () => this.select(number),
      }, make("span", {}, node.name, node.label ? make("small", {}, short(node.label, 48)) : null),
      make("b", {}, nats(value))));
    }));
  }
}

function openPrompts(root, prompts, name) {
  const choice = root.querySelector(".prompt-choice"), scores = root.querySelector(".prompt-scores");
  const explorer = new Explorer(root, prompts[0].network, { name });
  const show = (number) => {
    choice.value = String(number);
    explorer.load(prompts[number].network);
    tell(number);
  };
  const tell = (number) => {
    const it = prompts[number];
    scores.replaceChildren(...[["explains", it.target], ["logit difference", nats(it.difference)],
      ["replacement", percent(it.replacement)], ["completeness", percent(it.completeness)],
      ["features", `${it.drawn} drawn of ${it.n_features}`]].map(([key, value]) =>
      make("span", {}, make("i", {}, key), ` ${value}`)));
  };
  prompts.forEach((it, number) => choice.append(make("option", { value: number }, `${number + 1}. ${it.prompt}`)));
  choice.addEventListener("change", () => show(Number(choice.value)));
  for (const [kind, step] of [[".before", -1], [".after", 1]]) {
    root.querySelector(kind).addEventListener("click", () =>
      show((Number(choice.value) + step + prompts.length) % prompts.length));
  }
  tell(0);
}

for (const data of document.querySelectorAll("script[type='application/json']")) {
  const { name, circuit, groups, prompts } = JSON.parse(data.textContent), chapter = data.parentElement;
  const circuits = chapter.querySelector(".explorer.of-circuit"), singles = chapter.querySelector(".explorer.of-prompts");
  if (circuits && circuit) new Explorer(circuits, circuit, { name: `The circuit of ${name}`, groups });
  if (singles && prompts.length) openPrompts(singles, prompts, `One prompt of ${name}`);
}

const toggle = document.querySelector(".theme");
if (toggle) {
  const style = document.documentElement.style, dark = window.matchMedia("(prefers-color-scheme: dark)");
  const now = () => style.colorScheme || (dark.matches ? "dark" : "light");
  const label = () => { toggle.textContent = now() === "dark" ? "Light" : "Dark"; };
  toggle.addEventListener("click", () => { style.colorScheme = now() === "dark" ? "light" : "dark"; label(); });
  dark.addEventListener("change", label);
  label();
}
