"""The fitting loop: the steps it makes are those of a plain loop, and it keeps its promises about all the rest."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from statewise.jobs import InputError
from statewise.jobs.training.callbacks import Callback
from statewise.jobs.training.config import TrainingConfig
from statewise.jobs.training.fit import fit, set_seed
from statewise.jobs.training.optimizer import Optimizer, clip
from statewise.jobs.training.task import Task
from statewise.kernels import cpu
from toy import Toy, weights


class Line(Task):
    """A linear map: few enough weights to follow each of them. ``scores`` is what the validation is to say."""

    def __init__(self, rows=10, scores=()):
        random = torch.Generator().manual_seed(1)
        self.x, self.y = torch.randn(rows, 2, generator=random), torch.randn(rows, 1, generator=random)
        self.rows, self.scores = rows, list(scores)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = nn.Linear(2, 1)
        self.snapshots = []
        self.modes = []

    def loss(self, model, rows):
        self.modes.append((model.training, torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
        return ((model(self.x[rows]) - self.y[rows]) ** 2).sum(), len(rows)

    def validate(self):
        self.snapshots.append(weights(self))
        self.modes.append((self.model.training, torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
        return {"score": self.scores[len(self.snapshots) - 1]} if self.scores else {}


class Each(Callback):
    """Does something after each update."""

    def __init__(self, do):
        self.tick = do


def plain_loop(task, optimizer, recipe, largest):
    """What fit is to do, written as anybody would."""
    batches = math.ceil(task.rows / recipe.batch)
    for epoch in range(recipe.epochs):
        order = torch.cat([torch.tensor(rows) for rows in task.seen[epoch * batches : (epoch + 1) * batches]])
        for n in range(batches):
            rows = order[n * recipe.batch : (n + 1) * recipe.batch]
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate((epoch * batches + n) / (recipe.epochs * batches))
            total, terms = Line.loss(task, task.model, rows)
            optimizer.zero_grad()
            (total / terms).backward()
            norm = torch.cat([p.grad.flatten() for p in task.model.parameters()]).norm()
            if largest is not None and norm > largest:
                for p in task.model.parameters():
                    p.grad *= largest / norm
            optimizer.step()


class Seen(Line):
    def __init__(self):
        super().__init__()
        self.seen = []

    def loss(self, model, rows):
        self.seen.append(rows.tolist())
        return super().loss(model, rows)


@pytest.mark.parametrize("largest", [None, 0.5, 100.0])
@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, lr=1, momentum=0.9, nesterov=True, weight_decay=0.1)),
        ("adam", lambda p: torch.optim.Adam(p, weight_decay=0.1)),
        ("adamw", lambda p: torch.optim.AdamW(p, weight_decay=0.1)),
    ],
)
def test_the_steps_are_those_of_a_plain_loop(name, oracle, largest):
    recipe = TrainingConfig(
        epochs=4, batch=3, optimizer=name, learning_rate=0.05, weight_decay=0.1, clip=largest, warmup=0.2
    )
    task, other = Seen(), Seen()
    start = weights(task)
    fit(task, recipe)
    other.seen = task.seen
    plain_loop(other, oracle(other.model.parameters()), recipe, largest)
    for key, ours in weights(task).items():
        assert not torch.equal(ours, start[key])
        torch.testing.assert_close(ours, weights(other)[key], rtol=1e-5, atol=1e-6)


def test_sgd_without_momentum():
    task, other = Seen(), Seen()
    recipe = TrainingConfig(epochs=2, batch=4, optimizer="sgd", momentum=0.0, learning_rate=0.1)
    fit(task, recipe)
    other.seen = task.seen
    plain_loop(other, torch.optim.SGD(other.model.parameters(), lr=1), recipe, recipe.clip)
    torch.testing.assert_close(weights(task), weights(other))


def test_the_gradient_is_that_of_the_mean_over_terms():
    class Weighted(Line):
        def loss(self, model, rows):
            return super().loss(model, rows)[0], 4.0 * len(rows)

    task, other = Weighted(), Line()
    fit(task, TrainingConfig(epochs=1, batch=10, optimizer="sgd", momentum=0.0, schedule="constant", clip=None))
    (other.loss(other.model, torch.arange(10))[0] / 40).backward()
    for name, parameter in other.model.named_parameters():
        torch.testing.assert_close(weights(task)[name], parameter.detach() - 1e-3 * parameter.grad)


@pytest.mark.parametrize("scores", [(), (3.0, 1.0, 2.0)])
def test_the_average_is_judged_and_kept_and_the_weights_go_on_by_themselves(scores):
    recipe = {"epochs": 3, "batch": 5, "learning_rate": 0.1}
    plain, task = Line(), Line(scores=scores)
    seen, began = [], weights(plain)
    fit(plain, TrainingConfig(**recipe), callback=Each(lambda: seen.append(weights(plain))))
    fit(task, TrainingConfig(**recipe, average=0.8))
    for name in began:
        average, judged = began[name], []
        for n, after in enumerate(seen, 1):
            decay = min(0.8, n / (n + 9))
            average = decay * average + (1 - decay) * after[name]
            judged += [average] * (n % 2 == 0)  # an epoch has two updates
        for snapshot, expected in zip(task.snapshots, judged, strict=True):
            torch.testing.assert_close(snapshot[name], expected)
        torch.testing.assert_close(weights(task)[name], judged[1] if scores else judged[-1])


def test_every_row_once_an_epoch_in_another_order():
    task = Toy(rows=11)
    fit(task, TrainingConfig(epochs=3, batch=4))
    epochs = [[row for batch in task.seen[n : n + 3] for row in batch] for n in (0, 3, 6)]
    assert [len(rows) for rows in task.seen] == [4, 4, 3] * 3
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_it_learns():
    task = Toy(rows=200, noise=0.0)
    before = task.validate()["mse"]
    history = fit(task, TrainingConfig(epochs=40, batch=16, learning_rate=0.01))
    assert task.validate()["mse"] < 0.1 * before
    assert history[-1]["loss"] < 0.1 * history[0]["loss"]


def test_the_best_weights_are_kept_and_patience_ends_it():
    task = Line(scores=[3.0, 1.0, 2.0, 1.0, 0.5])
    history = fit(task, TrainingConfig(epochs=10, batch=5, patience=2))
    assert [r["epoch"] for r in history if "validation" in r] == [1, 2, 3, 4]  # 1.0 again is no gain
    torch.testing.assert_close(weights(task), task.snapshots[1], rtol=0, atol=0)
    assert not torch.equal(task.snapshots[3]["weight"], task.snapshots[1]["weight"])
    assert not task.model.training


def test_without_patience_all_epochs_run_and_the_best_is_kept_all_the_same():
    task = Line(scores=[3.0, 1.0, 2.0, 4.0])
    assert len(fit(task, TrainingConfig(epochs=4, batch=10))) == 4
    torch.testing.assert_close(weights(task), task.snapshots[1], rtol=0, atol=0)


def test_without_validation_the_last_weights_stay_and_patience_says_nothing():
    task = Line()
    history = fit(task, TrainingConfig(epochs=3, batch=5, patience=1))
    torch.testing.assert_close(weights(task), task.snapshots[2], rtol=0, atol=0)
    assert all("validation" not in record for record in history)


def test_the_model_is_in_the_right_mode():
    task = Line(scores=[1.0, 2.0])
    fit(task, TrainingConfig(epochs=2, batch=5))
    assert task.modes == ([(True, True, False)] * 2 + [(False, False, False)]) * 2


def test_mixed_precision_is_for_the_losses_alone():
    task = Line(scores=[1.0])
    fit(task, TrainingConfig(epochs=1, batch=5, precision="bfloat16"))
    assert task.modes == [(True, True, True)] * 2 + [(False, False, False)]
    assert task.model.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("precision", "found"), [("auto", "high"), ("float32", "highest"), ("medium", "medium"), ("bfloat16", "high")]
)
def test_how_exact_products_are_follows_the_precision_where_losses_are_computed(precision, found):
    seen = []

    class Watched(Line):
        def loss(self, model, rows):
            loss, terms = super().loss(model, rows)
            told = torch.get_float32_matmul_precision
            seen.append(("loss", told()))
            loss.register_hook(lambda gradient: seen.append(("backward", told())))
            return loss, terms

        def validate(self):
            seen.append(("validation", torch.get_float32_matmul_precision()))
            return super().validate()

    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")  # what the program has set
        fit(Watched(scores=[1.0]), TrainingConfig(epochs=1, batch=10, precision=precision))
        assert torch.get_float32_matmul_precision() == "high"
        failing = Watched()
        failing.loss = None
        with pytest.raises(TypeError):
            fit(failing, TrainingConfig(epochs=1, batch=10, precision=precision))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == [("loss", found), ("backward", found), ("validation", "high")]


def test_medium_learns_nearly_the_same():
    curves = {}
    for precision in ("float32", "medium"):
        task = Toy(rows=100, noise=0.0)
        fit(task, TrainingConfig(epochs=10, batch=10, learning_rate=0.01, precision=precision))
        curves[precision] = task.validate()["mse"]
    assert curves["medium"] == pytest.approx(curves["float32"], rel=0.05)
    if cpu.computes_bfloat16():
        assert curves["medium"] != curves["float32"]


def test_recurrent_layers_train_in_mixed_precision():
    task = Toy(rows=100, noise=0.0)
    before = task.validate()["mse"]
    fit(task, TrainingConfig(epochs=20, batch=10, learning_rate=0.01, precision="bfloat16"))
    assert task.validate()["mse"] < 0.5 * before


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_follows_its_schedule(schedule):
    recipe = TrainingConfig(epochs=5, batch=5, schedule=schedule, warmup=0.2, learning_rate=0.5)
    rates = [record["learning_rate"] for record in fit(Line(), recipe)]
    assert rates == [recipe.rate(n / 10) for n in range(10)]
    assert rates[:3] == [0.0, 0.25, 0.5]
    assert rates == sorted(rates[:3]) + sorted(rates[3:], reverse=True)
    assert recipe.rate(1.0) == (0.5 if schedule == "constant" else 0.0)


def test_the_schedules_halfway():
    middle = {
        name: TrainingConfig(schedule=name, learning_rate=1.0).rate(0.25) for name in ("cosine", "linear", "constant")
    }
    assert middle == {"cosine": pytest.approx((1 + 0.5**0.5) / 2), "linear": 0.75, "constant": 1.0}


def test_the_curve_is_the_mean_loss():
    task = Line()
    with torch.no_grad():
        first = float(Line.loss(task, task.model, torch.arange(10))[0]) / 10
    (record,) = fit(task, TrainingConfig(epochs=1, batch=10))
    assert record["loss"] == pytest.approx(first)
    assert (record["epoch"], record["update"]) == (1, 1)
    assert record["seconds"] > 0


def test_the_curve_has_few_points_however_long_it_is(monkeypatch):
    monkeypatch.setattr("statewise.jobs.training.fit.POINTS", 10)
    history = fit(Line(rows=100), TrainingConfig(epochs=2, batch=1))
    assert [record["update"] for record in history] == list(range(20, 201, 20))


class Counting(Callback):
    def __init__(self):
        self.planned = self.ticks = 0
        self.records = []

    def begin(self, history, fit=None):
        self.records = list(history)

    def plan(self, updates):
        self.planned += updates

    def tick(self):
        self.ticks += 1

    def record(self, record):
        self.records.append(record)


def test_who_watches_is_told_all():
    callback = Counting()
    history = fit(Line(scores=[1.0, 2.0, 3.0, 0.0]), TrainingConfig(epochs=4, batch=3, patience=2), callback=callback)
    assert callback.ticks == callback.planned == 3 * 4
    assert callback.records == history


def test_the_callers_random_numbers_stay_and_decide_nothing():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = Toy()
    fit(one, TrainingConfig(epochs=2, batch=8))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    two = Toy()
    fit(two, TrainingConfig(epochs=2, batch=8))
    torch.testing.assert_close(weights(one), weights(two), rtol=0, atol=0)


def test_the_seed_decides():
    tasks = [Toy(), Toy()]
    for seed, task in enumerate(tasks):
        fit(task, TrainingConfig(epochs=1, batch=8, seed=seed))
    assert tasks[0].seen != tasks[1].seen


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused(bad):
    task = Line()
    task.y[3] = bad
    with pytest.raises(InputError, match=r"no longer finite after \d+ updates at a learning rate of 0.00"):
        fit(task, TrainingConfig(epochs=2, batch=5))


def test_so_is_such_a_validation():
    with pytest.raises(InputError, match="no longer finite"):
        fit(Line(scores=[1.0, math.nan]), TrainingConfig(epochs=2, batch=5))


class Empty(Line):
    """Every third row has no term."""

    def loss(self, model, rows):
        counts = rows % 3 > 0
        return ((model(self.x[rows]) - self.y[rows]) ** 2)[counts].sum(), int(counts.sum())


def test_a_batch_without_terms_is_no_harm():
    history = fit(Empty(), TrainingConfig(epochs=5, batch=1))
    assert all(math.isfinite(record["loss"]) for record in history)
    assert history[-1]["epoch"] == 5


def test_nothing_to_train_on_is_refused():
    with pytest.raises(InputError, match="no rows"):
        fit(Line(rows=0), TrainingConfig())
    with pytest.raises(InputError, match="no row has a term"):
        fit(Empty(rows=1), TrainingConfig(batch=1))


@pytest.mark.parametrize("device", ["cuda:7", "gpu", "cpu:x"])
def test_a_device_that_is_not_there_is_refused_in_one_line(device):
    with pytest.raises(InputError, match=f"device '{device}' can't be used") as error:
        fit(Line(), TrainingConfig(device=device))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("first", [True, False])
def test_the_weights_before_the_first_update_win_where_they_count_and_none_is_better(first):
    task = Line(scores=[1.0, 2.0, 3.0])
    task.judged_first = first
    before = weights(task)
    fit(task, TrainingConfig(epochs=2))
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(task).items()) == first
    better = Line(scores=[3.0, 2.0, 1.0])
    better.judged_first = first
    fit(better, TrainingConfig(epochs=2))
    assert not torch.equal(weights(better)["weight"], before["weight"])


@pytest.mark.parametrize(
    ("told", "torchs"),
    [
        ({}, lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01, fused=True)),
        ({"optimizer": "adam"}, lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01, fused=True)),
        (
            {"optimizer": "sgd"},
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True),
        ),
        (
            {"optimizer": "sgd", "momentum": 0.0},
            lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01, fused=True),
        ),
    ],
)
def test_a_step_has_the_bits_of_torchs(told, torchs):
    random = torch.Generator().manual_seed(0)
    ours = [nn.Parameter(torch.randn(size, generator=random)) for size in ((63, 5), (500,), (1,))]
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    optimizer, other = Optimizer(TrainingConfig(weight_decay=0.01, **told), ours), torchs(theirs)
    for number, rate in enumerate((0.1, 0.0, 0.3)):
        for mine, its in zip(ours, theirs, strict=True):
            mine.grad = its.grad = torch.randn(mine.shape, generator=random)
        if number == 1:
            ours[1].grad = theirs[1].grad = None  # what has none stays, and so does what is remembered of it
        for group in other.param_groups:
            group["lr"] = rate
        optimizer.step(rate)
        other.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    remembered = {f"{n}.{name}": t for n, each in other.state_dict()["state"].items() for name, t in each.items()}
    remembered = {name: tensor for name, tensor in remembered.items() if tensor is not None}
    torch.testing.assert_close(optimizer.state(), remembered, rtol=0, atol=0)


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3, math.nan, math.inf])
def test_clipping_is_torchs(factor):
    ours = [nn.Parameter(torch.zeros(size)) for size in ((3, 5), (7,), (1,))] + [nn.Parameter(torch.zeros(2))]
    for number, parameter in enumerate(ours[:3]):
        parameter.grad = factor * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    theirs = [parameter.grad.clone() for parameter in ours[:3]]
    stand_ins = [nn.Parameter(torch.zeros_like(gradient)) for gradient in theirs]
    for parameter, gradient in zip(stand_ins, theirs, strict=True):
        parameter.grad = gradient
    clip(ours, 1.0)
    nn.utils.clip_grad_norm_(stand_ins, 1.0)
    for parameter, gradient in zip(ours, theirs, strict=False):
        torch.testing.assert_close(parameter.grad, gradient, equal_nan=True)
    assert ours[3].grad is None


def test_a_seed_draws_what_torchs_does():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected = torch.rand(5)
        set_seed(7, torch.device("cpu"))
        torch.testing.assert_close(torch.rand(5), expected, rtol=0, atol=0)


@pytest.mark.slow
def test_a_training_imports_neither_torchs_compiler_nor_sympy():
    code = """
import sys
from statewise.jobs import Writer

Writer(epochs=1, units=4).fit("the old man and the sea " * 20)
print(sorted({"sympy", "torch._dynamo", "torch._inductor"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
