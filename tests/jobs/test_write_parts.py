"""What ``statewise write`` is made of: text, symbols, the two tasks, likelihoods, counting, drawing."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from statewise.jobs import InputError
from statewise.jobs.tasks.write import ngrams
from statewise.jobs.tasks.write.config import Draw, Plan, WriteConfig
from statewise.jobs.tasks.write.likelihood import RUN_UP, STRETCH, Score, likelihood, line_numbers
from statewise.jobs.tasks.write.model import drawn
from statewise.jobs.tasks.write.network import Network
from statewise.jobs.tasks.write.text import Corpus, Vocabulary, as_text, held_out, lines_of, read_text
from statewise.jobs.tasks.write.training import BpttTask, LineTask, TorchReader, WriteProblem, streams_of

CELLS = ["lstm", "gru", "rnn"]


def network_of(symbols=7, *, cell="lstm", layers=2, dropout=0.0, units=5, **options):
    torch.manual_seed(3)
    plan = WriteConfig(cell=cell, units=units, layers=layers, embedding=3, dropout=dropout, **options)
    return Network(symbols, Plan.of(plan))


def vocabulary_of(text, level="char", max_words=100, min_count=1):
    return Vocabulary.of(text, level, most=max_words, min_count=min_count)


def corpus_of(ids, lengths=None):
    ids = np.asarray(ids, np.int64)
    return Corpus(ids, None if lengths is None else np.asarray(lengths, np.int64), 0, len(ids), len(ids))


# Text


def test_a_file_is_read_whatever_ends_its_lines_and_however_it_is_packed(tmp_path):
    content = "\ufeffzwölf\r\nBoxkämpfer\rjagen\n".encode()
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(content))
    for name in ("a.txt", "b.txt.gz"):
        assert read_text(tmp_path / name) == "zwölf\nBoxkämpfer\njagen\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected text, got nothing"),
        (b" \n\t\n", "expected text, got blanks alone"),
        (b"one\ntwo\nth\xefee\n", "got the byte 0xef in line 3"),
        (b"one\ntwo\0\n", "a character of number 0 in line 2"),
        (b"\x1f\x8bno", "a damaged .gz file"),
        (gzip.compress(b"some text, packed", mtime=0)[:-6], "a damaged .gz file"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, said):
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        read_text(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_file_that_is_none_is_refused(tmp_path):
    for path, said in ((tmp_path / "none", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=said):
            read_text(path)
    with pytest.raises(InputError, match="character 3 is no character"):
        as_text("ab\ud800", "the text")


def test_the_end_of_a_running_text_is_held_out():
    text = "".join(chr(97 + i % 26) for i in range(10_000))
    assert held_out(text, None, lines=False) == (text[:9000], text[9000:])
    assert held_out(text, 0.25, lines=False) == (text[:7500], text[7500:])
    assert held_out(text, 0.0, lines=False) == (text, "")
    assert held_out("too short to tell", None, lines=False) == ("too short to tell", "")


def test_no_word_is_cut_in_two():
    text = "seven words stand in this short text"
    for share in np.linspace(0.05, 0.95, 19):
        kept, held = held_out(text, float(share), lines=False, level="word")
        assert kept + held == text
        assert (kept.split() + held.split()) == text.split()


def test_of_lines_equal_ones_are_held_out_together():
    lines = [f"line {n % 300}" for n in range(900)]
    kept, held = (lines_of(part) for part in held_out("\n".join(lines), None, lines=True, seed=1))
    assert len(held) == 90  # 30 of 300, each thrice
    assert not set(kept) & set(held)
    assert sorted(kept + held) == sorted(lines)
    assert held_out("\n".join(lines), None, lines=True, seed=1)[1] != held_out("\n".join(lines), None, lines=True)[1]


# Symbols


@pytest.mark.parametrize("text", ["naïve\ncafé\n", "日本語 text\n\n\nend", "a\U0001f600b"])
def test_characters_become_numbers_and_come_back(text):
    vocabulary = vocabulary_of(text)
    corpus = vocabulary.encode(text)
    assert corpus.ids.max() == len(vocabulary) - 1
    assert (vocabulary.decode(corpus.ids.tolist()), corpus.unknown) == (text, 0)


def test_a_character_that_is_not_known_is_left_out():
    corpus = vocabulary_of("abc\n").encode("axbäc", lines=False)
    assert corpus.ids.tolist() == vocabulary_of("abc\n").encode("abc").ids.tolist()
    assert (corpus.unknown, corpus.characters) == (2, 5)


def test_words_become_numbers_and_come_back():
    text = "the cat sat\non the mat\n"
    vocabulary = vocabulary_of(text, "word")
    assert vocabulary.symbols == ("\n", "<unk>", "the", "cat", "mat", "on", "sat")
    assert vocabulary.decode(vocabulary.encode(text).ids.tolist()) == text
    assert vocabulary.decode(vocabulary.encode("the\n\n\ncat").ids.tolist()) == "the\n\n\ncat\n"
    corpus = vocabulary.encode("the dog <unk> sat")
    assert corpus.ids.tolist() == [2, 1, 1, 6, 0]
    assert corpus.unknown == 2


def test_rare_words_are_not_known():
    text = "a a a b b b c c d"
    assert vocabulary_of(text, "word", min_count=2).symbols[2:] == ("a", "b", "c")
    assert vocabulary_of(text, "word", max_words=2).symbols[2:] == ("a", "b")
    with pytest.raises(InputError, match="no word that occurs 4 times"):
        vocabulary_of(text, "word", min_count=4)


PROSE = "the cat sat on the mat,\n  the naïve cat\n\n日本語 of the mat \U0001f600\n" * 5


@pytest.mark.parametrize("text", [PROSE, PROSE + "the end", " unheard-of:\t\x00ÿ  \n\n", "\n", "a"])
def test_pieces_of_words_become_numbers_and_come_back_whatever_they_learnt(text):
    vocabulary = vocabulary_of(PROSE, "subword", max_words=290)
    assert 256 < len(vocabulary) <= 290
    assert {" the", " cat", "\n"} <= set(vocabulary.symbols)
    corpus = vocabulary.encode(text)
    assert vocabulary.decode(corpus.ids) == text
    assert (corpus.unknown, corpus.characters) == (0, len(text))
    assert vocabulary.encode(PROSE).ids.tolist().count(vocabulary.end) == PROSE.count("\n")
    again = Vocabulary.from_json("subword", vocabulary.to_json())
    assert (again.symbols, again.merges) == (vocabulary.symbols, vocabulary.merges)
    assert again.encode(text).ids.tolist() == corpus.ids.tolist()


def test_a_character_of_several_pieces_is_spelt_when_it_is_whole():
    vocabulary = vocabulary_of("abc", "subword", max_words=256)
    ids = vocabulary.encode("aß").ids.tolist()
    assert [vocabulary.symbols[n] for n in ids] == ["a", "<0xC3>", "<0x9F>"]
    assert list(vocabulary.spelt(ids)) == ["a", "", "ß", ""]
    assert vocabulary.decode(ids[:2]) == "a\ufffd"


@pytest.mark.parametrize(
    "change",
    [{"merges": ["t h"]}, {"merges": []}, {"merges": ["no piece"]}, {"merges": 3}, {"symbols": ["a", "b"]}],
)
def test_damaged_pieces_are_refused(change):
    content = vocabulary_of(PROSE, "subword", max_words=260).to_json()
    with pytest.raises(ValueError, match=r"piece|expected a list"):
        Vocabulary.from_json("subword", content | change)


def test_pieces_need_room_for_all_bytes():
    with pytest.raises(InputError, match="--max-words 255: pieces of words need 256 or more"):
        vocabulary_of("abc", "subword", max_words=255)


@pytest.mark.parametrize("level", ["char", "word", "subword"])
def test_the_words_of_a_text_are_the_same_at_every_level(level):
    text = "the cat sat\n\non the mat"
    vocabulary = vocabulary_of(text, level, max_words=300)
    assert vocabulary.encode(text).words == 9  # and three ends of lines, as a model of words reads them


def test_what_compares_between_levels():
    score = Score("", nats=12.0, symbols=6, characters=10, words=3)
    assert score.perplexity == pytest.approx(math.exp(2))
    assert score.perplexity_per_word == pytest.approx(math.exp(4))
    assert score.bits == pytest.approx(1.2 / math.log(2))


def test_lines_are_known_by_their_ends():
    vocabulary = vocabulary_of("ab\na\nbbb\n")
    corpus = vocabulary.encode("ab\na\nbbb\n", lines=True)
    assert corpus.lengths.tolist() == [3, 2, 4]
    assert corpus.starts.tolist() == [0, 3, 5]
    assert corpus.terms == 9
    assert line_numbers(corpus, vocabulary.end).tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("text", "held", "said"),
    [("aaaa", "", "'a'; expected at least two different"), ("ab" * 9, "xyz", "validation part has no two characters")],
)
def test_what_nothing_can_be_learnt_from_is_refused(text, held, said):
    with pytest.raises(InputError, match=said):
        WriteProblem.of(WriteConfig(), text, held)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: WriteConfig(cell="transformer"),
        lambda: WriteConfig(units=0),
        lambda: WriteConfig(dropout=1.0),
        lambda: WriteConfig(weight_dropout=1.0),
        lambda: WriteConfig(level="byte"),
        lambda: WriteConfig(steps=0),
        lambda: WriteConfig(epochs=0),
        lambda: Draw(temperature=-1),
        lambda: Draw(top_k=0),
        lambda: Draw(seed=-1),
    ],
)
def test_settings_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(InputError, match="expected"):
        wrong()


def test_the_number_of_epochs_follows_from_the_updates():
    assert WriteConfig().epochs_for(100) == 50
    assert WriteConfig(lines=True).epochs_for(401) == 20
    assert WriteConfig().epochs_for(1) == 300
    assert WriteConfig(epochs=7).epochs_for(1) == 7


# The tasks


@pytest.mark.parametrize("cell", CELLS)
def test_a_running_text_is_read_as_if_it_was_never_cut(cell):
    network, ids = network_of(cell=cell).eval(), np.random.default_rng(0).integers(0, 7, 3 * 50 + 2)
    task = BpttTask(network, corpus_of(ids), WriteConfig(batch=3, steps=8))
    assert (task.rows, len(task.inputs)) == (3 * 7, 50)
    total, terms = 0.0, 0.0
    for rows in torch.arange(task.rows).split(3):
        loss, count = task.loss(network, rows)
        total, terms = total + float(loss.detach()), terms + count
    text = torch.from_numpy(ids[:151])
    expected = 0.0
    for stream in range(3):
        piece = text[50 * stream : 50 * stream + 51]
        logits, _ = network(piece[:-1, None])
        expected += float(cross_entropy(logits, piece[1:], reduction="sum").detach())
    assert terms == 150
    assert total == pytest.approx(expected, rel=1e-5)
    assert task.state() == {}  # an epoch begins with nothing


@pytest.mark.parametrize("length", [4, 5, 6, 9, 10, 11, 31])
def test_the_streams_are_cut_elsewhere_in_every_epoch(length):
    ids = np.arange(2 * length + 1)
    task, other = (BpttTask(network_of(), corpus_of(ids), WriteConfig(batch=2, steps=5)) for _ in range(2))
    seen = set()
    for epoch in range(50):
        rows = [t.order(epoch, torch.Generator().manual_seed(epoch)) for t in (task, other)]
        assert rows[0].tolist() == rows[1].tolist() == list(range(task.rows))
        assert task.cuts == other.cuts  # a training that goes on, or another process, cuts as the first did
        assert len(task.cuts) == 1 + -(-length // 5)
        assert (task.cuts[0], task.cuts[-1]) == (0, length)
        sizes = np.diff(task.cuts)
        assert (sizes > 0).all()
        assert (sizes[1:-1] == 5).all()
        assert sizes.max() <= 7
        seen.add(tuple(task.cuts))
    assert len(seen) == (1 if length <= 5 else 3 + min(2, (length - 1) % 5))  # -2 to 2, and nothing is left empty


def test_the_gradient_ends_where_the_chunk_begins_but_the_state_goes_on():
    network, ids = network_of().eval(), np.random.default_rng(0).integers(0, 7, 41)
    task = BpttTask(network, corpus_of(ids), WriteConfig(batch=2, steps=5))
    task.loss(network, torch.tensor([0, 1]))
    carried = task.state()
    assert sorted(carried) == [f"carried.00{n}" for n in range(4)]  # h and c of two layers
    assert not any(part.requires_grad for part in carried.values())
    with_state, _ = task.loss(network, torch.tensor([2, 3]))
    fresh = BpttTask(network, corpus_of(ids), WriteConfig(batch=2, steps=5))
    without, _ = fresh.loss(network, torch.tensor([2, 3]))
    assert float(with_state.detach()) != pytest.approx(float(without.detach()), rel=1e-6)
    fresh.restore(carried)
    again, _ = fresh.loss(network, torch.tensor([2, 3]))
    assert torch.equal(again, with_state)


def test_each_of_two_processes_has_streams_of_its_own():
    network, ids = network_of(cell="gru").eval(), np.random.default_rng(0).integers(0, 7, 4 * 20 + 1)
    whole = BpttTask(network, corpus_of(ids), WriteConfig(batch=4, steps=6))
    shares = [BpttTask(network, corpus_of(ids), WriteConfig(batch=4, steps=6)) for _ in range(2)]
    for rows in torch.arange(whole.rows).split(4):
        expected, terms = whole.loss(network, rows)
        parts = [task.loss(network, rows[rank::2]) for rank, task in enumerate(shares)]
        assert sum(part[1] for part in parts) == terms
        assert float(sum(part[0].detach() for part in parts)) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_two_processes_go_on_with_what_one_left():
    network, ids = network_of().eval(), np.random.default_rng(0).integers(0, 7, 4 * 20 + 1)
    whole = BpttTask(network, corpus_of(ids), WriteConfig(batch=4, steps=6))
    whole.loss(network, torch.arange(4))
    shares = [BpttTask(network, corpus_of(ids), WriteConfig(batch=4, steps=6)) for _ in range(2)]
    for share in shares:
        share.restore(whole.state())
    expected, _ = whole.loss(network, torch.arange(4, 8))
    parts = [share.loss(network, torch.arange(4, 8)[rank::2])[0].detach() for rank, share in enumerate(shares)]
    assert float(sum(parts)) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_a_short_text_is_read_in_fewer_streams():
    plan = WriteConfig(steps=10, batch=8)
    assert streams_of(corpus_of(np.zeros(1001)), plan) == 8
    assert streams_of(corpus_of(np.zeros(35)), plan) == 3
    assert streams_of(corpus_of(np.zeros(4)), plan) == 1


@pytest.mark.parametrize("cell", CELLS)
def test_lines_in_a_batch_are_read_as_each_alone(cell):
    network = network_of(cell=cell).eval()
    ids = [3, 4, 0, 5, 0, 1, 2, 3, 4, 5, 0, 0]  # 0 ends a line
    task = LineTask(network, corpus_of(ids, [3, 2, 6, 1]), WriteConfig(lines=True))
    rows = torch.tensor([2, 0, 3, 1])
    loss, terms = task.loss(network, rows)
    expected = 0.0
    for line in ([3, 4, 0], [5, 0], [1, 2, 3, 4, 5, 0], [0]):
        logits, _ = network(torch.tensor([[0], *[[i] for i in line[:-1]]]))
        expected += float(cross_entropy(logits, torch.tensor(line), reduction="sum").detach())
    assert (task.rows, terms) == (4, 12)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


# The network


def test_what_is_dropped_stays_the_same_over_the_steps():
    network = network_of(dropout=0.5, units=64)
    network.train()
    x = network._dropped(torch.ones(9, 4, 64))
    assert torch.equal(x, x[:1].expand_as(x))
    assert sorted(set(x.flatten().tolist())) == [0.0, 2.0]
    assert not torch.equal(x[0, 0], x[0, 1])
    assert network.eval()._dropped(x) is x


def test_a_tied_output_learns_with_the_embedding():
    network = network_of(tie=True)
    assert network.output.weight is network.embedding.weight
    names = [name for name, _ in network.named_parameters()]
    assert names.count("embedding.weight") + names.count("output.weight") == 1
    logits, _ = network(torch.tensor([[1, 2]]))
    logits.square().sum().backward()
    assert network.embedding.weight.grad.abs().sum(1).gt(0).all()  # by the output, of symbols that were not read too


def test_a_tied_output_is_as_wide_as_the_embedding():
    network = network_of(tie=True, layers=3)
    assert [(layer.input_size, layer.hidden_size) for layer in network.recurrent] == [(3, 5), (5, 5), (5, 3)]


def test_a_symbol_is_dropped_wherever_it_stands():
    network = network_of(40, embedding_dropout=0.5)
    ids = torch.arange(40).repeat(3, 2)
    scale = (network.train()._embedded(ids) / network.embedding(ids))[..., 0]  # (T, N)
    assert torch.equal(scale, scale[:1, :40].repeat(3, 2))
    assert sorted(set(scale.flatten().tolist())) == [0.0, 2.0]
    assert torch.equal(network.eval()._embedded(ids), network.embedding(ids))


@pytest.mark.parametrize("cell", CELLS)
def test_weights_between_states_are_dropped_in_training_alone(cell):
    plain, network = (network_of(cell=cell, weight_dropout=p) for p in (0.0, 0.5))
    ids = torch.tensor([[1], [2]])
    for layer in (*plain.recurrent, *network.recurrent):
        layer.bias_hh_l0.data.zero_()  # of a GRU this stands beside the product with the state
    assert torch.equal(plain.train()(ids)[0], network.eval()(ids)[0])
    one, other = network.train()(ids)[0], network(ids)[0]
    assert torch.equal(one[0], other[0])  # before any step the state is 0, and no layer has been asked for more
    assert not torch.equal(one[1], other[1])


# Likelihoods


@pytest.mark.parametrize("length", [2, 300, STRETCH + RUN_UP + 1, 3 * STRETCH + 77])
def test_a_long_text_is_judged_as_if_read_in_one_go(length):
    network = network_of(cell="gru").eval()
    ids = np.random.default_rng(1).integers(0, 7, length)
    found = likelihood(TorchReader(network), corpus_of(ids))
    with torch.no_grad():
        logits, _ = network(torch.from_numpy(ids[:-1, None]))
    expected = cross_entropy(logits, torch.from_numpy(ids[1:]), reduction="none").numpy()
    assert found.nats[0] == 0
    np.testing.assert_allclose(found.nats[1:], expected, rtol=1e-4, atol=1e-6)
    assert found.right[1:].tolist() == (logits.argmax(-1).numpy() == ids[1:]).tolist()
    score = found.score("it")
    assert score.symbols == length - 1
    assert score.loss == pytest.approx(float(expected.mean()), rel=1e-5)
    assert score.perplexity == pytest.approx(math.exp(score.loss))
    assert score.bits == pytest.approx(score.nats / math.log(2) / length)


def test_lines_are_judged_as_they_are_learnt():
    network = network_of().eval()
    corpus = corpus_of([3, 4, 0, 5, 0, 1, 2, 3, 4, 5, 0, 0], [3, 2, 6, 1])
    loss, terms = LineTask(network, corpus, WriteConfig(lines=True)).loss(network, torch.arange(4))
    found = likelihood(TorchReader(network), corpus)
    assert found.nats.sum() == pytest.approx(float(loss.detach()), rel=1e-5)
    assert found.score("").symbols == terms
    alone = likelihood(TorchReader(network), corpus_of([1, 2, 3, 4, 5, 0], [6]))
    np.testing.assert_allclose(found.nats[5:11], alone.nats, rtol=1e-5)


# Counting


def test_frequencies_with_the_same_chance_for_all_below_them():
    train, test = corpus_of([0, 0, 0, 1]), corpus_of([2, 0, 1])
    (score, *_) = ngrams.baselines(train, test, 4, "char")
    # 4 seen, 2 different: 4 / 6 for what was seen, 2 / 6 shared by all four symbols.
    chances = [(3 + 2 / 4) / 6, (1 + 2 / 4) / 6]
    assert (score.name, score.symbols) == ("frequencies alone", 2)
    assert score.nats == pytest.approx(-np.log(chances).sum())


@pytest.mark.parametrize("lengths", [None, (13, 7, 10)])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_chances_of_all_symbols_add_up_to_one(order, lengths):
    symbols, random = 4, np.random.default_rng(0)
    train = corpus_of(random.integers(0, symbols, 30), lengths)
    total = np.zeros(30)
    for symbol in range(symbols):
        chances = np.full(30, 1 / symbols)
        for n in range(1, order + 1):
            asked = ngrams.grams(train, n, symbols) // 5 * 5 + symbol  # the last symbol exchanged
            chances = ngrams.mixed(ngrams.grams(train, n, symbols), asked, symbols, chances)
        total += chances
    np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_what_is_before_a_line_is_not_the_line_before_it():
    grams = ngrams.grams(corpus_of([1, 0, 2, 0], [2, 2]), 2, 3)
    assert grams.tolist() == [3 * 4 + 1, 1 * 4 + 0, 3 * 4 + 2, 2 * 4 + 0]  # 3 stands before the beginning


def test_longer_contexts_predict_a_regular_text_better():
    ids = np.tile([0, 0, 1, 2, 0, 1], 200)
    losses = [score.loss for score in ngrams.baselines(corpus_of(ids), corpus_of(ids), 3, "char")]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.05


# Drawing


def test_the_likeliest_is_taken_at_temperature_zero_and_never_what_is_excluded():
    logits = np.array([[0.0, 3.0, 1.0, 2.0]])
    random = np.random.default_rng(0)
    assert drawn(logits, Draw(temperature=0), random) == 1
    assert drawn(logits, Draw(temperature=0), random, never=[1]) == 3
    assert {int(drawn(logits, Draw(temperature=1.0), random, never=[0, 1])[0]) for _ in range(200)} == {2, 3}
    assert {int(drawn(logits, Draw(temperature=5.0, top_k=2), random)[0]) for _ in range(200)} == {1, 3}


def test_draws_follow_the_chances_at_their_temperature():
    logits, random = np.array([[0.0, 1.0, 2.0]]), np.random.default_rng(0)
    for temperature in (0.5, 1.0, 2.0):
        found = np.bincount(drawn(logits.repeat(4000, 0), Draw(temperature=temperature), random), minlength=3) / 4000
        np.testing.assert_allclose(found, torch.from_numpy(logits[0] / temperature).softmax(0), atol=0.03)
