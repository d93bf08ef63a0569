"""What stands between a job and the fitting loop: who trains, what a training begins with, and of which data it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import toy
from statewise.jobs import InputError
from statewise.jobs.artifacts.model_file import Model
from statewise.jobs.training.callbacks import Callback
from statewise.jobs.training.config import TrainingConfig
from statewise.jobs.training.problem import Problem, Trainer, seeded
from statewise.jobs.training.task import Task
from statewise.jobs.training.weights import filled, without_memory

CONFIG = TrainingConfig(epochs=2, batch=10, learning_rate=0.01)


class Tell(Callback):
    """Keeps what it is told."""

    def __init__(self):
        self.said = []

    def begin(self, history, fit=None):
        self.said.append(("begin", fit, len(history)))

    def record(self, record):
        self.said.append(("record", record.get("fit"), record["update"]))


def trained(trainer, name="", **how):
    task = toy.Toy(**how)
    trainer.fit(task, CONFIG, name)
    return task


def test_all_callbacks_are_told_of_every_network():
    callbacks = Tell(), Tell()
    trainer = Trainer(callbacks)
    trained(trainer, "a")
    trained(trainer, "b", seed=1)
    assert callbacks[0].said == callbacks[1].said
    updates = [record["update"] for record in trainer.history if record["fit"] == "a"]
    for name in ("a", "b"):
        told = [said[0] for said in callbacks[0].said if said[1] == name]
        assert told == ["begin", *(["record"] * len(updates))]
    assert {record["fit"] for record in trainer.history} == {"a", "b"}


def test_a_training_begins_with_the_weights_of_the_network_of_its_name():
    first = trained(Trainer())
    start = {"a": first.model}
    before = toy.weights(first)
    seen = []

    class Look(Callback):
        def begin(self, history, fit=None):
            seen.append([torch.equal(tensor, before[name]) for name, tensor in toy.weights(task).items()])

    for name in ("a", "b"):
        task = toy.Toy(seed=5)
        Trainer([Look()], start=start).fit(task, CONFIG, name)
    assert all(seen[0])
    assert not any(seen[1])
    assert all(torch.equal(tensor, before[name]) for name, tensor in toy.weights(first).items())


class Broad(torch.nn.Module):
    """The toy's network with twice the units."""

    def __init__(self):
        super().__init__()
        self.layer = type(toy.Net(0.0).layer)(toy.I, 2 * toy.H, num_layers=2)
        self.head = torch.nn.Linear(2 * toy.H, 1)


def test_weights_of_another_size_are_refused():
    with pytest.raises(InputError, match="the weights to begin with are of another network: expected layer"):
        trained(Trainer(start={"": Broad()}))


def test_a_folder_has_a_checkpoint_for_each_network_and_is_gone_on_with(tmp_path):
    trainer = Trainer(folder=tmp_path)
    done = [trained(trainer, name, seed=seed) for seed, name in enumerate(("network 1", "network 2"))]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network-1.checkpoint", "network-2.checkpoint"]
    again = Trainer(folder=tmp_path)
    task = trained(again, "network 2", seed=1)
    assert task.seen == []  # it was trained to its end
    assert all(torch.equal(tensor, toy.weights(task)[name]) for name, tensor in toy.weights(done[1]).items())
    with pytest.raises(InputError, match="the checkpoint is of another task"):
        trained(again, "network 1", seed=7)


def test_progress_is_shown_where_it_is_asked_for(capsys, monkeypatch):
    monkeypatch.setattr("statewise.jobs.training.progress.MINUTE", 0.0)
    trained(Trainer())
    assert capsys.readouterr().err == ""
    trained(Trainer(verbose=True))
    assert "training: 8 of 8 updates" in capsys.readouterr().err


class Told(Task):
    def __init__(self, *data):
        self.model, self.rows, self.data = torch.nn.Linear(1, 1), 1, data


def test_data_that_differ_in_anything_are_told_apart():
    steps = np.arange(6.0)
    data = [
        (steps,),
        (steps + 1,),
        (steps.astype(np.float32),),
        (steps.reshape(2, 3),),
        (steps[:2], steps[2:]),
        (steps[:3], steps[3:]),
        (steps, ["a", "b"]),
        (steps, ["ab"]),
        (steps, 1),
        (steps, None),
    ]
    assert len({str(Told(*each).fingerprint()) for each in data}) == len(data)
    assert Told(torch.from_numpy(steps)).fingerprint() == Told(steps).fingerprint()
    assert Told(steps[::2]).fingerprint() == Told(steps[::2].copy()).fingerprint()


class Sum(Problem[Model]):
    """The toy's, whose model is its network."""

    config = CONFIG

    def make(self):
        return toy.Net(0.0)

    def task(self, network):
        task = toy.Toy(noise=0.0)
        task.model = network
        return task

    def model(self, network):
        return network


def test_a_problem_trains_the_network_that_its_seed_draws():
    problem = Sum()
    state = torch.get_rng_state()
    first, second = problem.network(), problem.network()
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, seeded(1, problem.make).head.weight)
    trainer = Trainer()
    model = problem.train(trainer)
    assert trainer.history[-1]["epoch"] == 2
    assert not torch.equal(model.head.weight, first.head.weight)
    assert torch.equal(model.head.weight, problem.train(Trainer()).head.weight)


class Called(TorchDispatchMode):
    """Notes the operations that tensors come to."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def test_what_has_no_memory_draws_nothing_that_torch_imports_a_compiler_for():
    with Called() as called, without_memory():
        table = torch.nn.Embedding(3, 4)
        torch.nn.init.normal_(table.weight, std=0.1)
    assert table.weight.is_meta
    assert called.names == {"aten::empty.memory_format"}
    weights = {"weight": np.ones((3, 4), np.float32)}
    torch.testing.assert_close(filled(lambda: torch.nn.Embedding(3, 4), weights).weight.data, torch.ones(3, 4))
