"""What is simple: a forecast that is linear in the window, which the network corrects.

Exponential smoothing with given constants, begun on the window's own first seasons, is linear in the window, and so are
Theta, naive forecasts and ridge regressions: each is a matrix from L rows to H steps, and so is their mean. There is
one matrix for values and, where all of them are above 0, one for logarithms. Nothing has a state, a new series is
forecast like any.

    forecast.py     ``Linear``: the matrices, what they forecast, and what a model's file has of them
    members.py      which members there are, and what each reads
    smoothing.py    Holt-Winters and Theta as matrices
    ridge.py        windows, and ridge regressions on them
    folds.py        rolling origins to decide on, and the weights that follow from what is missed there
    decided.py      ``Decided``: how much each member counts

Which members there are, and how much each counts before anything is known, was chosen on a panel of public series. How
much it counts after all is decided on rolling origins inside the rows before the test part;
docs/jobs/forecast-method.md tells how.
"""
