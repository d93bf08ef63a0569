// The questions that a reader of torch's recurrent API has: each shows the page in a state in which it can be seen.

const product = (...sizes) => sizes.reduce((a, b) => a * b, 1);
const plural = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

const QUESTIONS = [
  {
    ask: "Which axis is time?",
    show: { T: 4, N: 2, ragged: false },
    part: "tensors",
    choose: ({ network, at, row }) => `x/${row}/${at.t}/0`,
    say: ({ T, N, I, batchFirst }) => batchFirst
      ? `The second one, since batch_first is on: the input is (N, T, I) = (${N}, ${T}, ${I}). Step t of all rows is x[:, t]. `
        + "The states keep their axes: h_n is (L*D, N, H) all the same. Without batch_first time is the first axis."
      : `The first one: the input is (T, N, I) = (${T}, ${N}, ${I}), and a column of the picture is x[t]. The rows N are `
        + "sequences side by side: they share the weights and never see one another. With batch_first=True it is (N, T, I).",
  },
  {
    ask: "Why has h_0 a dimension more?",
    show: { L: 2, bidirectional: true, ragged: false },
    part: "tensors",
    choose: ({ network, row }) => `s/0/${network.depth - 1}/${row}/0`,
    say: ({ L, N, H }, { depth, D }) => `Because every layer and direction has a state of its own to begin with. Here are `
      + `${plural(L, "layer")} times ${plural(D, "direction")}, so h_0 and h_n are (L*D, N, H) = (${depth}, ${N}, ${H}): one `
      + "for each lane of the picture. A single cell has one lane, so its h is (N, H).",
  },
  {
    ask: "What is in output, what in h_n?",
    show: { ragged: false, L: 2, bidirectional: false },
    part: "tensors",
    choose: ({ network, row }) => network.state(0, network.depth - 1, row, network.last(network.depth - 1, row), 0),
    say: ({ T }, { depth, D, cell }) => "output has the last layer's h of every step; h_n has the last h of every layer"
      + `${D === 2 ? " and direction" : ""}. The number that is chosen is in both: the last layer's, after step ${T - 1}. `
      + (cell.states.length > 1 ? `${cell.states.slice(1).map(s => `${s}_n`).join(", ")} has what stays inside: no output shows it. ` : "")
      + "Of the layers below only h_n tells, and only their end.",
  },
  {
    ask: "Why four times the parameters?",
    show: { cell: "lstm", L: 1, bidirectional: false },
    part: "inside",
    choose: ({ network, at, row }) => network.state(0, at.z, row, at.t, 1),
    say: ({ I, H }, { cell, parameters }) => {
      const count = parameters.filter(p => p.z === 0).reduce((sum, p) => sum + p.values.length, 0);
      const gates = cell.gates.length;
      return `An LSTM computes four things of the same inputs (i, f, g, o), and each has matrices of its own, stacked in `
        + `weight_ih and weight_hh: ${gates} * (H*I + H*H + 2*H) = ${gates} * (${H * I} + ${H * H} + ${2 * H}) = ${count}. `
        + `A plain RNN computes one: ${product(H, I) + H * H + 2 * H}; a GRU three: ${3 * (H * I + H * H + 2 * H)}.`;
    },
  },
  {
    ask: "Where is the backward direction?",
    show: { bidirectional: true, L: 1, ragged: false, T: 4 },
    part: "time",
    back: true,
    choose: ({ network, row }) => network.state(0, 1, row, 1, 0),
    say: ({ H, T }) => `It is a second layer that reads from the last step to the first, with weights of its own, `
      + `whose names end in _reverse. Its h stands in output[:, :, ${H}:], beside the forward one's. So output[${T - 1}] has of it what `
      + `has read one step only; its last step, in h_n[-1], is step 0. What is lit is all that the chosen number has read.`,
  },
  {
    ask: "What does packing do?",
    show: { ragged: true, N: 3, T: 4, lengths: [2, 4, 3], pack: "packed", enforceSorted: false, L: 1 },
    part: "packing",
    choose: ({ network }) => network.state(0, 0, 0, network.last(0, 0), 0),
    say: (_, { lengths, T, N }) => `It leaves the padding out: of ${T * N} steps ${lengths.reduce((a, b) => a + b, 0)} count. The `
      + "rows are put in the order of their lengths, and lie step by step: step 0 of all rows, then step 1 of those that have "
      + "one. batch_sizes says how many. h_n has each row's state after its own last step, in your order.",
  },
  {
    ask: "A cell or a layer?",
    show: { view: "loop", L: 1, bidirectional: false, ragged: false },
    part: "program",
    choose: ({ network, at, row }) => network.state(0, at.z, row, at.t, 0),
    say: () => "A cell is one step, and the loop over time is yours: take it when the next input depends on the last "
      + "output, or when you change the state in between. In all other cases take the layer: the same loop, with layers, "
      + "directions and lengths, in one fast call. Both give the same numbers.",
  },
];
