"""
A BiLSTM over letters
=====================

**You learn** where the two directions of a bidirectional layer are in ``output`` and
``h_n``, what the second one is good for, and three ways to get it wrong: reading the end
of ``output``, reading padding, and letting the network see what it is to predict.
"""

# %%
# The letter that is missing
# --------------------------
#
# Names with one letter taken out: *e?ma*. Which one it is can be told from both sides, so
# here a network gains by reading backwards as well.

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

import statewise

LETTERS = "abcdefghijklmnopqrstuvwxyz"
GAP = 26  # the number that stands for the missing letter

names = files("statewise.jobs.data").joinpath("names.txt").read_text().split()
names = [name for name in names if 3 <= len(name) <= 10]
order = np.random.default_rng(0).permutation(len(names))
held, known = [names[k] for k in order[:2000]], [names[k] for k in order[2000:]]


def numbers(some: list[str]) -> tuple[Tensor, Tensor]:
    """The letters (T, N), zeros past each end, and how many there are (N,)."""
    lengths = torch.tensor([len(name) for name in some])
    x = torch.zeros(int(lengths.max()), len(some), dtype=torch.int64)
    for n, name in enumerate(some):
        x[: len(name), n] = torch.tensor([LETTERS.index(c) for c in name])
    return x, lengths


def batch(
    some: list[str], random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Letters with a gap (T, N), lengths (N,), where it is (N,), what was there (N,)."""
    x, lengths = numbers(some)
    rows, gap = torch.arange(len(some)), torch.from_numpy(random.integers(lengths.numpy()))
    letter = x[gap, rows].clone()
    x[gap, rows] = GAP
    return x, lengths, gap, letter


class Missing(nn.Module):
    """Scores of the 26 letters, read off the output at the gap."""

    def __init__(self, bidirectional: bool):
        super().__init__()
        self.embedding = nn.Embedding(27, 16)
        self.recurrent = statewise.LSTM(16, 64, bidirectional=bidirectional)
        self.output = nn.Linear(128 if bidirectional else 64, 26)

    def forward(self, x: Tensor, lengths: Tensor, gap: Tensor) -> Tensor:
        output, _ = self.recurrent(self.embedding(x), lengths=lengths)  # (T, N, D*H)
        return self.output(output[gap, torch.arange(x.size(1))])


def train(model: nn.Module, updates: int = 500, draw=batch) -> nn.Module:
    random = np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(updates):
        some = [known[k] for k in random.integers(len(known), size=128)]
        *given, answer = draw(some, random)
        loss = nn.functional.cross_entropy(model(*given), answer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def right(model: nn.Module, draw=batch) -> float:
    *given, answer = draw(held, np.random.default_rng(1))
    with torch.no_grad():
        return (model(*given).argmax(1) == answer).double().mean().item()


scores = {}
for name, both in (("forward alone", False), ("both directions", True)):
    torch.manual_seed(0)
    model = train(Missing(both))
    scores[name] = right(model)
    print(f"{name:16} {scores[name]:.1%} of the missing letters, in names held out")
assert scores["both directions"] > scores["forward alone"] + 0.08

# %%
# Where the directions are
# ------------------------
#
# ``output`` (T, N, 2*H) has them side by side for every step. The backward one **begins**
# at the last letter, so its last step is step 0. The picture has each arrow with its
# shape, and below it are the relations, tried there and then.

found = statewise.explain(model.recurrent, lengths=[5, 4, 2])
for relation in found.relations:
    print("holds" if relation.held else "FAILS", relation.code)
assert all(relation.held for relation in found.relations)
found

# %%
# First mistake: the end of ``output``
# ------------------------------------
#
# To say something of a whole row, many programs take ``output[-1]``. Of its backward half
# that is the state after **one** letter, the last. The states after all letters are
# ``h_n[-2]`` and ``h_n[-1]``. Here is a question whose answer is at the far end: the
# first letter. Only half of ``output[-1]`` can know it, and has to carry it all the way;
# in ``h_n[-1]`` it is the letter that was read last.
#
# Second mistake: padding
# -----------------------
#
# Without ``lengths=`` (or packing) the backward direction begins in the padding, and
# ``output[-1]`` of a short row is the padding's.


class Whole(nn.Module):
    """Scores of 26 letters for each row, from what ``take`` takes of the results."""

    def __init__(self, take, ragged: bool):
        super().__init__()
        self.embedding = nn.Embedding(27, 16)
        self.recurrent = statewise.LSTM(16, 16, bidirectional=True)
        self.output, self.take, self.ragged = nn.Linear(32, 26), take, ragged

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        given = lengths if self.ragged else None
        output, (h_n, _) = self.recurrent(self.embedding(x), lengths=given)
        return self.output(self.take(output, h_n, lengths))


def first_letter(
    some: list[str], random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    x, lengths = numbers(some)
    return x, lengths, x[0]


ways = {
    "both of h_n": (
        lambda output, h_n, lengths: torch.cat([h_n[-2], h_n[-1]], dim=1),
        True,
    ),
    "the end of output": (
        lambda output, h_n, lengths: output[lengths - 1, torch.arange(len(lengths))],
        True,
    ),
    "output[-1], padded": (lambda output, h_n, lengths: output[-1], False),
}
firsts = {}
for name, way in ways.items():
    torch.manual_seed(0)
    firsts[name] = right(
        train(Whole(*way), updates=150, draw=first_letter), draw=first_letter
    )
    print(f"{name:20} {firsts[name]:.1%} of the first letters, after 150 updates")
assert firsts["both of h_n"] > 0.95
assert firsts["the end of output"] < firsts["both of h_n"] - 0.1
assert firsts["output[-1], padded"] < firsts["the end of output"] - 0.2

# %%
# Third mistake: the answer is in what is read
# --------------------------------------------
#
# "Predict the next letter with a BiLSTM": at each step the backward direction has read
# the next letter already, so it need only repeat it. The loss goes to nothing, and the
# network can write no name, since there nobody knows the next letter yet.


def next_letter(
    some: list[str], random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Names, lengths, a place in each, and the letter after it."""
    x, lengths = numbers(some)
    place = torch.from_numpy(random.integers(lengths.numpy() - 1))
    return x, lengths, place, x[place + 1, torch.arange(len(some))]


def next_of_beginning(
    some: list[str], random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same, but what comes after the place is not there yet: as it is in use."""
    x, _, place, letter = next_letter(some, random)
    return x, place + 1, place, letter


seen, used = {}, {}
for name, both in (("forward alone", False), ("both directions", True)):
    torch.manual_seed(0)
    model = train(Missing(both), updates=300, draw=next_letter)
    seen[name], used[name] = right(model, next_letter), right(model, next_of_beginning)
    print(f"{name:16} next letter: {seen[name]:.1%}, in use {used[name]:.1%}")
assert seen["both directions"] > 0.95
assert used["both directions"] < used["forward alone"]

figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
for k, (label, values) in enumerate(
    {"the rest of the name is there": seen, "it isn't, as in use": used}.items()
):
    bars = axes.barh(
        np.arange(2) + 0.4 * k,
        [100 * share for share in values.values()],
        height=0.36,
        label=label,
    )
    axes.bar_label(bars, fmt="%.0f %%", padding=3)
axes.set(
    yticks=np.arange(2) + 0.2,
    yticklabels=list(seen),
    xlim=(0, 115),
    title="The next letter, of names held out",
)
_ = axes.legend(loc="center right", fontsize=8)

# %%
# Both directions are for questions about what is there as a whole: the class of a row, a
# tag for each of its letters, something missing in the middle. Not for what comes next.
