"""Learn to write as a text is written: ``statewise write``, and ``Writer`` for a program.

text.py        files become text, text two parts, and numbers of characters or words
network.py     embedding, recurrent layers, output, as torch trains them
training.py    a text becomes a problem for the trainer: a running one, with state carried on, or lines
likelihood.py  how likely a network finds a text
ngrams.py      how likely simple counting finds it
model.py       what is left of it, without torch, its file, and what it can do: choose symbol after symbol
writer.py      the same with scikit-learn's conventions
job.py         the whole run (samples, report)
"""
