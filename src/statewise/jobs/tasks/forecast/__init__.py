"""Forecast one series or many: ``statewise forecast``, and ``Forecaster`` for a program.

A table becomes numbers:
    reading.py      a table becomes a ``Panel`` of series (panel.py) on a grid (grid.py); gaps are dealt with here
    covariates.py   what is known ahead, observed or static becomes numbers
    scaling.py      values become *levels*, what networks read and write, and come back
    bank.py         all series behind one another in flat arrays, from which windows are cut

Networks learn:
    settings.py     what can be set, and the ``Plan`` that has no open ends
    split.py        training, validation and test part of each series
    season.py       the period that most series repeat
    stepwise.py     lstm, gru, rnn: one step, fed back; on what a naive forecast misses (differences.py, lags.py)
    windowed.py     the whole horizon at once: direct.py row by row, segment.py many rows at a time
    outputs.py      quantiles or a distribution, and their losses
    learning.py     trains the networks of a plan
    conformal.py    moves quantiles by what was missed in rows not learnt from
    training.py     all of that in order: a panel becomes a ``Model`` (model.py, storage.py)

And are judged:
    baselines.py    persistence, seasonal naive, drift, and a linear model
    backtest.py     forecasts the test part from every origin
    scores.py       RMSE, MAE, sMAPE, MASE, pinball, coverage
    job.py          a whole run, with report.py and picture.py
    forecaster.py   the same for programs, with scikit-learn's conventions

A forecast depends on rows before its origin, on covariates said to be known ahead, and on nothing else; what is decided
by looking is decided on the rows before the test part. Importing this package imports no torch.
"""
