"""The benchmarks: statewise beside torch.nn and others. ``make bench``, ``python -m benchmarks``.

All sides run in one process, taking turns in going first, on fresh input and freshly stepped weights in every
repetition; a reference product timed around every repetition tells which ones the machine disturbed. No time is taken
before the results agree. Whatever is measured, a case (``case.py``) has sides (``sides.py``), which pass the gate
(``gate.py``), stand before the clock (``clock.py``) and leave records (``record.py``): rows of one long table, from
which every page and picture is made. A module in ``kinds/`` says what is special to one kind of run.
"""
