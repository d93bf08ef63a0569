// The page: what a reader has set, and how it is drawn from that, whole, after every change.

const DATA = JSON.parse(document.getElementById("data").textContent);
const CELLS = Object.fromEntries(DATA.cells.map(cell => [cell.name, cell]));
const TORCHS = ["lstm", "gru", "rnn_tanh", "rnn_relu"];
const SIZES = [["T", "steps"], ["N", "rows"], ["I", "features"], ["H", "units"], ["L", "layers"]];
const MOST = {
  T: DATA.most.steps, N: DATA.most.batch, I: DATA.most.input_size, H: DATA.most.hidden_size, L: DATA.most.layers,
};
const AXES = {
  T: "time steps", N: "rows of the batch", I: "features of the input in one step", H: "units: numbers in a state",
  L: "layers, each reading the one below", D: "directions: forward and backward in time",
};
const UNSORTED = "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
  + "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not need "
  + "ONNX exportability.";
const root = document.getElementById("page");
const embedded = window.parent !== window;

const state = {
  cell: "lstm", T: 3, N: 2, I: 3, H: 4, L: 1, bidirectional: false, batchFirst: false, ragged: false,
  lengths: [3, 2, 1, 2], pack: "lengths", enforceSorted: false, edits: {}, view: "call",
  shown: 2, at: { z: 0, t: 1 }, row: 0, chosen: null, back: false, question: null, playing: null, said: "", copied: false,
};
let network, computedOf;

// What is set, and what follows from it.

function rebuild(changes = {}) {
  Object.assign(state, changes);
  for (const [size] of SIZES) state[size] = Math.max(1, Math.min(MOST[size], Math.round(state[size]) || 1));
  state.lengths = range(MOST.N, n => Math.max(1, Math.min(state.T, state.lengths[n] || 1)));
  const whole = network && state.shown >= network.order.length;
  const { cell, T, N, I, H, L, bidirectional, ragged, lengths, edits } = state;
  const set = JSON.stringify([cell, T, N, I, H, L, bidirectional, ragged, lengths, edits]);
  if (set !== computedOf) [network, computedOf] = [new Network(CELLS[cell], state), set];
  const count = network.order.length;
  state.shown = whole && changes.shown === undefined ? count : Math.max(1, Math.min(state.shown, count));
  state.row = Math.min(state.row, state.N - 1);
  const place = network.place(state.at.z, state.at.t);
  if (place < 0 || place >= state.shown) state.at = network.order[state.shown - 1];
  if (state.chosen && !exists(state.chosen)) state.chosen = null;
  if (!state.chosen) state.chosen = stateAt(state.at);
}

/** After a change of sizes or of the cell: what the reader put in for old places is gone. */
const reset = changes => update({ edits: {}, chosen: null, question: null, shown: Infinity, ...changes });

function update(changes = {}) {
  rebuild(changes);
  draw();
}

function exists(key) {
  try { return network.value(key) !== undefined && (key[0] !== "v" || network.defined.has(Number(key.split("/")[4]))); } catch { return false; }
}

/** h of the first unit after a step, of the row that is shown or of another that has such a step. */
function stateAt({ z, t }) {
  if (t >= network.lengths[state.row]) state.row = network.lengths.findIndex(length => t < length);
  return network.state(0, z, state.row, t, 0);
}

const refused = () => state.ragged && state.pack === "packed" && state.enforceSorted
  && network.lengths.some((length, n) => n && length > network.lengths[n - 1]);

/** Whether a number has been computed in the steps so far. */
function computed(key) {
  const [kind, z, , t] = key.split("/");
  return kind !== "v" || network.place(Number(z), Number(t)) < state.shown;
}

function choose(key) {
  rebuild(chosenBy(key));
  say(spoken(key));
}

/** What changes when a number is chosen: it is shown, with its row and its step. */
function chosenBy(key) {
  const [kind, a, b, c] = key.split("/"), changes = { chosen: key, question: null };
  if (kind === "v") {
    Object.assign(changes, { at: { z: Number(a), t: Number(c) }, row: Number(b) });
    changes.shown = Math.max(state.shown, network.place(Number(a), Number(c)) + 1);
  } else if (kind === "x") {
    changes.row = Number(a);
    if (network.layer(state.at.z) === 0 && Number(b) < network.lengths[a]) changes.at = { z: state.at.z, t: Number(b) };
    if (changes.at && network.place(changes.at.z, changes.at.t) >= state.shown) delete changes.at;
  } else if (kind === "s") changes.row = Number(c);
  else {
    const { z } = network.parameters[a];
    if (z !== state.at.z) changes.at = network.order.filter(each => each.z === z)[0];
    if (changes.at) changes.shown = Math.max(state.shown, network.place(z, changes.at.t) + 1);
  }
  if (changes.at && changes.at.t >= network.lengths[changes.row ?? state.row]) {
    changes.row = network.lengths.findIndex(length => changes.at.t < length);
  }
  return changes;
}

/** Go to where so many steps are computed, and look at the last of them: at the same number as before, if it has it. */
function go(shown) {
  shown = Math.max(1, Math.min(shown, network.order.length));
  const at = network.order[shown - 1], row = at.t < network.lengths[state.row] ? state.row
    : network.lengths.findIndex(length => at.t < length);
  const [kind, , , , s, u] = (state.chosen ?? "").split("/");
  const chosen = kind === "v" ? `v/${at.z}/${row}/${at.t}/${s}/${u}` : network.state(0, at.z, row, at.t, 0);
  rebuild({ shown, at, row, chosen, question: null });
  say(`${lane(at.z)}, t = ${at.t}: ${shown} of ${network.order.length} computed. ${spoken(chosen)}`);
}

function play() {
  if (state.playing) return stop();
  if (state.shown >= network.order.length) go(1);
  state.playing = setInterval(() => {
    go(state.shown + 1);
    if (state.shown >= network.order.length) stop();
  }, 1100);
  draw();
}

function stop() {
  clearInterval(state.playing);
  update({ playing: null });
}

/** Draw what is set now, and tell a screen reader of it. */
const say = text => { state.said = text; draw(); };

function answer(question) {
  const { show, choose: pick, back = false } = question;
  rebuild({ edits: {}, chosen: null, shown: Infinity, back, ...show });
  state.at = network.order.at(-1);
  const key = pick({ network, at: state.at, row: state.row });
  rebuild({ ...chosenBy(key), back, question });
  say(question.say(state, network));
}

// Words.

const MINUS = "\u2212";
const number = (value, digits = 2) => {
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", MINUS);
};
const lane = z => `layer ${network.layer(z)}${network.D === 2 ? (network.backward(z) ? ", backward" : ", forward") : ""}`;
const plain = text => text.replace(/_\{(.*?)\}/g, (_, low) => low === "t-1" ? "_(t-1)" : `_${low}`);
/** A name with its lowered letters. */
const formula = text => text.split(/(_\{.*?\})/).map(part => part.startsWith("_{") ? html`<sub>${part.slice(2, -1)}</sub>` : part);

const equationOf = s => network.defined.get(s);
const textOf = ({ name, pieces }) => `${name} = ${pieces.map(p => Array.isArray(p) ? p[0] : p).join("")}`;

/** Which tensor a number is of: its name there, shape, axes, and where it stands. */
function describe(key) {
  const [kind, ...rest] = key.split("/"), [a, b, c, d, e] = rest.map(Number), { N, T, I, H } = state;
  if (kind === "x") {
    const shape = state.batchFirst ? [["N", N], ["T", T], ["I", I]] : [["T", T], ["N", N], ["I", I]];
    return { name: network.places(key, state.batchFirst)[0], shape, where: `input, row ${a}, t = ${b}` };
  }
  if (kind === "s") {
    const shape = [["L*D", network.depth], ["N", N], ["H", H]];
    return { name: network.places(key)[0], shape, where: `${lane(b)}, row ${c}, before the first step` };
  }
  if (kind === "w") {
    const found = network.parameters[a], rows = found.parts.length > 1 ? `${found.parts.length}*H` : "H";
    const columns = found.kind === "input" ? (network.layer(found.z) ? (network.D === 2 ? "2*H" : "H") : "I") : "H";
    const shape = found.columns === null ? [[rows, found.rows]] : [[rows, found.rows], [columns, found.columns]];
    const row = found.columns === null ? b : Math.floor(b / found.columns), part = found.parts[Math.floor(row / H)];
    const where = `${lane(found.z)}, learnt: unit ${row % H}${part && found.parts.length > 1 ? ` of ${part}` : ""}`;
    return { name: network.places(key)[0].replace("layer.", ""), shape, where };
  }
  const name = `${equationOf(d)?.name ?? "?"}[${e}]`;
  return { name, shape: [["N", N], ["H", H]], where: `${lane(a)}, row ${b}, t = ${c}`, equation: equationOf(d) };
}

const shapeText = shape => `${tuple(shape.map(s => s[0]))} = ${tuple(shape.map(s => s[1]))}`;

function spoken(key) {
  const { name, where, equation } = describe(key), value = network.value(key);
  if (value === undefined) return "";
  const sources = network.sources(key).length;
  return `${plain(name)} = ${number(value, 4)}, ${where}. `
    + (equation ? `${plain(textOf(equation))}. Computed from ${plural(sources, "number")}, which are marked.` : "What is computed from it is marked.");
}

// Numbers as tiles.

let marks;

function mark() {
  const { chosen } = state;
  const direct = new Set(network.sources(chosen)), far = network.origins(chosen, state.back);
  const results = direct.size ? new Set() : network.results(chosen, state.row);
  marks = { direct, far, results };
}

function role(key) {
  const [kind, a, b, , s] = key.split("/");
  if (kind === "x") return "input";
  if (kind === "w") return "weight";
  const z = Number(kind === "s" ? b : a);
  if (kind === "v" && !network.cell.after.includes(Number(s))) return "inner";
  return network.backward(z) ? "backward" : "forward";
}

function tile(key) {
  if (!computed(key)) {
    return html`<button class="tile blank" data-key=${key} tabindex="-1" aria-label=${`${label(key)}: not computed yet`}>·</button>`;
  }
  const value = network.value(key);
  const at = key === state.chosen ? "chosen" : marks.direct.has(key) ? "direct" : marks.far.has(key) ? "far"
    : marks.results.has(key) ? "result" : "";
  const level = Math.min(8, Math.round(Math.abs(value) * 8));
  const noted = { chosen: ", chosen", direct: ", a source", far: ", a source of a source", result: ", computed from it", "": "" }[at];
  return html`<button class=${`tile ${role(key)} l${level} ${at} ${key in state.edits ? "edited" : ""}`} data-key=${key}
    data-value=${value} tabindex="-1" aria-pressed=${key === state.chosen}
    aria-label=${`${label(key)}: ${number(value)}${noted}`}>${number(value)}</button>`;
}

const label = key => { const { name, where } = describe(key); return `${plain(name)}, ${where}`; };
const padding = () => html`<span class="tile padding" role="img" aria-label="padding"></span>`;

/** The tab key stops once at each board: at the chosen number, else at the first; from there arrow keys go on. */
function enter() {
  for (const board of root.querySelectorAll("[data-board]")) {
    for (const old of board.querySelectorAll("[tabindex='0']")) old.tabIndex = -1;
    const entry = board.querySelector("button.chosen") ?? board.querySelector("button.tile");
    if (entry) entry.tabIndex = 0;
  }
}

// The layer over its steps.

function overTime() {
  const { T, I, H, row } = state, { cell, depth, D, L } = network;
  const steps = range(T), counts = t => t < network.lengths[row];
  const cells = keys => keys.map(key => html`<td>${key ? tile(key) : key === null ? padding() : ""}</td>`);
  const numbered = (count, keys) => range(count, u => html`<tr><th scope="row">${u}</th>${cells(keys(u))}</tr>`);
  const laneOf = z => {
    const back = network.backward(z), way = back ? "backward" : "forward", head = (s, k) => html`
      <tr class=${`head ${way} ${k ? "" : "top"}`}>
        <th scope="row" class="letter">${s}</th>
        <th class="end">${back ? `${s}_n[${z}]` : `${s}_0[${z}]`}</th>
        <td colspan=${T} class="way">${k ? "" : html`<span>${lane(z)}</span>`}</td>
        <th class="end">${back ? `${s}_0[${z}]` : `${s}_n[${z}]`}</th>
      </tr>`;
    return html`<tbody class=${`lane ${way}`}>${cell.states.map((s, k) => html`${head(s, k)}${numbered(H, u => {
      const before = `s/${k}/${z}/${row}/${u}`, after = network.state(k, z, row, network.last(z, row), u);
      const own = steps.map(t => counts(t) ? network.state(k, z, row, t, u) : null);
      return back ? [after, ...own, before] : [before, ...own, after];
    })}`)}</tbody>`;
  };
  const top = (L - 1) * D, place = t => state.batchFirst ? `[${row}, ${t}]` : `[${t}, ${row}]`;
  return html`<section id="time" class="panel" aria-labelledby="time-title">
    <div class="title"><h2 id="time-title">Over time</h2>${rows()}</div>
    <div class="scroll" data-board><table>
      <thead><tr><th></th><td></td>${steps.map(t => html`<th scope="col" class=${state.at.t === t ? "now" : ""}>t = ${t}</th>`)}<td></td></tr></thead>
      <tbody class="lane in">
        <tr class="head top"><th class="letter name" scope="row" colspan="2">x</th>
          ${steps.map(t => html`<th class="end">${place(t)}</th>`)}<td></td></tr>
        ${numbered(I, i => [undefined, ...steps.map(t => `x/${row}/${t}/${i}`), undefined])}
      </tbody>
      ${range(depth, laneOf)}
      <tbody class="lane out">
        <tr class="head top"><th class="letter name" scope="row" colspan="2">output</th>
          ${steps.map(t => html`<th class="end">${place(t)}</th>`)}<td></td></tr>
        ${numbered(D * H, k => [undefined, ...steps.map(t =>
          counts(t) ? network.state(0, top + Math.floor(k / H), row, t, k % H) : null), undefined])}
      </tbody>
    </table></div>
    <p class="note">${depth === 1 ? html`One <b>lane</b>: the states go from step to step,` : html`${depth} <b>lanes</b>: in each the states go from step to step,`}
      the weights stay the same. ${state.N > 1 ? "The other rows do the same, each for itself." : ""}</p>
  </section>`;
}

function rows() {
  if (state.N === 1) return "";
  return html`<fieldset class="choice" aria-label="row of the batch"><legend>row</legend>${range(state.N, n => html`
    <label><input type="radio" name="row" value=${n} .checked=${state.row === n} @change=${() => showRow(n)}><span>${n}</span></label>`)}
  </fieldset>`;
}

function showRow(n) {
  const own = network.order.slice(0, state.shown).filter(each => each.t < network.lengths[n]);
  const at = state.at.t < network.lengths[n] ? state.at : own.filter(each => each.z === state.at.z).at(-1) ?? own.at(-1);
  if (!at) return update({ row: n });
  choose(network.state(0, at.z, n, at.t, Number(state.chosen.split("/")[5] ?? 0) || 0));
}

// One step from inside: the weights, what they are multiplied by, and what comes of it.

function inside() {
  const { z, t } = state.at, { row, H } = state, { cell } = network, own = network.own[z];
  if (t >= network.lengths[row]) return "";
  const aligned = Object.values(own).filter(p => p.parts.some(part => cell.gates.includes(part)));
  const apart = Object.values(own).filter(p => !aligned.includes(p));
  const read = { input: network.reads(z, row, t), recurrent: range(H, u => network.before(0, z, row, t, u)) };
  const short = p => ({ weight_ih: "W_ih", weight_hh: "W_hh", bias_ih: "b_ih", bias_hh: "b_hh", weight_norm_ih: "norm_ih", weight_norm_hh: "norm_hh" }[p.base] ?? p.base);
  const gate = letter => network.cell.equations.find(each => each.name === `${letter}_{t}` && !cell.after.includes(each.symbol));
  const later = cell.equations.filter(each => !cell.gates.some(letter => gate(letter) === each));
  const weights = (p, letter, u) => {
    const part = p.parts.indexOf(letter), count = p.columns ?? 1;
    if (part < 0) return html`<td colspan=${count} class="first"></td>`;
    return range(count, j => html`<td class=${j ? "" : "first"}>${tile(`w/${p.p}/${(part * H + u) * count + j}`)}</td>`);
  };
  const width = 2 + aligned.reduce((sum, p) => sum + (p.columns ?? 1), 0);
  const count = Object.values(own).reduce((sum, p) => sum + p.values.length, 0);
  const names = Object.values(own).map(p => `${p.name} ${tuple(p.columns === null ? [p.rows] : [p.rows, p.columns])}`);
  return html`<section id="inside" class="panel" aria-labelledby="inside-title">
    <div class="title"><h2 id="inside-title">Inside ${lane(z)}, t = ${t}</h2></div>
    <p class="where">${reading(z, row, t)}</p>
    <div class="scroll" data-board><table class="small">
      <thead>
        <tr><th></th>${aligned.map(p => html`<th colspan=${p.columns ?? 1} class="first" scope="colgroup" title=${`${p.name} ${tuple(p.columns === null ? [p.rows] : [p.rows, p.columns])}`}>${formula(short(p).replace(/_(.h)$/, "_{$1}"))}</th>`)}<td></td></tr>
        <tr class="read"><th scope="row">times</th>${aligned.map(p => read[p.kind]
          ? read[p.kind].map((key, j) => html`<td class=${j ? "" : "first"}>${tile(key)}</td>`)
          : html`<td class="first one">${p.base.startsWith("bias") ? "1" : ""}</td>`)}<td></td></tr>
      </thead>
      ${cell.gates.map(letter => html`<tbody>
        <tr class="head"><th colspan=${width}>${gate(letter) ? equationLine(gate(letter)) : html`<span class="eq">${formula(`${letter}`)}</span>`}</th></tr>
        ${range(H, u => html`<tr><th scope="row">${u}</th>${aligned.map(p => weights(p, letter, u))}
          <td class="first sum">${gate(letter) ? tile(`v/${z}/${row}/${t}/${gate(letter).symbol}/${u}`) : ""}</td></tr>`)}
      </tbody>`)}
    </table>
    ${apart.map(p => html`<div class="line"><span class="eq">${p.name}</span><span class="tiles">${range(p.rows, i => tile(`w/${p.p}/${i}`))}</span></div>`)}
    ${later.map(each => html`<div class="line"><span class="eq">${equationLine(each)}</span>
      <span class="tiles">${range(H, u => tile(`v/${z}/${row}/${t}/${each.symbol}/${u}`))}</span></div>`)}
    </div>
    <p class="note">${names.join(", ")}: ${cell.gates.length > 1 ? html`<b>${cell.gates.length} times</b> the rows of a plain RNN, one block for each of ${cell.gates.join(", ")}.`
      : "one block of rows."} Together ${count} numbers, the same in every step.</p>
  </section>`;
}

/** What x_t and h_(t-1) are in a step. */
function reading(z, row, t) {
  const before = network.backward(z) ? t + 1 : t - 1, low = network.layer(z) - 1;
  const x = low < 0 ? html`x<sub>t</sub> is <code>${state.batchFirst ? `x[${row}, ${t}]` : `x[${t}, ${row}]`}</code>`
    : html`x<sub>t</sub> is h of layer ${low} at t = ${t}${network.D === 2 ? ", both directions side by side" : ""}`;
  const h = t === network.first(z, row) ? html`<code>h_0[${z}, ${row}]</code>`
    : html`h after t = ${before}${network.backward(z) ? ", which the backward direction has read before" : ""}`;
  return html`${x}; h<sub>t-1</sub> is ${h}.`;
}

const equationLine = equation => html`<span class="eq">${formula(textOf(equation))}</span>`;

// The number that is chosen.

function chosenPanel() {
  const key = state.chosen, value = network.value(key), { name, shape, where, equation } = describe(key);
  const kind = key[0], places = network.places(key, state.batchFirst && state.view !== "loop");
  return html`<section id="chosen" class="panel" aria-labelledby="chosen-title">
    <div class="title"><h2 id="chosen-title"><span class="eq big">${formula(name)} = <b>${number(value, 4)}</b></span></h2></div>
    <p class="where">${where}; ${kind === "v" ? `one of ${shapeText(shape)} numbers` : shapeText(shape)}</p>
    ${equation ? derivation(key, equation) : given(key, value)}
    ${kind === "v" ? html`<pre class="python scroll" tabindex="0" aria-label="this step in Python">${matching(places, value)}</pre>
      <fieldset class="choice"><legend>light up</legend>
        <label><input type="radio" name="back" value="step" .checked=${!state.back} @change=${() => update({ back: false })}><span>this step</span></label>
        <label><input type="radio" name="back" value="all" .checked=${state.back} @change=${() => update({ back: true })}><span>all the way back</span></label>
      </fieldset>` : ""}
  </section>`;
}

/** Of the program the lines that compute a number of this step, and where it is found then. */
function matching(places, value) {
  const called = program(network, state, null).filter(line => line.active).map(line => line.code.trim());
  const t = state.view === "loop" ? `  # t = ${state.at.t}` : "";
  const found = places.length ? places.map(place => `${place}  # ${number(value, 4).replace(MINUS, "-")}`) : ["# it is in no result of the layer"];
  return [...called.map(code => code + t), ...found].join("\n");
}

const signed = value => number(value);
const token = key => {
  const text = signed(network.value(key));
  if (key[0] === "v" && !network.defined.has(Number(key.split("/")[4]))) return html`<span class="token">${text}</span>`;
  return html`<button class=${`token ${role(key)}`} data-key=${key} aria-label=${label(key)}>${text}</button>`;
};

/** The equation in letters, then with the numbers in it, then with the products added up. */
function derivation(key, equation) {
  const [, z, n, t, , u] = key.split("/").map(Number);
  const keyOf = s => {
    const { op, told } = network.cell.symbols[s];
    if (network.defined.has(s)) return `v/${z}/${n}/${t}/${s}/${u}`;
    if (op === "state") return network.before(told[0], z, n, t, u);
    const found = network.own[z][told[0]];
    return `w/${found.p}/${(told[1] ? found.parts.indexOf(told[1]) : 0) * state.H + u}`;
  };
  const terms = s => network.defined.has(s) && s !== equation.symbol ? null : network.terms(z, n, t, s, u);
  const expanded = s => {
    const found = terms(s);
    if (!found) return token(keyOf(s));
    const { pairs, bias, gain } = found;
    const sum = pairs.map(([w, x], k) => html`${k ? " + " : ""}<span class="pair">${token(w)}·${token(x)}</span>`);
    return html`<span class="share">${gain ? html`norm(${sum})·${token(gain)}` : sum}${bias ? html` + ${token(bias)}` : ""}</span>`;
  };
  const summed = s => terms(s) ? html`<span class="token">${signed(network.steps[z][n][t][s][u])}</span>` : token(keyOf(s));
  const line = make => equation.pieces.map(piece => Array.isArray(piece) ? make(piece[1]) : formula(piece));
  const shares = equation.pieces.some(piece => Array.isArray(piece) && terms(piece[1]));
  return html`<div class="derivation">
    <p class="eq">${equationLine(equation)}</p>
    <p class="eq filled">= ${line(expanded)}</p>
    ${shares ? html`<p class="eq filled">= ${line(summed)}</p>` : ""}
    <p class="eq filled">= <b>${number(network.value(key), 4)}</b></p>
  </div>`;
}

/** A number that is given or learnt: the reader may put another in its place. */
function given(key, value) {
  const { results } = marks, mine = key in state.edits;
  const put = text => {
    const found = Number(text);
    if (text !== "" && Number.isFinite(found)) update({ edits: { ...state.edits, [key]: Math.max(-9, Math.min(9, found)) } });
  };
  const undo = () => { const edits = { ...state.edits }; delete edits[key]; update({ edits }); };
  return html`<p>${key[0] === "w" ? "Learnt; the same in every step and every row." : key[0] === "s" ? "Given, or 0 where it isn't." : "Given."}
      ${results.size ? `${plural(results.size, "number")} of row ${state.row} are computed from it: they are marked.` : `Nothing in row ${state.row} is computed from it.`}</p>
    <p class="edit"><label for="value">put another number here</label>
      <input id="value" type="number" step="0.1" min="-9" max="9" .value=${String(value)} @input=${event => put(event.target.value)} @change=${event => { event.target.value = network.value(key); }}>
      ${mine ? html`<button class="quiet" @click=${undo}>undo</button>` : ""}</p>`;
}

// The tensors as a program sees them.

function tensors() {
  const { T, N, I, H, batchFirst } = state, { cell, D, depth } = network, top = depth - D;
  const order = (t, n) => batchFirst ? [n, t] : [t, n];
  const timed = batchFirst ? ["N", "T"] : ["T", "N"], sizes = { T, N };
  const over = (width, key) => range(sizes[timed[0]], a => range(sizes[timed[1]], b => {
    const [t, n] = order(a, b);
    return range(width, k => key(t, n, k));
  }));
  const finals = (k, key) => range(depth, z => range(N, n => range(H, u => key(k, z, n, u))));
  const found = [
    tensor("x", [...timed, "I"], over(I, (t, n, i) => `x/${n}/${t}/${i}`), "what goes in"),
    tensor("output", [...timed, D === 2 ? "2*H" : "H"], over(D * H, (t, n, k) =>
      t < network.lengths[n] ? network.state(0, top + Math.floor(k / H), n, t, k % H) : null),
    `h of ${state.L > 1 ? "the last layer" : "the layer"} after every step${D === 2 ? ", both directions side by side" : ""}`),
    ...cell.states.flatMap((s, k) => [
      tensor(`${s}_0`, ["L*D", "N", "H"], finals(k, (k, z, n, u) => `s/${k}/${z}/${n}/${u}`),
        `${s} before the first step`, lane),
      tensor(`${s}_n`, ["L*D", "N", "H"], finals(k, (k, z, n, u) => network.state(k, z, n, network.last(z, n), u)),
        `${s} after the last step`, lane),
    ]),
  ];
  return html`<section id="tensors" class="panel" aria-labelledby="tensors-title">
    <div class="title"><h2 id="tensors-title">The tensors, as Python has them</h2>
      <p class="axes">${Object.entries({ T, N, I, H, L: state.L, D }).map(([letter, size]) =>
        html`<span title=${AXES[letter]}><b>${letter}</b> ${size} <i>${counted(letter, size)}</i></span>`)}</p></div>
    <div class="tensors">${found}</div>
  </section>`;
}

function counted(letter, size) {
  const [words] = AXES[letter].split(/[:,]/);
  return size === 1 ? words.replace(/s\b/, "") : words;
}

function tensor(name, axes, blocks, meaning, block) {
  const sizes = [blocks.length, blocks[0].length, blocks[0][0].length];
  return html`<figure id=${name} aria-label=${`${name} ${shapeText(axes.map((axis, k) => [axis, sizes[k]]))}`}>
    <figcaption><code>${name}</code> <span class="shape">${axes.map((axis, k) => html`${k ? ", " : "("}<b class=${axis === "T" ? "T" : ""}>${axis}</b>`)}) = ${tuple(sizes)}</span>
      <span class="meaning">${meaning}</span></figcaption>
    <div class="scroll blocks" data-board>${blocks.map((block2, a) => html`<table class="small">
      <caption>${axes[0]} ${a}${block ? html` <i>${block(a)}</i>` : ""}</caption>
      <tbody>${block2.map((line, b) => html`<tr><th scope="row">${axes[1]} ${b}</th>${line.map(key => html`<td>${key ? tile(key) : padding()}</td>`)}</tr>`)}</tbody>
    </table>`)}</div>
  </figure>`;
}

// Ragged rows, and what packing makes of them.

function packing() {
  if (!state.ragged) return "";
  const { T, N } = state, { lengths } = network;
  const sorted = range(N).sort((a, b) => lengths[b] - lengths[a]);
  const sizes = range(Math.max(...lengths), t => lengths.filter(length => t < length).length);
  const places = new Map();
  sizes.forEach((size, t) => range(size, k => places.set(`${sorted[k]}/${t}`, places.size)));
  const order = state.enforceSorted ? range(N) : sorted;
  const unsorted = range(N, n => sorted.indexOf(n));
  const cellOf = (n, t) => {
    const place = places.get(`${n}/${t}`), own = n === state.row && t === state.at.t;
    return place === undefined ? html`<td>${padding()}</td>`
      : html`<td><button class=${`tile input place ${own ? "chosen" : ""}`} data-key=${`x/${n}/${t}/0`} tabindex="-1" aria-label=${`row ${n}, t = ${t}: place ${place} of the packed data`}>${place}</button></td>`;
  };
  return html`<section id="packing" class="panel" aria-labelledby="packing-title">
    <div class="title"><h2 id="packing-title">Ragged rows</h2></div>
    <div class="controls">
      ${range(N, n => html`<label class="size">row ${n} <input type="number" min="1" max=${T} .value=${String(lengths[n])}
        aria-label=${`length of row ${n}`} @change=${event => { setLength(n, event.target.value); event.target.value = state.lengths[n]; }}></label>`)}
      <fieldset class="choice"><legend>by</legend>
        ${[["lengths", false, "lengths="], ["packed", false, "enforce_sorted=False"], ["packed", true, "enforce_sorted=True"]].map(([pack, enforceSorted, text]) => html`
        <label><input type="radio" name="pack" value=${text} .checked=${state.pack === pack && (pack === "lengths" || state.enforceSorted === enforceSorted)}
          @change=${() => update({ pack, enforceSorted, question: null })}><span>${text}</span></label>`)}
      </fieldset>
    </div>
    ${refused() ? "" : html`
    <div class="scroll" data-board><table class="pack">
      <thead><tr><th></th>${range(T, t => html`<th scope="col">t = ${t}</th>`)}<th scope="col">length</th></tr></thead>
      <tbody>${order.map(n => html`<tr><th scope="row">row ${n}</th>${range(T, t => cellOf(n, t))}<td class="one">${lengths[n]}</td></tr>`)}</tbody>
      <tfoot><tr><th scope="row">batch_sizes</th>${range(T, t => html`<td class="one">${sizes[t] ?? ""}</td>`)}<td></td></tr></tfoot>
    </table></div>
    <p class="note">${state.pack === "packed" ? html`The numbers say where a step lies in <code>packed.data</code> (S, I) = (${places.size}, ${state.I}): column by column, the longest row first.
      ${state.enforceSorted ? "" : html`<code>sorted_indices</code> = [${sorted.join(", ")}] is the order of the rows in it, <code>unsorted_indices</code> = [${unsorted.join(", ")}] the way back; h_n is in your order already.`}`
      : html`<code>lengths=</code> takes the rows as they are, sorted or not: nothing is packed by you. The numbers say in which order the steps lie while it computes.`}
      The padding is never computed${network.D === 2 ? ", and backward a row begins at its own last step, not in the padding" : ""}; output is 0 there.</p>`}
  </section>`;
}

function setLength(n, text) {
  const lengths = state.lengths.map((length, k) => k === n ? Number(text) : length);
  update({ lengths, chosen: null, question: null, shown: Infinity });
}

function problem() {
  if (!refused()) return "";
  return html`<div class="problem" role="alert"><p><code>RuntimeError: ${UNSORTED}</code></p>
    <p>The lengths are ${network.lengths.join(", ")}: not from the longest to the shortest. Leave the sorting to torch, or take lengths=, which wants no order.</p>
    <button @click=${() => update({ enforceSorted: false })}>enforce_sorted=False</button>
    <button class="quiet" @click=${() => update({ pack: "lengths" })}>lengths=</button></div>`;
}

// The Python beside it.

function programPanel() {
  const lines = program(network, state, state.chosen), text = lines.map(line => line.code ?? line).join("\n") + "\n";
  const copy = async () => {
    try { await navigator.clipboard.writeText(text); } catch { select(); document.execCommand("copy"); }
    state.copied = true;
    say("copied");
    setTimeout(() => update({ copied: false }), 1500);
  };
  const select = () => getSelection().selectAllChildren(root.querySelector("#code"));
  return html`<section id="program" class="panel" aria-labelledby="program-title">
    <div class="title"><h2 id="program-title">The same in Python</h2>
      <fieldset class="choice" aria-label="which program">
        <label><input type="radio" name="view" value="call" .checked=${state.view === "call"} @change=${() => update({ view: "call" })}><span>one call of a layer</span></label>
        <label><input type="radio" name="view" value="loop" .checked=${state.view === "loop"} @change=${() => update({ view: "loop" })}><span>a loop over cells</span></label>
      </fieldset>
      <button class="quiet" id="copy" @click=${copy}>${state.copied ? "copied" : "copy"}</button></div>
    <pre class="scroll" tabindex="0" aria-label="Python program"><code id="code">${lines.map(line => html`<span class=${line.active ? "active" : ""}>${line.code ?? line}
</span>`)}</code></pre>
    <p class="note">It gives exactly these numbers.</p>
  </section>`;
}

// What can be set.

function settings() {
  const options = names => names.map(name => html`<option value=${name} ?selected=${state.cell === name}>${CELLS[name].title}</option>`);
  const others = DATA.cells.map(cell => cell.name).filter(name => !TORCHS.includes(name));
  const toggle = (name, text, hint) => html`<label class="toggle" title=${hint}><input type="checkbox" name=${name} .checked=${state[name]}
    @change=${event => reset({ [name]: event.target.checked })}><span>${text}</span></label>`;
  return html`<div class="controls settings" role="group" aria-label="the layer">
    <label class="size">cell <select name="cell" @change=${event => reset({ cell: event.target.value })}>
      <optgroup label="torch.nn's">${options(TORCHS)}</optgroup><optgroup label="statewise's">${options(others)}</optgroup></select></label>
    ${SIZES.map(([size, word]) => html`<label class="size" title=${AXES[size]}><b>${size}</b> ${word} <input name=${size} type="number" min="1" max=${MOST[size]}
      .value=${String(state[size])} @change=${event => { reset({ [size]: Number(event.target.value) }); event.target.value = state[size]; }}></label>`)}
    ${toggle("bidirectional", "bidirectional", "a second layer that reads from the last step to the first")}
    ${toggle("batchFirst", "batch_first", "input and output are (N, T, .) instead of (T, N, .)")}
    ${toggle("ragged", "ragged rows", "rows of several lengths: packing")}
  </div>`;
}

function transport() {
  const count = network.order.length, { z, t } = network.order[state.shown - 1];
  return html`<div class="transport" role="group" aria-label="steps">
    <button class="quiet" id="back" ?disabled=${state.shown === 1} @click=${() => go(state.shown - 1)}>Back</button>
    <button id="next" ?disabled=${state.shown === count} @click=${() => go(state.shown + 1)}>Next step</button>
    <button class="quiet" id="play" aria-pressed=${Boolean(state.playing)} @click=${play}>${state.playing ? "Stop" : "Play"}</button>
    <input type="range" min="1" max=${count} .value=${String(state.shown)} aria-label="steps computed"
      aria-valuetext=${`${state.shown} of ${count}: ${lane(z)}, t = ${t}`} @input=${event => go(Number(event.target.value))}>
    <span class="where">${state.shown} of ${count}: ${lane(z)}, <b>t = ${t}</b></span>
  </div>`;
}

const PARTS = { tensors: "the tensors", inside: "the weights", time: "over time", packing: "the packed rows", program: "the program" };

/** Bring a part into view; in a window of another page, which alone can scroll, by asking it. */
function goTo(part) {
  const found = root.querySelector(`#${part}`), behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  if (embedded) window.parent.postMessage({ statewise: { at: found.getBoundingClientRect().top } }, "*");
  else found.scrollIntoView({ behavior });
}

function questions() {
  return html`<nav class="questions" aria-label="questions">${QUESTIONS.map(question => html`
    <button class="chip" aria-expanded=${state.question === question} @click=${() => answer(question)}>${question.ask}</button>`)}</nav>
    ${state.question ? html`<div class="answer"><p>${state.question.say(state, network)}</p>
      <button class="quiet" @click=${() => goTo(state.question.part)}>Show me: ${PARTS[state.question.part]}</button></div>` : ""}`;
}

/** Said where the layer that was asked for was too large to be seen whole. */
function cuts() {
  const found = Object.entries(DATA.cuts).map(([name, asked]) => `${name} ${DATA.most[name]} for ${asked}`);
  return found.length ? html`<p class="cuts">A smaller layer of the kind you asked for, so that it can be seen whole: ${found.join(", ")}. All else is as in yours.</p>` : "";
}

function draw() {
  mark();
  render(html`
    <header><h1>Inside a recurrent layer</h1>
      <p>Choose any number: what it was computed from lights up. Step through time, change sizes and numbers, copy the Python.</p></header>
    ${cuts()}
    ${questions()}
    ${settings()}
    ${transport()}
    ${problem()}
    <div class=${`stage ${refused() ? "refused" : ""}`}>${overTime()}${chosenPanel()}${inside()}</div>
    ${packing()}
    ${tensors()}
    ${programPanel()}
    <footer>statewise ${DATA.version}. Every cell draws itself from the one description that its kernels are made from.</footer>
    <div class="live" role="status" aria-live="polite">${state.said}</div>
    <div id="tip" aria-hidden="true" hidden></div>`, root);
  enter();
  const input = root.querySelector("#value");
  if (input && input !== document.activeElement) input.value = network.value(state.chosen);
  remember();
}

// What comes from outside: the address, the page around it, mouse and keys.

const KEPT = ["cell", "T", "N", "I", "H", "L", "bidirectional", "batchFirst", "ragged", "pack", "enforceSorted", "view"];
const USUAL = Object.fromEntries(KEPT.map(name => [name, state[name]]));

function remember() {
  const kept = KEPT.filter(name => state[name] !== USUAL[name]).map(name => `${name}=${state[name]}`);
  if (state.ragged) kept.push(`lengths=${state.lengths.slice(0, state.N).join(",")}`);
  try { history.replaceState(null, "", `#${kept.join("&")}`); } catch { /* an address that can't be changed */ }
}

function recall() {
  const start = DATA.start, names = { steps: "T", batch: "N", input_size: "I", hidden_size: "H", layers: "L", batch_first: "batchFirst" };
  for (const [name, value] of Object.entries(start)) if (name !== "lengths" || value.length) state[names[name] ?? name] = value;
  state.ragged = Boolean(start.lengths?.length);
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    if (name === "lengths") state.lengths = text.split(",").map(Number);
    else if (!Object.hasOwn(USUAL, name) || (name === "cell" && !Object.hasOwn(CELLS, text))) continue;
    else if (typeof USUAL[name] === "number") state[name] = Number(text);
    else state[name] = typeof USUAL[name] === "boolean" ? text === "true" : text;
  }
}

root.addEventListener("click", event => {
  const found = event.target.closest("[data-key]");
  if (found) choose(found.dataset.key);
});

/** Arrow keys go to the nearest number in that direction, within one board. */
root.addEventListener("keydown", event => {
  if (event.key === "Escape") return hideTip();
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const from = event.target.closest?.("[data-board] .tile");
  if (!way || !from) return;
  event.preventDefault();
  const middle = element => { const r = element.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; };
  const [x, y] = middle(from);
  let best = null, least = Infinity;
  for (const other of from.closest("[data-board]").querySelectorAll("button.tile")) {
    const [dx, dy] = middle(other).map((value, k) => value - [x, y][k]);
    const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
    if (along > 1 && along + 8 * aside < least) [best, least] = [other, along + 8 * aside];
  }
  best?.focus();
});

function showTip(event) {
  const found = event.target.closest?.("[data-key]"), tip = root.querySelector("#tip");
  if (!found || !tip) return hideTip();
  const key = found.dataset.key, { name, shape, where, equation } = describe(key);
  render(html`<b>${formula(name)}${computed(key) ? ` = ${number(network.value(key), 6)}` : ""}</b><span>${where}</span>
    <span>${kindOf(key)} ${shapeText(shape)}</span>${equation ? html`<span class="eq">${formula(textOf(equation))}</span>` : ""}`, tip);
  tip.hidden = false;
  const r = found.getBoundingClientRect(), width = tip.offsetWidth, height = tip.offsetHeight;
  const left = Math.max(4, Math.min(r.x + r.width / 2 - width / 2, document.documentElement.clientWidth - width - 4));
  const above = r.y - height - 8;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 0 ? above : r.bottom + 8) + scrollY}px`;
}

function kindOf(key) {
  const found = key.split("/");
  return { x: "input", s: `${network.cell.states[found[1]]}_0`, w: "parameter", v: "a number for each row and unit:" }[found[0]];
}

function hideTip() {
  const tip = root.querySelector("#tip");
  if (tip) tip.hidden = true;
}

root.addEventListener("mouseover", showTip);
root.addEventListener("mouseleave", hideTip);
root.addEventListener("focusin", event => event.target.matches(":focus-visible") && showTip(event));
root.addEventListener("focusout", hideTip);

document.documentElement.classList.toggle("embedded", embedded);
window.addEventListener("message", ({ data }) => {
  if (data?.statewise?.theme) document.documentElement.dataset.theme = data.statewise.theme;
});
if (embedded) {
  new ResizeObserver(() => window.parent.postMessage({ statewise: { height: document.documentElement.offsetHeight } }, "*"))
    .observe(document.body);
}

recall();
rebuild();
draw();
