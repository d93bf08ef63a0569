"""Learn to write as a text is written: ``statewise write``, and ``Writer`` for a program.

    text.py        files become text, and text two parts
    vocabulary.py  text becomes numbers: characters or words, and the ends of lines
    network.py     embedding, recurrent layers, output
    streams.py     the task for the fitting loop of a running text: state carried from chunk to chunk
    items.py       that of lines, each for itself
    surprise.py    how likely a network finds a text
    ngrams.py      how likely simple counting finds it
    training.py    a plan becomes a model
    model.py       what is left of it, its file, and what it can do
    sampling.py    choose symbol after symbol
    writer.py      the same with scikit-learn's conventions
    job.py         the whole run (samples, report)

Importing this package imports no torch.
"""
