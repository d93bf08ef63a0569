"""
A series from a CSV
===================

**You learn** how a table of months becomes windows that a network reads; how to split,
scale and judge a forecast so that the figure means something; and that the best-known
LSTM program for this series forecasts no better than "the same as last month".
"""

# %%
# The series
# ----------
#
# Airline passengers in thousands, 144 months, the series of all tutorials. The last 48
# months are the test part, as they usually are.

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
# Scale everything to 0..1, cut windows of one month, train an LSTM to say the month
# after, draw its forecasts over the series. It looks good:


def windows(values: np.ndarray, width: int) -> tuple[Tensor, Tensor]:
    """(T, N, 1) and what comes after each, (N, 1)."""
    rows = np.lib.stride_tricks.sliding_window_view(values, width + 1)
    x, y = rows[:, :-1].T[..., None], rows[:, -1:]
    return torch.from_numpy(x.copy()), torch.from_numpy(y.copy())


class Next(nn.Module):
    def __init__(self, hidden_size: int):
        super().__init__()
        self.recurrent = statewise.LSTM(1, hidden_size)
        self.output = nn.Linear(hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        _, (h_n, _) = self.recurrent(x)
        return self.output(h_n[-1])


def train(x: Tensor, y: Tensor, hidden_size: int, updates: int, rate: float) -> Next:
    torch.manual_seed(0)
    model = Next(hidden_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(updates):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


WIDTH = 1
# Of everything, the test part too: the first mistake.
low, high = series.min(), series.max()
scaled = (series - low) / (high - low)
x, y = windows(scaled, WIDTH)
model = train(
    x[:, : SPLIT - WIDTH], y[: SPLIT - WIDTH], hidden_size=4, updates=300, rate=0.01
)
with torch.no_grad():
    said = model(x)[:, 0].numpy()
test = slice(SPLIT - WIDTH, None)
loss = float(np.mean((said[test] - scaled[SPLIT:]) ** 2))
print(f"test loss {loss:.4f}")

figure, axes = plt.subplots(figsize=(7.5, 3), layout="constrained")
axes.plot(months, series, color="grey", label="passengers, thousands")
axes.plot(months[SPLIT:], said[test] * (high - low) + low, label="LSTM, the next month")
axes.set_title("It looks good")
_ = axes.legend()

# %%
# What is wrong with it
# ---------------------
#
# **A loss of scaled data is no figure.** Of what is 0.01? Divide by another range, and it
# is another. In passengers it can be judged.
#
# **It stands alone.** Persistence says: as last month. Seasonal persistence: as the same
# month of last year.

lstm = said[test] * (high - low) + low
figures = {
    "LSTM, the next month": rmse(lstm, series[SPLIT:]),
    "persistence": rmse(series[SPLIT - 1 : -1], series[SPLIT:]),
    "as a year ago": rmse(series[SPLIT - 12 : -12], series[SPLIT:]),
}
for name, error in figures.items():
    print(f"{name:24} RMSE {error:5.1f} thousand passengers")
# The same, however good it looks.
assert abs(figures["LSTM, the next month"] / figures["persistence"] - 1) < 0.1

# %%
# **One month is no sequence.** Each window begins with a state of zeros and is one step
# long, so this LSTM remembers nothing: its forecast is a curve over last month's value,
# and the curve that it finds is nearly the value itself.
#
# **The picture deceives**, since each forecast sees the true month before. Shift it to
# the left by one month, and it lies on the series better than where it belongs: it has
# learnt to repeat what it read.

shifted, placed = rmse(lstm[1:], series[SPLIT:-1]), rmse(lstm, series[SPLIT:])
print(f"RMSE against its own month: {placed:.1f}; against the month before: {shifted:.1f}")
assert shifted < 0.7 * placed

# %%
# **The scale knows the future.** The largest value of all is in the test part, so the
# scale says where the series is going to. Fitted on the training part alone, the test
# part leaves the range 0..1 that the network has ever seen, and a squashing network can't
# follow a trend that goes on. That is the honest figure of the same program:

low, high = series[:SPLIT].min(), series[:SPLIT].max()
scaled = (series - low) / (high - low)
x, y = windows(scaled, WIDTH)
honest = train(
    x[:, : SPLIT - WIDTH], y[: SPLIT - WIDTH], hidden_size=4, updates=300, rate=0.01
)
with torch.no_grad():
    said = honest(x)[:, 0].numpy()[test] * (high - low) + low
figures["LSTM, scale of the training part"] = rmse(said, series[SPLIT:])
print(
    f"scaled by the training part: RMSE {figures['LSTM, scale of the training part']:.1f}"
)

# %%
# Better
# ------
#
# Begin with the best simple forecast, and let the network learn what that leaves. Growth
# by per cent becomes a sum with logarithms. Compared with the same month of last year,
# season and most of the trend are gone. So the simple forecast is: **grown over the year
# as much as last month was**. It is one line, and already far better than the LSTM above.
# The network reads a year of that growth's changes, and says the next change. What it is
# scaled by and how long it trains is decided in the training part, of which two years are
# kept for validation.

YEAR, VALIDATION = 12, 24
log = np.log(series)
growth = log[YEAR:] - log[:-YEAR]
change = np.diff(growth)  # change[k] belongs to month k + 13
begin = SPLIT - YEAR - 1
scale = float(change[: begin - VALIDATION].std())
x, y = windows(change / scale, YEAR)
test, last = slice(begin - YEAR, None), begin - YEAR - VALIDATION

torch.manual_seed(0)
model = Next(16)
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
curve, best = [], {}
for _ in range(200):
    loss = nn.functional.mse_loss(model(x[:, :last]), y[:last])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        held = slice(last, test.start)
        validation = nn.functional.mse_loss(model(x[:, held]), y[held])
    curve.append((loss.item(), validation.item()))
    if curve[-1][1] == min(value for _, value in curve):
        best = {name: value.clone() for name, value in model.state_dict().items()}
model.load_state_dict(best)

with torch.no_grad():
    said = model(x[:, test])[:, 0].numpy() * scale
year_ago, last_growth = log[SPLIT - YEAR : -YEAR], growth[begin:-1]
figures["grown as last month was"] = rmse(np.exp(year_ago + last_growth), series[SPLIT:])
figures["LSTM on what that leaves"] = rmse(
    np.exp(year_ago + last_growth + said), series[SPLIT:]
)
for name, error in figures.items():
    print(f"{name:34} RMSE {error:5.1f}")
assert (
    figures["LSTM on what that leaves"]
    < figures["grown as last month was"]
    < 0.5 * figures["persistence"]
)

figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.plot(curve, label=["training", "validation"])
axes.axvline(np.argmin([value for _, value in curve]), color="grey", linestyle=":")
axes.set(xlabel="update", ylabel="loss", title="The weights of the dotted line are kept")
_ = axes.legend()

# %%
# And a year ahead
# ----------------
#
# Who plans flights doesn't ask for next month with this month known. Twelve months ahead,
# from what is known at the beginning of each of the four years: the network reads its own
# forecasts. Beside it the same without a network, and ``statewise.jobs.Forecaster`` as it
# is, which averages networks and a linear forecast, and weighs them by what they would
# have been worth in the training part.


def ahead(known: np.ndarray, network: bool) -> np.ndarray:
    """The next 12 months; each change is read in its turn, or is 0 without the network."""
    log = np.log(known)
    growth = list(log[YEAR:] - log[:-YEAR])
    for _ in range(YEAR):
        recent = torch.from_numpy(np.diff(growth[-YEAR - 1 :]) / scale).float()
        recent = recent[:, None, None]  # (T, N, I) = (12, 1, 1)
        with torch.no_grad():
            growth.append(growth[-1] + (model(recent).item() * scale if network else 0))
    return np.exp(log[-YEAR:] + np.array(growth[-YEAR:]))


forecaster = Forecaster(horizon=YEAR, season=YEAR).fit(series[:SPLIT])
origins = range(SPLIT, len(series), YEAR)
years = {
    "as a year ago": [series[at - YEAR : at] for at in origins],
    "grown as last month was": [ahead(series[:at], network=False) for at in origins],
    "LSTM on what that leaves": [ahead(series[:at], network=True) for at in origins],
    "statewise.jobs.Forecaster": [forecaster.predict(series[:at]) for at in origins],
}
far = {name: rmse(np.concatenate(said), series[SPLIT:]) for name, said in years.items()}
for name, error in far.items():
    print(f"{name:26} RMSE {error:5.1f}, 12 months ahead")
assert list(far.values()) == sorted(far.values(), reverse=True)

figure, axes = plt.subplots(figsize=(7.5, 3), layout="constrained")
axes.plot(
    months[SPLIT - 24 :], series[SPLIT - 24 :], color="grey", label="passengers, thousands"
)
for name in ("LSTM on what that leaves", "statewise.jobs.Forecaster"):
    axes.plot(months[SPLIT:], np.concatenate(years[name]), label=name)
for at in origins:
    axes.axvline(months[at], color="grey", linewidth=0.6, linestyle=":")
axes.set_title("From each dotted line on, nothing is known")
_ = axes.legend()

# %%
# ``statewise forecast AIRLINE.csv`` is that as a command: origins that roll through the
# test part, intervals, and the simple forecasts beside it.
