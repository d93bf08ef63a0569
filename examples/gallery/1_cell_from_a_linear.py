"""
A cell from a Linear
====================

**You learn** what a recurrent cell is: a ``Linear`` on the input and the state side by
side, a squashing function, and a loop. Then why the squashing function has to be there,
which a well-known tutorial leaves out, and how a cell of your own becomes a layer.
"""

# %%
# The cell
# --------
#
# N rows of a batch, I features of a step, H numbers that are remembered. The cell reads
# one step ``x`` (N, I) and the state ``h`` (N, H), and gives the next state.

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import statewise

N, I, H = 10, 26, 64


class Cell(nn.Module):
    """One step: h' = squash(Linear([x, h]))."""

    def __init__(self, input_size, hidden_size, squash=torch.tanh):
        super().__init__()
        self.linear = nn.Linear(input_size + hidden_size, hidden_size)
        self.squash = squash

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.squash(self.linear(torch.cat([x, h], dim=1)))


torch.manual_seed(0)
mine = Cell(I, H)
x, h = torch.randn(N, I), torch.randn(N, H)
print(tuple(mine(x, h).shape))

# %%
# It is the library's
# -------------------
#
# ``RNNCell`` keeps the matrix in two parts: ``weight_ih`` (H, I) for the input and
# ``weight_hh`` (H, H) for the state, with a bias each. Cut the matrix in two, and the
# numbers are the same.

theirs = statewise.RNNCell(I, H)
with torch.no_grad():
    theirs.weight_ih.copy_(mine.linear.weight[:, :I])
    theirs.weight_hh.copy_(mine.linear.weight[:, I:])
    theirs.bias_ih.copy_(mine.linear.bias)
    theirs.bias_hh.zero_()

apart = (theirs(x, h) - mine(x, h)).abs().max().item()
print(f"RNNCell and the Linear differ by {apart:.1e} at most")
assert apart < 1e-5

statewise.explain(theirs)

# %%
# What the tutorial leaves out
# ----------------------------
#
# A widely copied program that tells names apart by their letters builds its network from
# two ``Linear`` in this way, and has **no squashing function**: the next state is the
# ``Linear`` itself. That trains, and looks like a recurrent network. But a sum of sums is
# a sum: after T steps the state is one matrix for each step, added up, so the network can
# count letters and can't let one letter change what another one means.
#
# The smallest problem where that shows: bits, and after each of them, whether the number
# of ones so far is odd. Same cell, same training, with tanh and without.

T = 8


def bits(rows: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bits as -1 and 1, (T, N, 1); whether the ones so far are odd in number, (T, N)."""
    x = torch.randint(2, (T, rows, 1), generator=random)
    return x * 2.0 - 1, x.cumsum(0)[..., 0] % 2


class Odd(nn.Module):
    def __init__(self, squash):
        super().__init__()
        self.cell, self.output = Cell(1, 32, squash), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        h, found = x.new_zeros(x.size(1), 32), []
        for x_t in x:  # the loop over time
            h = self.cell(x_t, h)
            found.append(self.output(h))
        return torch.stack(found)  # (T, N, 2)


def train(squash, updates: int = 400) -> tuple[list[float], Tensor]:
    """The loss of each update; what share is right at each step of new rows, (T,)."""
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    model = Odd(squash)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(updates):
        x, odd = bits(64, random)
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), odd.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    x, odd = bits(2000, random)
    with torch.no_grad():
        return losses, (model(x).argmax(2) == odd).float().mean(1)


results = {"with tanh": train(torch.tanh), "without": train(lambda value: value)}

figure, (left, beside) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for label, (losses, right) in results.items():
    left.plot(losses, label=label, linewidth=1)
    beside.plot(range(1, T + 1), 100 * right, "o-", label=label)
    print(
        f"{label:10} right after 1, 2, ... {T} bits: "
        + ", ".join(f"{share:.0%}" for share in right)
    )
left.set(xlabel="update", ylabel="loss", title="Is the number of ones odd?")
beside.set(xlabel="bits read", ylabel="% right", ylim=(40, 104), title="On 2,000 new rows")
beside.axhline(50, color="grey", linewidth=0.8, linestyle=":")
beside.legend()

assert results["with tanh"][1].min() > 0.98
assert results["without"][1][1:].max() < 0.6  # a coin's, from the second bit on

# %%
# After one bit both are right, since nothing has to be combined yet. From the second bit
# on the network without a squashing function is a coin, however long it trains.
#
# A cell of your own as a layer
# -----------------------------
#
# In Python the loop calls ``Linear`` once a step. Describe the step instead, and the same
# cell becomes a layer with a kernel of its own: directions, ragged rows, several layers,
# ``state_dict``, and a picture, which is drawn from the description. ``x.keep`` and
# ``r.keep`` are what input and state give to the gate *keep*: a ``Linear`` each.


def step(ops, x, r, w, state):
    (h,) = state
    keep = ops.sigmoid(x.keep + r.keep)  # how much of the old state stays
    return (keep * h + (1 - keep) * ops.tanh(x.new + r.new),)


keeping = statewise.Cell("keeping", gates=("keep", "new"), states="h", step=step)
layer = statewise.Recurrent(keeping, I, H, num_layers=2, bidirectional=True)
output, h_n = layer(torch.randn(7, N, I), lengths=torch.arange(N) % 7 + 1)
assert output.shape == (7, N, 2 * H)
assert h_n.shape == (4, N, H)

found = statewise.explain(layer, torch.zeros(3, N, I))
assert all(relation.held for relation in found.relations)
found

# %%
# Next: :doc:`what a layer adds to a cell <2_loop_over_lstm_cell>`.
