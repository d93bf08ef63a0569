"""Tell to which class a sequence belongs: ``statewise classify``, and ``Classifier`` for a program.

    formats/       files become ``Examples``: sequences, labels and names
    sequences.py   sequences of any lengths without padding; batches.py draws batches of them
    encoder.py     what a model remembers of its input, a class for each kind
    scaler.py      that of numbers
    spelling.py    that of texts and symbols
    texts.py       texts, and sequences of symbols
    network.py     recurrent layers, a head, a linear output
    beside.py      a linear model beside the network, and how much each counts
    features.py    what that one sees: ngrams.py of texts, rocket.py (MiniROCKET) of numbers, with ridge.py
    targets/       what is said: a class, several labels, a number; losses, measures, what baselines say
    training.py    the task for the fitting loop
    model.py       what is left of it, and its file
    classifier.py  the same with scikit-learn's conventions
    baselines.py   what to compare with; neighbours.py finds those by dynamic time warping, dtw.py
    result.py      what is right, and report.py what is said of it
    job.py         the whole run (split, baselines, result, report, pictures)

Importing this package imports no torch.
"""
