// The Python that computes the same numbers: lines, and which of them are at work in the step that is shown.

const NUMBERS = [
  "def numbers(shape, seed):  # any numbers: these are the page's",
  "    k = torch.arange(torch.Size(shape).numel()) + 5 * seed",
  "    return ((k**3 % 17 - 8).double() / 10).reshape(shape)",
];

const tuple = items => `(${items.join(", ")}${items.length === 1 ? "," : ""})`;
/** What a layer gives back, or a cell: one state, or a tuple of them. */
const together = items => items.length === 1 ? items[0] : tuple(items);
const active = code => ({ code, active: true });

/** The lines, as text or {code, active}. chosen is a key, or null. */
function program(network, config, chosen) {
  return config.view === "loop" ? loop(network, config, chosen) : oneCall(network, config, chosen);
}

function oneCall(network, config, chosen) {
  const { T, N, I, H, L, bidirectional, batchFirst, ragged, pack, enforceSorted } = config, { cell } = network;
  const options = [`${I}, ${H}`, L > 1 && `num_layers=${L}`, bidirectional && "bidirectional=True",
    batchFirst && "batch_first=True", "dtype=torch.float64"].filter(Boolean).join(", ");
  const packed = ragged && pack === "packed";
  const finals = together(cell.states.map(letter => `${letter}_n`));
  const given = initial(network);
  const first = batchFirst ? ", batch_first=True" : "";
  return [
    "import torch",
    packed && "from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence",
    "",
    "import statewise",
    "", "",
    ...NUMBERS,
    "", "",
    `layer = ${cell.layer.replace("{}", options)}` + (cell.layer.includes("Recurrent") ? "" : "  # or torch.nn's"),
    "with torch.no_grad():",
    "    for seed, parameter in enumerate(layer.parameters(), 1):",
    "        parameter.copy_(numbers(parameter.shape, seed))",
    ...edited(network, "w", (p, i) => `    layer.${position(network.parameters[p], i)}`),
    "",
    ...input(network, config),
    ...given,
    ragged && `lengths = torch.tensor([${network.lengths.join(", ")}])`,
    packed && `packed = pack_padded_sequence(x, lengths${first}, enforce_sorted=${enforceSorted ? "True" : "False"})`,
    active(`output, ${finals} = layer(${packed ? "packed" : "x"}${given.length ? `, ${start(cell)}` : ""}`
      + `${ragged && !packed ? ", lengths=lengths" : ""})`),
    packed && `output, _ = pad_packed_sequence(output${first}, total_length=${T})`,
    ...shown(network, config, chosen),
  ].filter(line => line !== false);
}

const start = cell => together(cell.states.map(letter => `${letter}_0`));

function initial({ cell, edits, depth, N, H }) {
  if (!Object.keys(edits).some(key => key.startsWith("s/"))) return [];
  const names = cell.states.map(letter => `${letter}_0`);
  const zeros = `torch.zeros(${depth}, ${N}, ${H}, dtype=torch.float64)`;
  return [
    ...names.map(name => `${name} = ${zeros}`),
    ...edited({ edits }, "s", (k, z, n, u) => `${names[k]}[${z}, ${n}, ${u}]`),
  ];
}

/** A line for each number of a kind that the reader put in the place of the page's. */
function edited({ edits }, kind, name) {
  return Object.entries(edits).filter(([key]) => key.startsWith(`${kind}/`))
    .map(([key, value]) => `${name(...key.split("/").slice(1).map(Number))} = ${value}`);
}

function position({ name, columns }, i) {
  return `${name}[${columns === null ? i : `${Math.floor(i / columns)}, ${i % columns}`}]`;
}

function input(network, { T, N, I, batchFirst, view }) {
  const turned = batchFirst && view !== "loop";
  return [
    turned ? `x = numbers((${T}, ${N}, ${I}), seed=0).transpose(0, 1)  # (N, T, I): the same, its axes exchanged`
      : `x = numbers((${T}, ${N}, ${I}), seed=0)  # (T, N, I)`,
    ...edited(network, "x", (n, t, i) => turned ? `x[${n}, ${t}, ${i}]` : `x[${t}, ${n}, ${i}]`),
  ];
}

function shown(network, { batchFirst, view }, chosen) {
  if (!chosen) return [];
  const places = network.places(chosen, batchFirst && view !== "loop").filter(place => !/^(layer|._0)/.test(place));
  const value = network.value(chosen);
  if (value === undefined) return [];
  return places.length ? ["", ...places.map(place => active(`print(${place}.item())  # ${value.toFixed(4)}, the number chosen`))] : [];
}

/** The same by single steps of a cell: what a layer does by itself. */
function loop(network, config, chosen) {
  const { T, N, H, L, ragged } = config, { cell, D, depth } = network;
  const sizes = z => `${network.width(z)}, ${H}, dtype=torch.float64`;
  const states = cell.states, state = together(states), many = depth > 1;
  const zeros = `torch.zeros(${N}, ${H}, dtype=torch.float64)`;
  const given = initial(network);
  const called = (name, x) => `${name}(${x}, ${state})`;
  const begin = at => given.length ? `${states.join(", ")} = ${states.map(s => `${s}_0[${at}]`).join(", ")}`
    : `${states.join(" = ")} = ${zeros}`;
  const advance = (name, x, pad) => ragged
    ? [active(`${pad}new = ${called(name, x)}`),
      `${pad}valid = (t < lengths).unsqueeze(1)  # a row that has ended keeps its state`,
      states.length === 1 ? `${pad}h = torch.where(valid, new, h)`
        : `${pad}${states.join(", ")} = (torch.where(valid, a, b) for a, b in zip(new, ${state}))`]
    : [active(`${pad}${states.join(", ")} = ${called(name, x)}`)];
  const put = ragged ? "torch.where(valid, h, 0)" : "h";
  const single = cell.single.replace("{}", sizes(0));
  const made = !many ? [`cell = ${single}`]
    : ["cells = [", ...range(depth, z => `    ${cell.single.replace("{}", sizes(z))},`), "]  # layer by layer, each direction"];
  const one = [
    begin(0),
    "output = []",
    `for t in range(${T}):`,
    ...advance("cell", "x[t]", "    "),
    `    output.append(${put})`,
    "output = torch.stack(output)",
  ];
  const ends = states.map(letter => `${letter}_n`);
  const all = [
    `${ends.join(", ")} = ${ends.map(() => "[]").join(", ")}`,
    "below = x",
    `for layer in range(${L}):`,
    "    sides = []",
    `    for direction in range(${D}):`,
    `        z = ${D} * layer + direction`,
    `        ${begin("z")}`,
    `        steps = [None] * ${T}`,
    D === 2 ? `        for t in reversed(range(${T})) if direction else range(${T}):` : `        for t in range(${T}):`,
    ...advance("cells[z]", "below[t]", "            "),
    `            steps[t] = ${put}`,
    "        sides.append(torch.stack(steps))",
    ...states.map(letter => `        ${letter}_n.append(${letter})`),
    "    below = torch.cat(sides, -1)  # what the next layer reads",
    "output = below",
  ];
  return [
    "import torch",
    "",
    "import statewise",
    "", "",
    ...NUMBERS,
    "", "",
    ...made,
    many ? "parameters = [p for cell in cells for p in cell.parameters()]" : "parameters = cell.parameters()",
    "with torch.no_grad():",
    "    for seed, parameter in enumerate(parameters, 1):",
    "        parameter.copy_(numbers(parameter.shape, seed))",
    ...edited(network, "w", (p, i) => {
      const found = network.parameters[p];
      return `    ${many ? `cells[${found.z}]` : "cell"}.${position({ ...found, name: found.base }, i)}`;
    }),
    "",
    ...input(network, config),
    ...given,
    ragged && `lengths = torch.tensor([${network.lengths.join(", ")}])`,
    ...(many ? all : one),
    ...(many ? [`${ends.join(", ")} = ${ends.map(name => `torch.stack(${name})`).join(", ")}`]
      : states.map(letter => `${letter}_n = ${letter}.unsqueeze(0)`)),
    ...shown(network, config, chosen),
  ].filter(line => line !== false);
}
