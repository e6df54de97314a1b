// Draws networks and lets people walk through them. No library, no network, no markup made of text: text is text.

const SVG = "http://www.w3.org/2000/svg";
const WANTED_EDGES = 140; // so many are shown at first
const SCALE = 3; // the slider is finer where edges are weak
const LISTED = 8; // edges or features in a list
const RING = 2.4; // pixels between a member's mark and its ring
const NAMED = 14; // the strongest features say their names in the drawing
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
const title = (text, unit) => make("h4", {}, text, unit ? make("small", {}, unit) : null);
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
    this.axis = network.axis;
    this.most = Math.max(1e-9, ...this.nodes.map((node) => (node.kind === "feature" ? Math.abs(node.effect || 0) : 0)));
    this.top = Math.max(1e-9, ...this.edges.map((edge) => edge.carried));
    const first = this.edges.filter((edge) => this.shown(edge))[WANTED_EDGES]; // none where all of them fit
    this.slider.value = first ? Math.min(90, Math.ceil(100 * (first.carried / this.top) ** (1 / SCALE))) : 0;
    this.selected = this.group = null;
    this.draw();
    this.filter();
    this.tell();
  }

  radius(node) {
    if (node.kind !== "feature") return node.kind === "target" ? 9 : 4.5;
    return 3.2 + 9 * Math.sqrt(Math.abs(node.effect || 0) / this.most) + (node.rank || node.member ? RING : 0);
  }

  draw() {
    const width = Math.max(320, this.stage.clientWidth), radius = (node) => this.radius(node);
    for (const node of this.nodes) {
      node.here = node.kind !== "error" || this.errors;
      Object.assign(node, { x: 0, y: 0, tag: null });
    }
    const at = arrange(this, width, radius);
    const svg = make("svg", {
      viewBox: `0 0 ${width} ${at.height}`, width, height: at.height, role: "group", "aria-label": this.options.name,
      click: (event) => event.target.closest(".node") || this.select(null),
    });
    svg.append(...this.frame(at, width));
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
    svg.append(lines, marks, this.names(width));
    this.stage.replaceChildren(svg);
    this.focusable = this.nodes.find((node) => node.kind === "target") || this.nodes[0];
    if (this.focusable) this.focusable.mark.setAttribute("tabindex", "0");
    this.refresh();
  }

  // Rows with their layers, columns with their positions.
  frame(at, width) {
    const found = [], left = MARGIN.left;
    for (const [number, layer] of at.layers.entries()) {
      const last = number === at.layers.length - 1;
      const name = layer < 0 ? "tokens" : last && this.nodes.some((n) => n.layer === layer && n.kind === "target")
        ? "answer" : `L${layer}`;
      found.push(
        make("line", { class: "rule", x1: left, x2: width, y1: at.row(layer), y2: at.row(layer) }),
        make("text", { class: "axis", x: left - 8, y: at.row(layer) + 3.5, "text-anchor": "end" }, name));
    }
    this.columns.forEach((name, column) => {
      const room = at.bounds[column + 1] - at.bounds[column], x = (at.bounds[column] + at.bounds[column + 1]) / 2;
      const label = make("text", { class: "axis column", x, y: at.height - 26, "text-anchor": "middle" },
        short(name || "anywhere", Math.max(2, Math.floor(room / 6.6))));
      label.append(make("title", {}, name || "anywhere"));
      if (column) found.push(make("line",
        { class: "rule", x1: at.bounds[column], x2: at.bounds[column], y1: 0, y2: at.height - 40 }));
      found.push(label);
    });
    const middle = (left + width - MARGIN.right) / 2;
    found.push(make("text", { class: "axis", x: middle, y: at.height - 8, "text-anchor": "middle" }, this.axis));
    return found;
  }

  // The strongest features and the answer say in the drawing what they are.
  names(width) {
    const found = make("g", { class: "names", "aria-hidden": "true" });
    for (const { node, text, x, y, anchor } of namesFor(this.nodes.filter((each) => each.here), NAMED, (each) => this.radius(each), width)) {
      node.tag = make("text", { class: "tag", x: x.toFixed(1), y: (y + 3.5).toFixed(1), "text-anchor": anchor }, text);
      found.append(node.tag);
    }
    for (const node of this.nodes.filter((each) => each.kind === "target" && this.options.answer)) {
      const right = node.x < width / 2;
      node.tag = make("text", { class: "tag answer", x: node.x + (right ? 15 : -15), y: node.y + 4,
        "text-anchor": right ? "start" : "end" }, short(this.options.answer, 44));
      found.append(node.tag);
    }
    return found;
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
      const ring = node.rank || node.member;
      if (ring) mark.append(make("circle", { class: "ring", cx: x, cy: y, r: size }));
      mark.append(make("circle", { cx: x, cy: y, r: ring ? size - RING : size }));
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
    if (this.selected !== null && !shown && this.nodes[this.selected].kind === "error") this.selected = null;
    this.draw();
    this.tell();
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
      node.mark.classList.toggle("hidden", !node.here);
      node.mark.classList.toggle("selected", node.number === this.selected);
      node.mark.classList.toggle("ancestor", up.nodes.has(node.number));
      node.mark.classList.toggle("descendant", down.nodes.has(node.number));
      node.mark.classList.toggle("grouped", grouped(node));
      const near = [...node.into, ...node.out].some((edge) => this.visible(edge));
      node.mark.classList.toggle("idle", node.kind === "feature" && !near);
      if (node.tag) node.tag.classList.toggle("lit",
        node.number === this.selected || up.nodes.has(node.number) || down.nodes.has(node.number) || grouped(node));
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
    if (this.selected !== null) this.uncover(this.nodes[this.selected].mark);
  }

  // On narrow screens the panel lies over the drawing's lower part; a node that is below it is brought up.
  uncover(mark) {
    if (getComputedStyle(this.panel).position !== "sticky") return;
    const below = mark.getBoundingClientRect().bottom + 24 - this.panel.getBoundingClientRect().top;
    if (below > 0) window.scrollBy(0, below);
  }

  // On to another node by way of the panel, which keeps the keyboard's place.
  travel(number) {
    this.select(number);
    this.panel.scrollTop = 0;
    this.panel.querySelector(".panel-name")?.focus({ preventScroll: true });
  }

  choose(group) {
    this.group = group === this.group ? null : group;
    this.selected = null;
    this.refresh();
    this.tell();
    this.panel.querySelectorAll(".group").forEach((each) => Number(each.dataset.group) === group && each.focus());
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
    this.panel.classList.toggle("open", this.selected !== null);
    this.panel.replaceChildren(...(this.selected === null ? overview(this) : portrait(this, this.nodes[this.selected])));
  }
}

function openPrompts(root, prompts, name) {
  const choice = root.querySelector(".prompt-choice"), scores = root.querySelector(".prompt-scores");
  const explorer = new Explorer(root, prompts[0].network, { name, answer: prompts[0].target });
  const show = (number) => {
    choice.value = String(number);
    explorer.options.answer = prompts[number].target;
    explorer.load(prompts[number].network);
    tell(number);
  };
  const tell = (number) => {
    const it = prompts[number];
    scores.replaceChildren(...[["explains", it.target], ["logit difference", `${nats(it.difference)} nats`],
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
  const { name, circuit, groups, prompts, answer } = JSON.parse(data.textContent), chapter = data.parentElement;
  const circuits = chapter.querySelector(".explorer.of-circuit"), singles = chapter.querySelector(".explorer.of-prompts");
  if (circuits && circuit) new Explorer(circuits, circuit, { name: `The circuit of ${name}`, groups, answer });
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
