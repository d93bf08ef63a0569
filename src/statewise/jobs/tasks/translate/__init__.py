"""Write a text for a text: ``statewise translate``, and ``Translator`` for a program.

pairs.py       tables become pairs of texts; pairs as numbers; the built-in ones
network.py     encoder, attention, decoder, and the search for the likeliest targets
training.py    the task for the fitting loop
model.py       what is left of it, and its file
result.py      what is right, and the baselines
translator.py  the same with scikit-learn's conventions
job.py         the whole run (split, result), report.py what it says
"""
