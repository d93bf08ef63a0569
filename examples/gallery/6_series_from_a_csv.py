"""
A series from a CSV
===================

**You learn** how a table of months becomes windows that a network reads; how to split, scale and judge a forecast so that the figure means
something; and that the best-known LSTM program for this series forecasts no better than "the same as last month".
"""

# %%
# The series
# ----------
#
# Airline passengers in thousands, 144 months, the series of all tutorials. The last 48 months are the test part, as they usually are.

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
import polars
import torch
from torch import Tensor, nn

import statewise
from statewise.jobs import Forecaster

path = files("statewise.jobs.data").joinpath("airline-passengers.csv")
table = polars.read_csv(str(path))
series = table["Passengers"].to_numpy().astype(np.float32)
months = np.arange(len(series)) / 12 + 1949
SPLIT = len(series) - 48
print(table.head(3))


def rmse(said, true) -> float:
    return float(np.sqrt(np.mean((np.asarray(said) - np.asarray(true)) ** 2)))


# %%
# As tutorials do it
# ------------------
#
# Scale everything to 0..1, cut windows, train an LSTM to say the value after the window, draw its forecasts over the series. It looks good:


def windows(values: np.ndarray, width: int) -> tuple[Tensor, Tensor]:
    """(T, N, 1) and what comes after each, (N, 1)."""
    rows = np.lib.stride_tricks.sliding_window_view(values, width + 1)
    return torch.from_numpy(rows[:, :-1].T[..., None].copy()), torch.from_numpy(rows[:, -1:].copy())


class Next(nn.Module):
    def __init__(self, hidden_size: int = 32):
        super().__init__()
        self.recurrent, self.output = statewise.LSTM(1, hidden_size), nn.Linear(hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        _, (h_n, _) = self.recurrent(x)
        return self.output(h_n[-1])


def train(x: Tensor, y: Tensor, updates: int, rate: float = 0.01) -> Next:
    torch.manual_seed(0)
    model = Next()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(updates):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


WIDTH = 3
low, high = series.min(), series.max()  # of everything, the test part too: the first mistake
scaled = (series - low) / (high - low)
x, y = windows(scaled, WIDTH)
model = train(x[:, : SPLIT - WIDTH], y[: SPLIT - WIDTH], updates=500)
with torch.no_grad():
    said = model(x)[:, 0].numpy()
test = slice(SPLIT - WIDTH, None)
loss = float(np.mean((said[test] - scaled[SPLIT:]) ** 2))
print(f"test loss {loss:.4f}")

figure, axes = plt.subplots(figsize=(7.5, 3), layout="constrained")
axes.plot(months, series, color="grey", label="passengers, thousands")
axes.plot(months[SPLIT:], said[test] * (high - low) + low, label="LSTM, the next month")
axes.set_title("It looks good")
axes.legend()

# %%
# What is wrong with it
# ---------------------
#
# **A loss of scaled data is no figure.** Of what is 0.01? Divide by another range, and it is another. In passengers it can be judged.
#
# **It stands alone.** Persistence says: as last month. Seasonal persistence: as the same month of last year.

lstm = said[test] * (high - low) + low
figures = {
    "LSTM, the next month": rmse(lstm, series[SPLIT:]),
    "persistence": rmse(series[SPLIT - 1 : -1], series[SPLIT:]),
    "as a year ago": rmse(series[SPLIT - 12 : -12], series[SPLIT:]),
}
for name, error in figures.items():
    print(f"{name:24} RMSE {error:5.1f} thousand passengers")
assert figures["LSTM, the next month"] > 0.9 * figures["persistence"]  # no better, whatever the picture looks like

# %%
# **The picture deceives**, since each forecast sees the true month before. Shift it to the left by one month, and it lies on the series better
# than where it belongs: it has learnt to repeat what it read.

shifted, placed = rmse(lstm[1:], series[SPLIT:-1]), rmse(lstm, series[SPLIT:])
print(f"the forecast against its own month: {placed:.1f}; against the month before: {shifted:.1f}")
assert shifted < placed

# %%
# **The scale knows the future.** The largest value of all is in the test part, so the scale says where the series is going to. Fitted on the
# training part alone, the test part leaves the range 0..1 that the network has ever seen, and a squashing network can't follow a trend that
# goes on. That is the honest figure of the same program:

low, high = series[:SPLIT].min(), series[:SPLIT].max()
scaled = (series - low) / (high - low)
x, y = windows(scaled, WIDTH)
honest = train(x[:, : SPLIT - WIDTH], y[: SPLIT - WIDTH], updates=500)
with torch.no_grad():
    said = honest(x)[:, 0].numpy()[test] * (high - low) + low
figures["LSTM, scale of the training part"] = rmse(said, series[SPLIT:])
print(f"scaled by the training part: RMSE {figures['LSTM, scale of the training part']:.1f}")

# %%
# Better
# ------
#
# Give the network what stays the same from year to year. Logarithms make growth by per cent a sum; the difference to the same month of last year
# takes away season and trend; the training part's mean and spread scale it. Then its window is a year, and it says how the next month
# differs from the one a year ago.

log = np.log(series)
yearly = log[12:] - log[:-12]
mean, spread = yearly[: SPLIT - 12].mean(), yearly[: SPLIT - 12].std()
x, y = windows((yearly - mean) / spread, 12)
begin = SPLIT - 12 - 12
model = train(x[:, :begin], y[:begin], updates=150, rate=0.003)
with torch.no_grad():
    change = model(x[:, begin:])[:, 0].numpy() * spread + mean
better = np.exp(log[SPLIT - 12 : -12] + change)
figures["LSTM, yearly difference"] = rmse(better, series[SPLIT:])
for name, error in figures.items():
    print(f"{name:34} RMSE {error:5.1f}")
assert figures["LSTM, yearly difference"] < 0.7 * figures["persistence"]

# %%
# And a year ahead
# ----------------
#
# Who plans flights doesn't ask for next month with this month known. Twelve months ahead, from what is known at the beginning of each year of the
# test part: the network reads its own forecasts. ``statewise.jobs.Forecaster`` is the same idea, done with care, with intervals.


def year(known: np.ndarray) -> np.ndarray:
    """The next 12 months, each read in its turn."""
    log = np.log(known)
    window = list((log[12:] - log[:-12])[-12:])
    for _ in range(12):
        recent = (torch.tensor(window[-12:]).float()[:, None, None] - float(mean)) / float(spread)
        with torch.no_grad():
            window.append(float(model(recent)) * float(spread) + float(mean))
    return np.exp(log[-12:] + np.array(window[-12:]))


forecaster = Forecaster(horizon=12, season=12).fit(series[:SPLIT])
ahead, simple, ours, lower, upper = [], [], [], [], []
for begin in range(SPLIT, len(series), 12):
    known = series[:begin]
    ahead.append(year(known))
    simple.append(known[-12:])
    ours.append(forecaster.predict(known))
true = series[SPLIT:]
figures = {
    "as a year ago": rmse(np.concatenate(simple), true),
    "LSTM, yearly difference": rmse(np.concatenate(ahead), true),
    "statewise.jobs.Forecaster": rmse(np.concatenate(ours), true),
}
for name, error in figures.items():
    print(f"{name:28} RMSE {error:5.1f}, 12 months ahead")
