"""Forecast one series or many: ``statewise forecast``, and ``Forecaster`` for a program.

A table becomes numbers:
    panel.py        a table or an array becomes a ``Panel`` of series on a grid (grid.py); gaps are dealt with here
    dataset.py      what is known ahead, observed or static is encoded, values are scaled; all series behind one another
    split.py        training, validation and test part of each series

Networks learn:
    config.py       what can be set, and the ``Plan`` that has no open ends
    season.py       the period that most series repeat, the differences to take, the lags to look back at
    networks.py     what torch trains, on what tasks.py draws, by what losses.py counts
    training/       all of that in order: a panel becomes a ``Model``

And forecast, without torch:
    model.py        trained networks and what is simple beside them (linear/): quantiles of the steps after an origin
    ahead.py        what follows the ends of series; prediction.py: of a table's, as a table
    newer.py        what a model learns of rows that have come since (following.py)
    stored.py       the file that holds it
    recursive.py    lstm, gru, rnn: one step, fed back; on what a naive forecast misses
    direct.py       the whole horizon at once: seq2seq row by row, segrnn many rows at a time
    learner.py      what both ways have in common; running.py runs their networks
    distributions.py  what networks write for a step
    intervals.py    moves quantiles by what was missed in rows not learnt from; paths beyond the horizon

And are judged:
    baselines.py    persistence, seasonal naive, drift, and a linear model
    backtest.py     forecasts the test part from every origin: RMSE, MAE, sMAPE, MASE, pinball, coverage
    job.py          a whole run, with report.py and picture.py; predict.py goes on from one
    forecaster.py   the same for programs, with scikit-learn's conventions

A forecast depends on rows before its origin, on covariates said to be known ahead, and on nothing else; what is decided
by looking is decided on the rows before the test part. Importing this package imports no torch.
"""
