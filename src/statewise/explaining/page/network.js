// What is computed: a cell's description over layers, directions, rows and steps, in float64; and of every number what
// it was computed from.
//
// A number has a key: "x/n/t/i" of the input, "s/k/z/n/u" of state k before the first step, "w/p/i" of a parameter, flat,
// and "v/z/n/t/s/u" of symbol s of the cell's step. z counts layers and directions as h_n does, u units.

const FUNCTIONS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  neg: a => -a,
  sigmoid: a => 1 / (1 + Math.exp(-a)),
  tanh: Math.tanh,
  relu: a => Math.max(a, 0),
  exp: Math.exp,
  log: Math.log,
  softplus: a => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a))),
  logsigmoid: a => Math.min(a, 0) - Math.log1p(Math.exp(-Math.abs(a))),
  maximum: Math.max,
  minimum: Math.min,
  abs: Math.abs,
  sqrt: Math.sqrt,
  where: (a, b, c) => a !== 0 ? b : c,
};

const range = (count, f = k => k) => Array.from({ length: count }, (_, k) => f(k));

/** The page's numbers: count of them, others for each seed. The Python beside them has the same line. */
const numbers = (count, seed) => range(count, k => ((k + 5 * seed) ** 3 % 17 - 8) / 10);

/** Of values, each (H,), what a norm makes: over all units of all of them, times the gains. */
function normalised(values, gains, biases) {
  const all = values.flat(), mean = all.reduce((a, b) => a + b, 0) / all.length;
  const variance = all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length;
  const scale = 1 / Math.sqrt(variance + 1e-5);
  return values.map((value, g) => value.map((v, u) => (v - mean) * scale * gains[g][u] + (biases ? biases[g][u] : 0)));
}

class Network {
  constructor(cell, config) {
    const { T, N, I, H, L, bidirectional, ragged, lengths, edits } = config;
    Object.assign(this, { cell, T, N, I, H, L, edits, D: bidirectional ? 2 : 1 });
    this.depth = L * this.D;
    this.lengths = range(N, n => ragged ? Math.min(lengths[n], T) : T);
    this.defined = new Map(cell.equations.map(equation => [equation.symbol, equation]));
    this.parameters = [];
    this.own = range(this.depth, z => this.#parametersOf(z));
    const given = numbers(T * N * I, 0);
    this.x = range(N, n => range(T, t => range(I, i => this.#edited(`x/${n}/${t}/${i}`, given[(t * N + n) * I + i]))));
    // The order in which it is computed: as torch does, one layer and direction after the other.
    this.order = [];
    const last = Math.max(...this.lengths);
    for (let z = 0; z < this.depth; z++) {
      for (let k = 0; k < last; k++) this.order.push({ z, t: this.backward(z) ? last - 1 - k : k });
    }
    this.steps = range(this.depth, () => range(N, () => []));
    for (const { z, t } of this.order) {
      for (let n = 0; n < N; n++) if (t < this.lengths[n]) this.steps[z][n][t] = this.#step(z, n, t);
    }
  }

  backward(z) { return this.D === 2 && z % 2 === 1; }
  layer(z) { return Math.floor(z / this.D); }
  width(z) { return this.layer(z) ? this.D * this.H : this.I; }
  first(z, n) { return this.backward(z) ? this.lengths[n] - 1 : 0; }
  last(z, n) { return this.backward(z) ? 0 : this.lengths[n] - 1; }
  place(z, t) { return this.order.findIndex(each => each.z === z && each.t === t); }

  #edited(key, value) { return this.edits[key] ?? value; }

  #parametersOf(z) {
    const { H } = this, found = {};
    for (const { name, kind, parts } of this.cell.weights) {
      const rows = Math.max(1, parts.length) * H;
      const columns = kind === "input" ? this.width(z) : kind === "recurrent" ? H : null;
      const p = this.parameters.length;
      const values = numbers(rows * (columns ?? 1), p + 1).map((value, i) => this.#edited(`w/${p}/${i}`, value));
      const full = `${name}_l${this.layer(z)}${this.backward(z) ? "_reverse" : ""}`;
      this.parameters.push(found[name] = { p, name: full, base: name, kind, parts, rows, columns, values, z });
    }
    return found;
  }

  /** The keys of what a step reads of the input or of the layer below. */
  reads(z, n, t) {
    if (!this.layer(z)) return range(this.I, i => `x/${n}/${t}/${i}`);
    const below = (this.layer(z) - 1) * this.D;
    return range(this.D).flatMap(d => range(this.H, u => this.state(0, below + d, n, t, u)));
  }

  state(k, z, n, t, u) { return `v/${z}/${n}/${t}/${this.cell.after[k]}/${u}`; }

  /** The key of state k before a step. */
  before(k, z, n, t, u) {
    if (t === this.first(z, n)) return `s/${k}/${z}/${n}/${u}`;
    return this.state(k, z, n, t + (this.backward(z) ? 1 : -1), u);
  }

  value(key) {
    const [kind, a, b, c, d, e] = key.split("/");
    if (kind === "x") return this.x[a][b][c];
    if (kind === "s") return this.#edited(key, 0);
    if (kind === "w") return this.parameters[a].values[b];
    return this.steps[a][b][c]?.[d][e];
  }

  values(keys) { return keys.map(key => this.value(key)); }

  /** A matrix's share of each of some gates, (H,) each, without bias. */
  #products(matrix, gates, read) {
    return gates.map(gate => range(this.H, u => {
      const row = (matrix.parts.indexOf(gate) * this.H + u) * matrix.columns;
      return read.reduce((sum, value, j) => sum + matrix.values[row + j] * value, 0);
    }));
  }

  #part(parameter, letter) {
    const from = letter ? parameter.parts.indexOf(letter) * this.H : 0;
    return parameter.values.slice(from, from + this.H);
  }

  /** What the input or the state before gives to each gate: normalised where the cell does so, with its bias. */
  #shares(z, which, gates, read) {
    const own = this.own[z], gain = own[`weight_norm_${which}`], bias = own[`bias_${which}`];
    let found = this.#products(own[`weight_${which}`], gates, read);
    if (gain) {
      const groups = this.cell.groups.length ? this.cell.groups : [gates];
      found = groups.flatMap(group => {
        const members = group.filter(gate => gates.includes(gate));
        return normalised(members.map(gate => found[gates.indexOf(gate)]), members.map(gate => this.#part(gain, gate)));
      });
    }
    return Object.fromEntries(gates.map((gate, g) => {
      const b = bias ? this.#part(bias, gate) : null;
      return [gate, found[g].map((value, u) => b ? value + b[u] : value)];
    }));
  }

  /** One step of one row: the values of all symbols, (H,) each. */
  #step(z, n, t) {
    const { cell, H } = this, own = this.own[z], values = [];
    const before = range(cell.states.length, k => this.values(range(H, u => this.before(k, z, n, t, u))));
    const x = this.#shares(z, "ih", cell.gates, this.values(this.reads(z, n, t)));
    const early = cell.recurrent.filter(gate => !cell.late.includes(gate));
    const r = early.length ? this.#shares(z, "hh", early, before[0]) : {};
    for (const { op, of, told } of cell.symbols) {
      const [first, second] = told;
      if (op === "x") values.push(x[first]);
      else if (op === "r") values.push(r[first]);
      else if (op === "late") values.push(this.#shares(z, "hh", [first], values[of[0]])[first]);
      else if (op === "state") values.push(before[first]);
      else if (op === "vector") values.push(this.#part(own[first], second));
      else if (op === "constant") values.push(range(H, () => first));
      else if (op === "norm") {
        const [gain, bias] = [own[`weight_norm_${first}`].values, own[`bias_norm_${first}`].values];
        values.push(normalised([values[of[0]]], [gain], [bias])[0]);
      } else values.push(range(H, u => FUNCTIONS[op](...of.map(s => values[s][u]))));
    }
    return values;
  }

  /** What one of the two products of a unit adds up: pairs of keys, and the bias's. Null where there is none of it. */
  terms(z, n, t, s, u) {
    const { op, of, told: [gate] } = this.cell.symbols[s];
    if (!["x", "r", "late"].includes(op)) return null;
    const which = op === "x" ? "ih" : "hh", own = this.own[z];
    const matrix = own[`weight_${which}`], bias = own[`bias_${which}`], gain = own[`weight_norm_${which}`];
    const row = matrix.parts.indexOf(gate) * this.H + u;
    const read = op === "x" ? this.reads(z, n, t)
      : op === "r" ? range(this.H, v => this.before(0, z, n, t, v))
        : range(this.H, v => `v/${z}/${n}/${t}/${of[0]}/${v}`);
    return {
      pairs: read.map((key, j) => [`w/${matrix.p}/${row * matrix.columns + j}`, key]),
      bias: bias ? `w/${bias.p}/${bias.parts.indexOf(gate) * this.H + u}` : null,
      gain: gain ? `w/${gain.p}/${gain.parts.indexOf(gate) * this.H + u}` : null,
      gates: gain ? this.#together(gate, which === "ih" ? this.cell.gates : this.cell.recurrent) : [gate],
      matrix, read,
    };
  }

  /** The gates whose products are normalised with that of one. */
  #together(gate, gates) {
    const group = this.cell.groups.find(each => each.includes(gate)) ?? gates;
    return group.filter(each => gates.includes(each));
  }

  /** The keys that a number is computed from: what its equation names. */
  sources(key) {
    const [kind, z, n, t, s, u] = key.split("/").map((part, k) => k ? Number(part) : part);
    if (kind !== "v" || !this.steps[z][n][t]) return [];
    const { op, of } = this.cell.symbols[s];
    if (["x", "r", "late", "state", "vector", "norm"].includes(op)) return [...new Set(this.#leaf(z, n, t, s, u))];
    return [...new Set(of.flatMap(a => this.#named(z, n, t, a, u)))];
  }

  #named(z, n, t, s, u) {
    if (this.defined.has(s)) return [`v/${z}/${n}/${t}/${s}/${u}`];
    const { op, of } = this.cell.symbols[s];
    if (["x", "r", "late", "state", "vector", "norm", "constant"].includes(op)) return this.#leaf(z, n, t, s, u);
    return of.flatMap(a => this.#named(z, n, t, a, u));
  }

  #leaf(z, n, t, s, u) {
    const { op, of, told: [first, second] } = this.cell.symbols[s], own = this.own[z], { H } = this;
    const at = (parameter, letter) => `w/${parameter.p}/${(letter ? parameter.parts.indexOf(letter) : 0) * H + u}`;
    if (op === "constant") return [];
    if (op === "state") return [this.before(first, z, n, t, u)];
    if (op === "vector") return [at(own[first], second)];
    if (op === "norm") {
      const all = range(H).flatMap(v => this.#named(z, n, t, of[0], v));
      return [...all, at(own[`weight_norm_${first}`]), at(own[`bias_norm_${first}`])];
    }
    const { pairs, bias, gain, gates, matrix, read } = this.terms(z, n, t, s, u);
    const rows = gain ? gates.flatMap(gate => range(H, v => matrix.parts.indexOf(gate) * H + v)) : null;
    const weights = rows ? rows.flatMap(row => read.map((_, j) => `w/${matrix.p}/${row * matrix.columns + j}`))
      : pairs.map(pair => pair[0]);
    const given = op === "late" ? range(H).flatMap(v => this.#named(z, n, t, of[0], v)) : read;
    return [...weights, ...given, ...[bias, gain].filter(Boolean)];
  }

  /** All that a number is computed from: within its own step, or however far back. */
  origins(key, allTheWay = false) {
    const step = key.split("/").slice(0, 4).join("/") + "/", found = new Set(), open = [key];
    while (open.length) {
      const next = open.pop();
      if (next !== key && !allTheWay && !next.startsWith(step)) continue;
      for (const source of this.sources(next)) if (!found.has(source)) { found.add(source); open.push(source); }
    }
    return found;
  }

  /** All of one row's named numbers that are computed from a number. */
  results(key, n) {
    const found = new Set();
    for (const { z, t } of this.order) {
      if (t >= this.lengths[n]) continue;
      // Symbols come after what they are of, so one pass finds them all.
      for (const [s] of [...this.defined].sort((a, b) => a[0] - b[0])) {
        for (let u = 0; u < this.H; u++) {
          const own = `v/${z}/${n}/${t}/${s}/${u}`;
          if (this.sources(own).some(source => source === key || found.has(source))) found.add(own);
        }
      }
    }
    return found;
  }

  /** Where a program finds a number: expressions of Python, none for what stays inside. */
  places(key, batchFirst) {
    const [kind, ...rest] = key.split("/"), [a, b, c, d, e] = rest.map(Number);
    const at = (t, n, k) => batchFirst ? `[${n}, ${t}, ${k}]` : `[${t}, ${n}, ${k}]`;
    if (kind === "x") return [`x${at(b, a, c)}`];
    if (kind === "s") return [`${this.cell.states[a]}_0[${b}, ${c}, ${d}]`];
    if (kind === "w") {
      const { name, columns } = this.parameters[a];
      return [`layer.${name}[${columns === null ? b : `${Math.floor(b / columns)}, ${b % columns}`}]`];
    }
    const found = [];
    this.cell.after.forEach((symbol, k) => {
      if (symbol !== d) return;
      if (k === 0 && this.layer(a) === this.L - 1) found.push(`output${at(c, b, (a % this.D) * this.H + e)}`);
      if (c === this.last(a, b)) found.push(`${this.cell.states[k]}_n[${a}, ${b}, ${e}]`);
    });
    return found;
  }
}
