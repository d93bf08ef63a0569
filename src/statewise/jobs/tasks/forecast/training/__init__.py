"""From a panel to a model: decide what is open, split, train, and learn from the validation part what is missed.

preparation.py  ``prepare``: season, horizon, model and split are settled, wrong settings refused
problem.py      ``ForecastProblem``: what is decided, trained to a ``Model``
fitting.py      networks learn the rows before a piece of the series, and are judged by that piece
calibration.py  what those pieces teach: the intervals, and how much the networks count
worth.py        how much a network counts beside the linear forecast
"""

from .preparation import prepare
from .problem import ForecastProblem

__all__ = ["ForecastProblem", "prepare"]
