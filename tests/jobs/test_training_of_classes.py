"""What ``fit`` and ``partial_fit`` of all classes can be told: validation, callbacks, a folder, weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from statewise.jobs import Callback, Classifier, ForecastRegressor, InputError, Tagger, Translator, Writer
from statewise.jobs.estimator import Estimator
from statewise.jobs.tasks.tag.example import sentences
from statewise.jobs.tasks.translate.pairs import dates
from statewise.jobs.training.problem import Trainer


def waves(seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    y = np.array(["down", "up"])[np.arange(24) % 2]
    return [
        s * np.arange(t) + random.normal(0, 1, t)
        for s, t in zip(np.where(y == "up", 1, -1), [5, 7, 4] * 8, strict=True)
    ], y


def tagged(seed: int) -> tuple[Any, Any]:
    corpus = sentences(24, seed)
    return [list(s) for s in corpus.words], [list(s) for s in corpus.known_tags]


def prose(seed: int) -> tuple[Any, Any]:
    words = np.random.default_rng(seed).choice(["the", "old", "man", "sea", "saw", "it"], 300)
    return " ".join(["the old man sea saw it", *words]), None


def walk(seed: int) -> tuple[Any, Any]:
    steps = np.arange(120 if seed == 0 else 20)
    return np.zeros((len(steps), 0)), np.sin(steps) + np.random.default_rng(seed).normal(0, 0.1, len(steps))


def spelt(seed: int) -> tuple[Any, Any]:
    made = dates(24, seed)
    return made.sources, made.targets


@dataclass(frozen=True)
class Kind:
    make: Callable[..., Estimator]
    data: Callable[[int], tuple[Any, Any]]

    def __call__(self, **arguments: Any) -> Estimator:
        return self.make(**arguments)

    def eval_set(self, seed: int) -> Any:
        X, y = self.data(seed)
        return X if self.make is WRITER else (X, y)


WRITER = lambda **more: Writer(**{"units": 6, "batch": 4, "steps": 16, "epochs": 4, **more})  # noqa: E731
KINDS = {
    "classifier": Kind(lambda **more: Classifier(**{"units": 4, "epochs": 4, "batch": 8, **more}), waves),
    "tagger": Kind(
        lambda **more: Tagger(**{"units": 4, "word_size": 6, "character_units": 3, "epochs": 4, "batch": 8, **more}),
        tagged,
    ),
    "translator": Kind(
        lambda **more: Translator(**{"units": 4, "embedding": 4, "epochs": 4, "batch": 8, **more}), spelt
    ),
    "writer": Kind(WRITER, prose),
    "forecaster": Kind(
        lambda **more: ForecastRegressor(
            **{"model": "seq2seq", "units": 4, "epochs": 4, "horizon": 4, "season": 1, "combine": False, **more}
        ),
        walk,
    ),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def weights_of(estimator: Estimator) -> list[torch.Tensor]:
    return [w for network in estimator.model_.networks().values() for w in network.state_dict().values()]


def same(a: Estimator, b: Estimator) -> bool:
    return all(map(torch.equal, weights_of(a), weights_of(b)))


class Seen(Callback):
    """Keeps what it is told, and breaks off after so many updates."""

    def __init__(self, kill: float = float("inf")) -> None:
        self.records, self.updates, self.planned, self.kill = [], 0, 0, kill

    def plan(self, updates):
        self.planned += updates

    def tick(self):
        self.updates += 1
        if self.updates >= self.kill:
            raise ConnectionAbortedError

    def record(self, record):
        self.records.append(record)


def test_callbacks_are_told_of_the_whole_training(kind):
    seen = Seen()
    estimator = kind().fit(*kind.data(0), callbacks=[seen])
    assert seen.updates == seen.planned == estimator.history_[-1]["update"]
    assert seen.records == estimator.history_
    with pytest.raises(
        InputError, match=r"callbacks: expected statewise\.jobs\.Callback, got builtin_function_or_method"
    ):
        kind().fit(*kind.data(0), callbacks=[print])


def test_what_is_validated_with_can_be_given(kind):
    seen = Seen()
    estimator = kind().fit(*kind.data(0), eval_set=kind.eval_set(1), callbacks=[seen])
    told = [record["validation"] for record in seen.records if "validation" in record]
    assert len(told) == 4
    again = kind().fit(*kind.data(0), eval_set=kind.eval_set(2))
    other = [record["validation"] for record in again.history_ if "validation" in record]
    assert told[0] != other[0]  # of other data
    assert estimator.history_[0]["loss"] == again.history_[0]["loss"]  # from the same training


def test_a_fit_that_is_broken_off_goes_on_from_its_folder(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("statewise.jobs.training.problem.Trainer", partial(Trainer, every=0.0))
    folder, data = tmp_path / "new" / "folder", kind.data(0)
    whole = Seen()
    uninterrupted = kind().fit(*data, callbacks=[whole])
    kill = whole.updates * 5 // 8
    broken = kind()
    with pytest.raises(ConnectionAbortedError):
        broken.fit(*data, folder=folder, callbacks=[Seen(kill)])
    assert list(folder.glob("*.checkpoint"))
    rest = Seen()
    resumed = kind().fit(*data, folder=folder, callbacks=[rest])
    assert rest.updates <= whole.updates - kill + 1  # what was done before the kill is not done again
    assert same(resumed, uninterrupted)
    assert not list(folder.iterdir())


def test_partial_fit_goes_on_from_the_weights_and_fit_from_the_beginning(kind, tmp_path):
    X, y = kind.data(0)
    first = kind().fit(X, y)
    before = [w.clone() for w in weights_of(first)]
    first.save(tmp_path / "model")
    loaded = type(first).load(tmp_path / "model")
    assert same(kind().partial_fit(X, y), first)  # nothing to go on from
    begun = Seen()
    loaded.set_params(learning_rate=1e-12, schedule="constant", weight_decay=0.0, patience=0)
    loaded.partial_fit(X, y, callbacks=[begun])
    assert begun.updates > 0
    for now, then in zip(weights_of(loaded), before, strict=True):
        torch.testing.assert_close(now, then, rtol=0, atol=1e-6)
    first.set_params(learning_rate=1e-3).partial_fit(X, y)
    assert any(not torch.equal(now, then) for now, then in zip(weights_of(first), before, strict=True))
    assert same(kind(warm_start=True).fit(X, y), kind().fit(X, y))
    warm = kind(warm_start=True).fit(X, y)
    assert same(warm.set_params(learning_rate=1e-3).fit(X, y), first)


def test_weights_of_another_network_are_refused(kind):
    X, y = kind.data(0)
    estimator = kind().fit(X, y).set_params(units=5)
    with pytest.raises(InputError, match=r"the weights to begin with are of another network"):
        estimator.partial_fit(X, y)


def test_patience_0_never_stops(kind):
    X, y = kind.data(0)
    training = {"epochs": 6, "learning_rate": 1e-12, "schedule": "constant"}
    ends = [kind(patience=n, **training).fit(X, y, eval_set=kind.eval_set(1)).history_[-1]["epoch"] for n in (0, 1)]
    assert ends[0] == 6
    assert ends[1] < 6


def test_verbose_shows_a_bar(kind, monkeypatch):
    shown = []

    class Shown(Callback):
        def __init__(self, description):
            shown.append(description)

        def close(self):
            shown.append("closed")

    monkeypatch.setattr("statewise.jobs.training.problem.Bar", Shown)
    kind().fit(*kind.data(0))
    assert not shown
    kind(verbose=1).fit(*kind.data(0))
    assert shown
    assert shown[1::2] == ["closed"] * (len(shown) // 2)


def test_data_that_do_not_fit_the_trained_model_are_refused():
    tagger = KINDS["tagger"]().fit(*tagged(0))
    with pytest.raises(InputError, match="the sentences: the model knows no tag 'B-NEW'"):
        tagger.partial_fit([["a"]], [["B-NEW"]])
    with pytest.raises(InputError, match="the model reads 0 features of every word, got 1"):
        tagger.partial_fit([[("a", "x")]], [["O"]])
    spans = next(tag for tag in tagger.classes_ if tag.startswith("I-"))
    with pytest.raises(InputError, match="the model's tags keep to the grammar of spans, and some of these don't"):
        tagger.partial_fit([["a", "b"]], [["O", spans]])
    writer = KINDS["writer"]().fit(*prose(0))
    with pytest.raises(InputError, match="the model has learnt a running text of characters, expected the same again"):
        writer.partial_fit(["a line", "another"])
    forecaster = KINDS["forecaster"]().fit(*walk(0))
    X, y = walk(0)
    with pytest.raises(InputError, match=r"expected the covariates \(\), got \('x0',\)"):
        forecaster.partial_fit(np.ones((len(y), 1)), y)
    y[50] = np.nan
    with pytest.raises(InputError, match="the model has learnt without missing values"):
        forecaster.set_params(gaps="mask").partial_fit(X, y)


def test_a_recursive_forecaster_learns_on_from_its_own_differences_and_scale():
    X, y = walk(0)
    forecaster = ForecastRegressor(model="gru", units=3, epochs=2, ensemble=2, horizon=4, season=6).fit(X, y)
    inputs, scaling = forecaster.model_.learner.inputs, forecaster.model_.scaling
    seen = Seen()
    forecaster.partial_fit(X[:80], 5 + y[:80], callbacks=[seen])
    assert forecaster.model_.learner.inputs == inputs
    assert forecaster.model_.scaling.centre.tolist() == scaling.centre.tolist()
    assert {record["fit"] for record in seen.records} >= {"network 1", "network 2"}
    assert forecaster.predict().shape == (4,)
