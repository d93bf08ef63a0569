"""Give every word of a sentence a tag: ``statewise tag``, and ``Tagger`` for a program.

formats.py     files become a ``Corpus``: sentences, tags, and the text around them
vocabulary.py  words, characters, features and tags as numbers
packed.py      sentences of any lengths as batches without padding
network.py     vectors for words, recurrent layers, scores for tags; crf.py scores tags together
decoding.py    from scores to tags
spans.py       tags that mark spans: which there are, how tags may follow one another, F1
result.py      what a model and baselines get right
training.py    the task for the fitting loop
model.py       what is left of it, and its file
tagger.py      the same with scikit-learn's conventions
job.py         the whole run (split, baselines, result, report)
"""
