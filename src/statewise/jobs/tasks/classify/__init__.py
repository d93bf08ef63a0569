"""Tell to which class a sequence belongs: ``statewise classify``, and ``Classifier`` for a program.

    formats/       files become ``Examples``: sequences, labels and names
    sequences.py   sequences of any lengths without padding, and the batches drawn of them
    encoder.py     what a model remembers of its input, a class for each kind
    scaler.py      that of numbers
    spelling.py    that of texts and symbols
    texts.py       texts, and sequences of symbols
    ngrams.py      the linear model of n-grams beside the network
    network.py     recurrent layers, a head, a linear output
    targets.py     what is said: a class, several labels, a number; losses, measures, what baselines say
    highway.py     what stands beside the network: rocket.py (MiniROCKET's features) and ridge.py
    training.py    the task for the fitting loop
    model.py       what is left of it, and its file
    classifier.py  the same with scikit-learn's conventions
    baselines.py   what to compare with, dtw.py among it; result.py and report.py judge
    job.py         the whole run (split, baselines, result, report, pictures)

Importing this package imports no torch.
"""
