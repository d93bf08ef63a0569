"""Sentences as numbers, batches of them, and the network over a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from statewise.jobs import InputError
from statewise.jobs.data.symbols import plain
from statewise.jobs.tasks.tag.config import TagConfig
from statewise.jobs.tasks.tag.corpus import Corpus, all_of
from statewise.jobs.tasks.tag.decoding import in_words
from statewise.jobs.tasks.tag.example import sentences
from statewise.jobs.tasks.tag.network import Network
from statewise.jobs.tasks.tag.packed import Packed, pack
from statewise.jobs.tasks.tag.spans import keep_to_grammar
from statewise.jobs.tasks.tag.training import TagProblem, predict, split
from statewise.jobs.tasks.tag.vocabulary import LONGEST, SHAPES, Vocabulary, shape_of
from statewise.jobs.training.checkpoint import _identity

WORDS = [["The", "cat", "sat"], ["Yes"], ["the", "Cat", "of", "1984", "sat"], ["a", "b"]]
TAGS = [["D", "N", "V"], ["X"], ["D", "N", "P", "C", "V"], ["X", "X"]]
FEATURE = [["d", "n", "v"], ["x"], ["d", "n", "p", "c", "v"], ["x", "x"]]


def corpus():
    return Corpus("the test", WORDS, TAGS, [FEATURE])


def vocabulary(least=1):
    return Vocabulary.of(corpus(), set(all_of(TAGS)), least)


def test_packing_is_torchs():
    lengths = [5, 3, 3, 1]
    starts = np.array([10, 0, 3, 7])
    rows = [torch.arange(start, start + length) for start, length in zip(starts, lengths, strict=True)]
    theirs = pack_sequence(rows)
    places, sizes = pack(starts, np.array(lengths))
    assert places.tolist() == theirs.data.tolist()
    assert sizes.tolist() == theirs.batch_sizes.tolist()


def test_what_a_batch_holds():
    known = vocabulary()
    batch = Packed(corpus(), known).take(np.array([1, 0, 2]))
    assert batch.sizes.tolist() == [3, 2, 2, 1, 1]
    assert batch.rows.tolist() == [0, 1, 2, 0, 1, 0, 1, 0, 0]
    words = ["the", "the", "yes", "cat", "cat", "of", "sat", "0000", "sat"]
    assert [known.words[n - 1] for n in batch.words.tolist()] == words
    assert [known.tags[n] for n in batch.targets.tolist()] == ["D", "D", "X", "N", "N", "P", "V", "C", "V"]
    assert [known.features[0][n - 1] for n in batch.features[0].tolist()] == [
        "d",
        "d",
        "x",
        "n",
        "n",
        "p",
        "v",
        "c",
        "v",
    ]
    assert batch.times.tolist() == [2 if word in ("the", "cat", "sat") else 1 for word in words]
    distinct = ["1984", "Cat", "The", "Yes", "cat", "sat", "the", "of"]
    assert batch.character_sizes.tolist() == [8, 8, 7, 1]
    firsts = [known.characters[n - 1] for n in batch.characters[:8].tolist()]
    assert firsts == [word[0] for word in distinct]
    assert [distinct[n] for n in batch.forms.tolist()] == [
        "the",
        "The",
        "Yes",
        "Cat",
        "cat",
        "of",
        "sat",
        "1984",
        "sat",
    ]


def test_what_is_unknown_is_number_0():
    other = Corpus("another", [["Zebras", "cat"]], None, [[["q", "n"]]])
    batch = Packed(other, vocabulary()).take(np.array([0]))
    assert batch.targets is None
    assert batch.words.tolist()[0] == 0 != batch.words.tolist()[1]
    assert batch.features[0].tolist()[0] == 0 != batch.features[0].tolist()[1]
    assert batch.characters.tolist()[0] == 0  # Z


def test_rare_words_can_be_left_out():
    assert vocabulary(2).words == ("cat", "sat", "the")


def test_of_a_long_word_both_ends_are_read():
    word = "a" * LONGEST + "b" * LONGEST
    long = Corpus("long", [[word, "c"]], [["X", "Y"]])
    batch = Packed(long, Vocabulary.of(long, {"X", "Y"})).take(np.array([0]))
    assert len(batch.character_sizes) == LONGEST
    assert batch.characters.bincount().tolist() == [0, LONGEST // 2, LONGEST // 2, 1]


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("cat", "lower"),
        ("Cat", "Title"),
        ("I", "Title"),
        ("NATO", "UPPER"),
        ("iPod", "miXed"),
        ("1,984", "number"),
        ("4th", "with digits"),
        (",", "other"),
        ("don't", "lower"),
    ],
)
def test_how_words_are_written(word, shape):
    assert SHAPES[shape_of(word)] == shape


def test_plain_words():
    assert plain("In-1984") == "in-0000"


def network(crf=False, library=None, **shape):
    torch.manual_seed(0)
    options = {} if library is None else {"library": library}
    return Network(vocabulary(), TagConfig(units=7, word_size=6, character_units=5, crf=crf, **shape), **options)


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_sentence_gets_the_same_whatever_is_beside_it(cell, crf):
    ours, packed = network(crf, cell=cell).eval(), Packed(corpus(), vocabulary())
    with torch.no_grad():
        together = packed.take(np.arange(4))
        scores = ours(together)
        places = packed.places(np.arange(4))[0]
        for row in range(4):
            alone = packed.take(np.array([row]))
            mine = np.isin(places, packed.starts[row] + np.arange(packed.lengths[row]))
            torch.testing.assert_close(scores[mine], ours(alone))
        losses = sum(float(ours(b, b.targets)) for b in (packed.take(np.array([row])) for row in range(4)))
        assert float(ours(together, together.targets)) == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_layers_of_torch_nn_give_the_same(cell):
    ours, theirs = network(cell=cell).eval(), network(cell=cell, library=nn).eval()
    theirs.load_state_dict(ours.state_dict())
    batch = Packed(corpus(), vocabulary()).take(np.array([3, 0, 2]))
    torch.testing.assert_close(ours(batch), theirs(batch))


def test_words_are_taken_for_unknown_ones_the_rarer_the_more_often_and_in_training_alone():
    net = network(dropout=0.0)
    batch = Packed(corpus(), vocabulary()).take(np.array([1]))  # a word that occurs once
    torch.manual_seed(0)
    seen = [tuple(net.train()(batch)[0].tolist()) for _ in range(400)]
    assert len(set(seen)) == 2
    assert 150 < seen.count(seen[0]) < 250
    often = batch._replace(times=torch.full_like(batch.times, 7))
    plain = tuple(net.eval()(batch)[0].tolist())
    net.train()
    assert 20 < sum(tuple(net(often)[0].tolist()) != plain for _ in range(400)) < 80
    never = network(dropout=0.0, word_dropout=0.0).train()
    assert len({tuple(never(batch)[0].tolist()) for _ in range(20)}) == 1
    assert len({tuple(net.eval()(batch)[0].tolist()) for _ in range(20)}) == 1


def test_dropout_is_the_same_for_all_words_of_a_sentence():
    net = network(dropout=0.5).train()
    batch = Packed(corpus(), vocabulary()).take(np.arange(4))
    dropped = net._drop(torch.ones(len(batch.words), 64), batch)
    for row in range(4):
        mine = dropped[batch.rows == row]
        assert (mine == mine[0]).all()
        assert set(mine[0].tolist()) == {0.0, 2.0}
    assert not torch.equal(dropped[0], dropped[1])


def test_without_characters_and_features():
    bare = Corpus("bare", WORDS, TAGS)
    net = Network(Vocabulary.of(bare, {"D", "N"}), TagConfig(units=3, character_units=0))
    assert net(Packed(bare, Vocabulary.of(bare, set(all_of(TAGS)))).take(np.arange(4))).shape == (11, 2)


@pytest.mark.parametrize("crf", [False, True])
def test_predicted_tags_keep_to_the_grammar(crf):
    given = sentences(30)
    problem = TagProblem.of(TagConfig(crf=crf, validation_share=0.0), given)
    assert problem.strict
    torch.manual_seed(1)
    net = Network(problem.vocabulary, TagConfig(units=4, crf=crf), strict=True).eval()
    nn.init.normal_(net.output.weight, std=20.0)  # a network that says anything
    nn.init.normal_(net.recurrent.weight_ih_l0, std=20.0)
    packed = Packed(given, problem.vocabulary)
    numbers, loss = predict(net, packed)
    tags = in_words(numbers, packed.lengths, problem.vocabulary.tags)
    assert keep_to_grammar(tags, problem.vocabulary.tags)
    assert len(set(all_of(tags))) > 4
    assert loss > 0
    if not crf:
        net.allowed = None
        free = in_words(predict(net, packed)[0], packed.lengths, problem.vocabulary.tags)
        assert not keep_to_grammar(free, problem.vocabulary.tags)


def test_without_spans_anything_is_allowed():
    problem = TagProblem.of(TagConfig(validation_share=0.0), corpus())
    assert not problem.strict
    assert problem.network().allowed is None


def test_splitting_keeps_every_sentence_once():
    given = sentences(40)
    kept, held = split(given, 0.25, seed=3)
    assert (len(kept), len(held)) == (30, 10)
    assert sorted(map(tuple, [*kept.words, *held.words])) == sorted(map(tuple, given.words))
    again = split(given, 0.25, seed=3)
    assert again[1].words == held.words
    assert split(given, 0.25, seed=4)[1].words != held.words
    assert split(given, 0.0, seed=3) == (given, None)


def test_there_must_be_something_to_learn():
    with pytest.raises(InputError, match="every word has the tag 'X', there is nothing to learn"):
        TagProblem.of(TagConfig(), Corpus("c", [["a"]], [["X"]]))
    many = Corpus("c", [[str(n) for n in range(5001)]], [[str(n) for n in range(5001)]])
    with pytest.raises(InputError, match=r"5,001 different tags.*--column"):
        TagProblem.of(TagConfig(), many)


def test_a_checkpoint_of_other_sentences_or_tags_is_told_apart():
    def identity(words=WORDS, tags=TAGS, **shape):
        config = TagConfig(**shape, validation_share=0.0)
        problem = TagProblem.of(config, Corpus("c", words, tags))
        return _identity(problem.task(problem.network()), problem.config)

    assert identity() == identity()
    swapped = [WORDS[3], *WORDS[1:3], WORDS[0]]
    others = [
        identity(words=swapped, tags=[TAGS[3], *TAGS[1:3], TAGS[0]]),
        identity(tags=[["N", "D", "V"], *TAGS[1:]]),
        identity(dropout=0.1),
    ]
    assert identity() not in others
