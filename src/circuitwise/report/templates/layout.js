"use strict";
// Where everything stands in a drawn network: rows are the layers that have nodes, columns are positions. Nodes of a cell
// stand in the order that keeps their edges short; rows are shifted against each other, so that edges pass beside nodes.

const ROW = { least: 22, most: 56, all: 620 }; // pixels between layers: so many each, for all of them together
const MARGIN = { left: 46, right: 18, top: 16, bottom: 44 };
const GAP = 5; // pixels between the marks of a full cell, at least
const GOLDEN = 0.618; // shifts of rows that never line up
const SWEEPS = 2;
const APART = 0.6; // how much more the strongest nodes keep apart than follow their edges, from 0 to 1

// Gives every node that is here its x and y.
function arrange(network, width, radius) {
  const { columns } = network, nodes = network.nodes.filter((node) => node.here);
  const layers = [...new Set(nodes.map((node) => node.layer))].sort((a, b) => a - b);
  const cells = new Map();
  for (const node of nodes) {
    node.room = 2 * radius(node) + GAP;
    const key = `${node.column} ${node.layer}`;
    cells.set(key, [...(cells.get(key) || []), node]);
  }
  [...nodes].sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect) || a.number - b.number).forEach((node, rank) => {
    node.own = (0.5 + GOLDEN * rank) % 1;
  });
  const bounds = columnBounds(cells, columns.length, width);
  const order = [...cells.keys()].map((key) => key.split(" ").map(Number)).sort((a, b) => a[1] - b[1]);
  const spread = ([column, layer]) => {
    const some = cells.get(`${column} ${layer}`);
    const lines = linesOf(some, bounds[column + 1] - bounds[column]);
    const ends = layer < 0 || some.some((node) => node.kind === "target");
    lines.forEach((line, number) => {
      const shift = ends ? 0.5 : 0.1 + 0.8 * ((0.5 + GOLDEN * (layer + column + 7 * number)) % 1);
      stand(line, bounds[column], bounds[column + 1], shift);
      for (const node of line) node.line = number - (lines.length - 1) / 2;
    });
    return lines.length;
  };
  order.forEach(spread);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const [side, end, way] of [["into", "source", order], ["out", "target", [...order].reverse()]]) {
      for (const cell of way) {
        sortByNeighbours(cells.get(cell.join(" ")), side, end, network.nodes, bounds.slice(cell[0], cell[0] + 2));
        spread(cell);
      }
    }
  }
  const middle = new Map(), step = Math.max(ROW.least, Math.min(ROW.most, ROW.all / layers.length));
  let y = MARGIN.top;
  for (const layer of [...layers].reverse()) {
    const own = nodes.filter((node) => node.layer === layer), tall = 2 * Math.max(...own.map(radius)) + 2;
    const lines = Math.max(...order.filter((cell) => cell[1] === layer).map(spread));
    const height = Math.max(step, tall) + (lines - 1) * tall;
    middle.set(layer, y + height / 2);
    for (const node of own) node.y = y + height / 2 + node.line * tall;
    y += height;
  }
  return { layers, bounds, height: y + MARGIN.bottom, row: (layer) => middle.get(layer) };
}

// Columns are as wide as their fullest cell asks for, and none is too narrow for its name.
function columnBounds(cells, n, width) {
  const wanted = Array(n).fill(34);
  for (const [key, some] of cells) {
    const column = Number(key.split(" ")[0]), all = some.reduce((sum, node) => sum + node.room, 14);
    wanted[column] = Math.max(wanted[column], Math.min(all, 460));
  }
  const unit = (width - MARGIN.left - MARGIN.right) / wanted.reduce((sum, part) => sum + part, 0);
  return wanted.reduce((bounds, part) => [...bounds, bounds[bounds.length - 1] + part * unit], [MARGIN.left]);
}

// A cell that is too full goes over several lines of about the same length.
function linesOf(some, span) {
  const all = some.reduce((sum, node) => sum + node.room, 0), n = Math.max(1, Math.ceil(all / Math.max(1, span - 10)));
  const lines = Array.from({ length: Math.min(n, some.length) }, () => []);
  some.forEach((node, turn) => lines[Math.floor((turn * lines.length) / some.length)].push(node));
  return lines;
}

function stand(line, low, high, shift) {
  const slack = Math.max(0, high - low - line.reduce((sum, node) => sum + node.room, 0)), gap = slack / (line.length + 1);
  let x = low + 2 * gap * shift;
  for (const node of line) {
    node.x = x + node.room / 2;
    x += node.room + gap;
  }
}

// Nodes go where their edges lead, but the strongest ones also apart from each other, lest all edges run in one bundle.
function sortByNeighbours(some, side, end, nodes, [low, high]) {
  const place = new Map(some.map((node) => {
    const drawn = node[side].filter((edge) => nodes[edge[end]].here);
    const all = drawn.reduce((sum, edge) => sum + edge.carried, 0);
    const at = drawn.reduce((sum, edge) => sum + edge.carried * nodes[edge[end]].x, 0);
    const led = ((all > 0 ? at / all : node.x) - low) / (high - low);
    return [node, (1 - APART) * Math.min(1, Math.max(0, led)) + APART * node.own];
  }));
  const last = (node) => (node.kind === "error" ? 1 : 0);
  some.sort((a, b) => last(a) - last(b) || place.get(a) - place.get(b) || a.number - b.number);
}

// Names beside the strongest marks, where there is room for them: on the right, on the left, or above.
function namesFor(nodes, most, radius, width) {
  const boxes = nodes.map((node) => {
    const size = radius(node) + 3;
    const wide = node.kind === "target" ? 290 : size; // the answer's name stands beside it, on either side
    return [node.x - wide, node.y - size, node.x + wide, node.y + size];
  });
  const free = ([left, top, right, bottom]) => left > MARGIN.left && right < width && !boxes.some(
    (box) => box[0] < right && left < box[2] && box[1] < bottom && top < box[3]);
  const found = [];
  const strongest = nodes.filter((node) => node.kind === "feature").sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
  for (const node of strongest.slice(0, most)) {
    const text = (node.name.match(/F\d+/) || [node.name])[0], wide = 6.3 * text.length, size = radius(node) + 4;
    const places = [["start", node.x + size, node.y, 0], ["end", node.x - size, node.y, 1],
      ["middle", node.x, node.y - size - 6, 0.5]];
    for (const [anchor, x, y, before] of places) {
      const left = x - before * wide, box = [left, y - 6, left + wide, y + 6];
      if (free(box)) {
        boxes.push(box);
        found.push({ node, text, x, y, anchor });
        break;
      }
    }
  }
  return found;
}
