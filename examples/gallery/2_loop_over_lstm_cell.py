"""
A loop over an LSTMCell
=======================

**You learn** when to write the loop over time yourself, with ``LSTMCell``, and when to
leave it to ``LSTM``: a layer is the same loop in one call, and a cell is for inputs that
depend on the network's own outputs. And why a forecast of sine waves that looks perfect
may have learnt next to nothing.
"""

# %%
# The layer is the loop
# ---------------------
#
# A cell reads one step and a state, and gives the next state: for the LSTM a pair, ``h``
# that is put out and ``c`` that stays inside. The tutorials' loop keeps each ``h``.

import math
import textwrap

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import statewise

T, N, I, H = 12, 4, 3, 8
torch.manual_seed(0)
cell, layer = statewise.LSTMCell(I, H), statewise.LSTM(I, H)
# The names differ by _l0.
weights = {f"{name}_l0": value for name, value in cell.state_dict().items()}
layer.load_state_dict(weights)

x = torch.randn(T, N, I)
state, steps = None, []  # None: zeros, both of them
for x_t in x:  # (N, I)
    state = cell(x_t, state)
    steps.append(state[0])

output, (h_n, c_n) = layer(x)
torch.testing.assert_close(output, torch.stack(steps))
torch.testing.assert_close(c_n[0], state[1])  # a layer's states: (layers, N, H)

# %%
# Hand on **both** states. What happens in the mistake that is easily made, ``cell(x_t)``
# without the state, statewise says by itself: it watches the calls of a module, and looks
# which goes on from which.


class Forgetful(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(I, H)  # torch.nn's cells too

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.cell(x_t)[0] for x_t in x])


(said,) = statewise.explain(Forgetful(), x).notes
print(textwrap.fill(said, 84))
assert "it remembers nothing" in said

# %%
# Where a loop is needed
# ----------------------
#
# A network that goes on with a curve reads what it has just said. Here are sine waves of
# several periods, some noise, and a network of one cell, which reads the curve for a
# while and then its own outputs.


def waves(rows: int, steps: int, seed: int) -> Tensor:
    """(T, N, 1): sine waves of 20 to 40 steps a period, begun anywhere, and noise."""
    random = torch.Generator().manual_seed(seed)
    period = 20 + 20 * torch.rand(rows, generator=random)
    begin = 2 * math.pi * torch.rand(rows, generator=random)
    time = torch.arange(steps)[:, None]
    clean = torch.sin(2 * math.pi * time / period + begin)
    return (clean + 0.05 * torch.randn(steps, rows, generator=random))[..., None]


class Waves(nn.Module):
    def __init__(self, hidden_size: int = 32):
        super().__init__()
        self.cell = statewise.LSTMCell(1, hidden_size)
        self.output = nn.Linear(hidden_size, 1)

    def forward(self, x: Tensor, ahead: int = 0) -> Tensor:
        """The next value for each step of x (T, N, 1); then ``ahead`` more."""
        state, found = None, []
        for x_t in x:
            state = self.cell(x_t, state)
            found.append(self.output(state[0]))
        for _ in range(ahead):
            # The input is the last output: no layer can do that.
            state = self.cell(found[-1], state)
            found.append(self.output(state[0]))
        return torch.stack(found)


found = statewise.explain(Waves(), (torch.zeros(3, N, 1), 2))
print(textwrap.fill(found.notes[0], 84))
assert "that is what a cell is for" in found.notes[0]
# With the same inputs a layer computes the same.
assert all(relation.held for relation in found.relations)
found

# %%
# What the tutorials get wrong
# ----------------------------
#
# They train on the next value, and show how small that loss is, or a picture of one-step
# forecasts that lies on the curve. But the next value of a smooth curve is nearly this
# one. So **persistence**, which says what it has just read, has a small loss as well.
# What counts is the run without the curve: 60 steps, of which the network sees none.


def train(free: bool, updates: int = 250) -> Waves:
    """To say the next value; with ``free`` also to go on by itself for 20 steps."""
    torch.manual_seed(0)
    model = Waves()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for update in range(updates):
        x = waves(32, 61, seed=100 + update)
        said = model(x[:40], ahead=20) if free else model(x[:60])
        loss = nn.functional.mse_loss(said, x[1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


new = waves(200, 121, seed=1)
models = {
    "trained on the next value": train(free=False),
    "trained to go on as well": train(free=True),
}
with torch.no_grad():
    # (120, N, 1) each
    runs = {name: model(new[:61], ahead=59) for name, model in models.items()}
said = {
    "always 0": torch.zeros(120, 200, 1),
    "persistence": torch.cat([new[:61], new[60:61].expand(59, -1, -1)]),
    **runs,
}


def rmse(some: Tensor, true: Tensor) -> float:
    return (some - true).square().mean().sqrt().item()


print(f"{'RMSE on 200 new curves':28} {'next value':>10} {'60 ahead':>10}")
next_value = {name: rmse(run[:60], new[1:61]) for name, run in said.items()}
ahead = {name: rmse(run[60:], new[61:]) for name, run in said.items()}
for name in said:
    print(f"{name:28} {next_value[name]:10.3f} {ahead[name]:10.3f}")

one, free = models
assert next_value[one] < next_value[free] < next_value["persistence"]
assert ahead[free] < ahead[one] - 0.1  # the smaller loss is the worse forecast

figure, axes = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
axes.plot(new[:, 0, 0], color="grey", linewidth=1, label="a new curve")
for name, run in runs.items():
    axes.plot(range(61, 121), run[60:, 0, 0], label=name)
axes.axvline(60.5, color="grey", linestyle=":")
axes.set(xlabel="step", title="From the dotted line on they read their own outputs")
_ = axes.legend(loc="lower left", fontsize=8)

# %%
# The network with the smaller loss is the worse forecaster, and hardly better than saying
# 0 all the time: it leans on the true value that it is given at every step. Train what is
# going to be used: here, going on alone.
#
# A loop that only ever reads true values needs no loop: ``LSTM`` computes it in one call,
# and it is what to train with. And a loop that goes on from batch to batch has to let the
# old graph go: ``state = statewise.detach(state)``. Without it the second ``backward()``
# reaches into the first batch, which torch refuses.

state = cell(x[0])
state[0].sum().backward()
try:
    cell(x[1], state)[0].sum().backward()
    raise AssertionError("torch should have refused")
except RuntimeError as error:
    print(str(error).split(".")[0])
cell(x[1], statewise.detach(state))[0].sum().backward()
