"""g2p_en: from a word's letters to its sounds, by a GRU that reads and one that says them."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise import read_weights
from statewise.runtime import Network
from statewise.weights import Part
from statewise.weights.program import Program

from . import Case

REQUIREMENTS = ("g2p-en==2.1.0",)
WORK = "letters to sounds, GRU 256 in and 256 out, weights from the wheel: 32 made-up words of 3 to 12 letters"
_BEGIN, _END, _MOST = 2, 3, 20  # numbers of sounds, and how many a word has at most
Array = NDArray[Any]


class Speller:
    """Both networks."""

    def __init__(self, weights: Path) -> None:
        parts = read_weights(weights)
        with np.load(weights) as arrays:
            self.encoder = _network(arrays["enc_emb"], parts["enc"], "last", {})
            head = {"weight": arrays["fc_w"], "bias": arrays["fc_b"]}
            self.decoder = _network(arrays["dec_emb"], parts["dec"], "linear", head)

    def sounds(self, words: list[list[int]]) -> list[list[int]]:
        """The numbers of each word's sounds: the likeliest one after the other, all words as one batch."""
        lengths = [len(word) for word in words]
        letters = np.zeros((max(lengths), len(words)), np.int64)
        for row, word in enumerate(words):
            letters[: len(word), row] = word
        state = list(self.decoder.start(len(words)))
        state[1] = (self.encoder.run(letters, lengths),)
        said, found = np.full(len(words), _BEGIN), []
        over = np.zeros(len(words), bool)
        for _ in range(_MOST):
            scores, after = self.decoder.step(said, tuple(state))
            state, said = list(after), scores.argmax(-1)
            over |= said == _END
            if over.all():
                break
            found.append(np.where(over, _END, said))
        rows = np.array(found).T.tolist() or [[]] * len(words)
        return [row[: row.index(_END)] if _END in row else row for row in rows]


def _network(embedding: Array, part: Part, op: str, arrays: dict[str, Array]) -> Network:
    made = Program(len(embedding), "symbols")
    made.add("embedding", "embedding", {"weight": embedding})
    made.recurrent(part)
    made.add(op, "result", arrays)
    return made.network()


def cases() -> dict[str, Case]:
    """Word by word, as it does, and all words at once."""
    import g2p_en
    from g2p_en import g2p

    g2p.cmudict = SimpleNamespace(dict=dict)  # the dictionary, which would be fetched: here every word is new
    theirs = g2p_en.G2p()
    ours = Speller(Path(g2p_en.__file__).with_name("checkpoint20.npz"))
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlucmfwyp", k=draw.randint(3, 12))) for _ in range(32)]
    letters = [[theirs.g2idx[letter] for letter in (*word, "</s>")] for word in words]

    def one_by_one() -> list[Array]:
        return _as_array([theirs.p2idx[sound] for sound in theirs.predict(word)] for word in words)

    def alone() -> list[Array]:
        return _as_array(ours.sounds([word])[0] for word in letters)

    def together() -> list[Array]:
        return _as_array(ours.sounds(letters))

    return {"word by word": Case(one_by_one, alone, 0.0), "32 words at once": Case(one_by_one, together, 0.0)}


def _as_array(words: Any) -> list[Array]:
    rows = list(words)
    found = np.full((len(rows), _MOST), -1)
    for row, sounds in enumerate(rows):
        found[row, : len(sounds)] = sounds
    return [found]
