"""Search the options of a job that do best on its validation part: ``statewise tune JOB``, and ``tune`` for a program.

What is searched follows from the job's configuration: the options that have a range or choices there
(``config.Option.search``) and aren't given. The first trial leaves them as they are, so that the best is no worse. A
trial whose validation curve falls behind the others' is broken off. The test part is split off and never looked at.
optuna is imported when a search begins.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .command import Command, Run, by_group, say, spelt
from .config import Config, Positive, Range, Whole, hints_of, option, options_of, part_of, to_json
from .errors import InputError
from .training.callbacks import Callback, Record

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

SHOWN = 10  # trials in the table


@dataclass(kw_only=True)
class Tuning(Config):
    """How long is searched, and what."""

    trials: Whole = option(20, "how many settings are tried", group="search", metavar="N")
    timeout: Positive | None = option(None, "after which no trial begins", group="search", metavar="SECONDS")
    search: tuple[str, ...] | None = option(
        None,
        "the options to search",
        group="search",
        metavar="A,B,...",
        default="those with a range that aren't given",
        commas=True,
    )
    job: ClassVar[Command[Any]]


class Curve(Callback):
    """Tells ``trial`` of each validation, of several networks the first's, and ends it where others were better."""

    def __init__(self, trial: Trial) -> None:
        self.trial, self.best = trial, dict[str, float]()

    def record(self, record: Record) -> None:
        if not record.get("validation"):
            return
        fit, value = record.get("fit", ""), next(iter(record["validation"].values()))
        self.best[fit] = min(value, self.best.get(fit, value))
        if fit == next(iter(self.best)):
            self.trial.report(value, record["epoch"])
            if self.trial.should_prune():
                from optuna import TrialPruned

                raise TrialPruned

    @property
    def value(self) -> float:
        """The best validation, less is better; of several networks the mean. Raises ``InputError`` without any."""
        if not self.best:
            raise InputError("there is no validation part to tune by: hold some out, or give more data")
        return sum(self.best.values()) / len(self.best)


def space_of(kind: type, given: Collection[str] = (), names: Collection[str] | None = None) -> dict[str, Any]:
    """What of ``kind`` is searched: ``names``, or all that can be and isn't ``given``.

    Raises ``InputError`` where one of ``names`` can't be, or nothing is left.
    """
    known = {name: how.search for name, _, _, how in options_of(kind) if how.search is not None and name not in given}
    for name in names or ():
        if name not in known:
            why = "is given" if name in given else "can't be searched"
            raise InputError(f"search: {name} {why}; expected some of {', '.join(known) or 'none'}")
    if not known:
        raise InputError("all that can be searched is given, there is nothing to tune")
    return {name: search for name, search in known.items() if not names or name in names}


def study_of(
    told: Tuning,
    space: Mapping[str, Any],
    fit: Callable[[dict[str, Any], Callback], object],
    seed: int,
    file: Path | None,
) -> Study:
    """The search of ``space``: ``fit`` trains with what was drawn. It is kept in ``file``, and goes on from there."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(file))) if file is not None else None
    study = optuna.create_study(storage=storage, study_name="statewise", load_if_exists=True)
    begun, done = len(study.trials), len(_finished(study))
    study.sampler, study.pruner = optuna.samplers.TPESampler(seed=seed + begun), optuna.pruners.MedianPruner(5, 2)

    def objective(trial: Trial) -> float:
        first = not done and trial.number == begun
        curve = Curve(trial)
        try:
            drawn = {} if first else {name: _drawn(trial, name, search) for name, search in space.items()}
            fit(_short(drawn), curve)
            return curve.value
        except InputError:  # options that don't go together, a loss that isn't finite
            if first:
                raise
            raise optuna.TrialPruned from None

    def shown(study: Study, trial: FrozenTrial) -> None:
        options = [
            f"{name} {value}" for name, value in zip(trial.params, _row(trial, list(trial.params))[3:], strict=True)
        ]
        say("  ".join([f"trial {trial.number}:", *_row(trial, ())[1:3], *options]))

    if done < told.trials:
        study.optimize(objective, told.trials - done, told.timeout, callbacks=[shown] if file else None)
    return study


def _drawn(trial: Trial, name: str, search: Any) -> Any:
    if not isinstance(search, Range):
        return trial.suggest_categorical(name, search)
    draw: Callable[..., Any] = trial.suggest_int if isinstance(search.low, int) else trial.suggest_float
    return draw(name, search.low, search.high, log=search.log)


def _short(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What was drawn as it is used: with three digits, as one types it."""
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in drawn.items()}


def tune(estimator: Any, X: Any, y: Any = None, *, trials: int = 20, search: Any = None, **how: Any) -> Any:
    """A clone of ``estimator``, fitted with the options that did best on its validation part, its ``study_`` optuna's.

    Args:
        estimator: a ``Classifier``, ``Forecaster``, or another of the jobs' classes, which stays as it is. Options that
            differ from their default stay as they are, unless ``search`` names them.
        X: what ``fit`` learns from.
        y: what it is to learn, where ``X`` doesn't say it. Default: None.
        trials: how many settings are tried; those that fall behind are broken off. Default: 20.
        search: names of the options to search. Default: all that have a range and aren't given.
        how: ``timeout`` in seconds, the ``file`` that keeps the search, and what goes to ``fit``, such as ``eval_set``.

    Raises:
        InputError: a ValueError, where any of it can't be used.
        ModuleNotFoundError: optuna isn't installed: ``pip install 'statewise[tune]'``.

    Example:
        >>> best = statewise.jobs.tune(Classifier(epochs=5), X, y, trials=10, search=["units", "learning_rate"])
        >>> best.units
    """
    from sklearn.base import clone

    told = Tuning(trials=trials, timeout=how.pop("timeout", None), search=search)
    given = [each.name for each in fields(estimator) if each.init and getattr(estimator, each.name) != each.default]
    space = space_of(estimator.configuration, () if told.search else given, told.search)
    file = how.pop("file", None)

    def fit(drawn: dict[str, Any], curve: Callback) -> None:
        clone(estimator).set_params(**drawn).fit(X, y, callbacks=[curve], **how)

    study = study_of(told, space, fit, estimator.config().seed, None if file is None else Path(file))
    best = clone(estimator).set_params(**_short(study.best_params)).fit(X, y, **how)
    best.study_ = study
    return best


# The command


class Tune(Command[Any]):
    """``statewise tune JOB``: it takes what ``statewise JOB`` does, and ``Tuning``."""

    def told(self, args: argparse.Namespace) -> Any:
        """What ``args`` say, with what is searched decided."""
        options = super().told(args)
        if getattr(args, "resume", None) is None:
            given = [name for name, value in vars(args).items() if value is not None]
            names = None if options.search is None else [name.replace("-", "_") for name in options.search]
            options.search = tuple(space_of(self.options, given, names))
        return options


def __getattr__(name: str) -> Tune:
    """The command that tunes the job ``name``."""
    try:
        job: Command[Any] = import_module(f".tasks.{name}.command", __package__).COMMAND
    except ModuleNotFoundError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    # What looks on at a single training stays at its default, and is no option here.
    others = [each for each in fields(Run) if each.name not in ("unpack", "out", "resume")]
    body = {each.name: field(init=False, default=each.default) for each in others}
    hints = {each.name: hints_of(Run)[each.name] for each in others}
    options: Any = dataclass(kw_only=True)(
        type("Options", (Tuning, job.options), {**body, "__annotations__": hints, "job": job, "__module__": __name__})
    )
    return Tune(
        f"tune {name}",
        options,
        "statewise.jobs.tuning:run",
        usage=f"statewise tune {name} [FILE] [option ...]",
        description=f"""\
Search the options of statewise {name} that do best on the validation part; those that
are given stay. Trials that fall behind are broken off. Prints the best ones and the
command that uses them, and writes trials.csv, best.json and study.journal, optuna's,
into a run folder. The test part isn't looked at.
""",
        examples=f"""\
examples:
  statewise tune {name} --trials 50 --timeout 600
  statewise tune {name} FILE --search learning_rate,units
  statewise tune {name} --resume FOLDER
""",
    )


def run(options: Any) -> None:
    """Search what ``options``, those of a job and of ``Tuning``, leave open."""
    import optuna  # noqa: F401  # before anything is made

    from .artifacts import atomic
    from .artifacts.runs import run_folder
    from .experiment import as_text
    from .report import Table
    from .training.distributed import find_device
    from .training.problem import Trainer

    find_device(options.device)
    command: Command[Any] = options.job
    module, _, function = command.action.partition(":")
    make = attrgetter(function.rpartition(".")[0])(import_module(module))
    first, base = make(options), part_of(command.options, options)
    kind, space = f"tune {command.name}", space_of(type(options), names=options.search)

    def fit(drawn: dict[str, Any], curve: Callback) -> None:
        job = make(replace(base, **drawn)) if drawn else first
        job.problem.train(Trainer([curve]))

    known = {name for name, *_ in options_of(type(options))} - {"out", "resume"}
    kept = {name: value for name, value in to_json(options).items() if name in known}
    with run_folder(kind, first.name, options.out, kept, options.resume) as folder:
        study = study_of(options, space, fit, options.seed, folder / "study.journal")
        trials = sorted(_finished(study), key=lambda t: (t.state.name != "COMPLETE", t.value or 0.0, t.number))
        head, rows = ["trial", "state", "validation", *space], [_row(trial, space) for trial in trials]
        say("\n" + as_text(Table(head, rows[:SHOWN])))
        best, used = study.best_trial, _short(study.best_params)
        line = shlex.join(["statewise", command.name, *words_of(replace(base, **used, out=None, resume=None))])
        say(f"\nbest{' (the options as they were)' if not used else ''}: {line}")
        content = {"trial": best.number, "validation": best.value, "options": used, "command": line}
        atomic.write(folder / "best.json", json.dumps(content, indent=1) + "\n")
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([head, *rows])
        atomic.write(folder / "trials.csv", table.getvalue())
        say(f"\n{folder}: best.json, config.json, study.journal, trials.csv")


def _finished(study: Study) -> list[FrozenTrial]:
    """The trials that came to an end, and were not killed."""
    return [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]


def _row(trial: FrozenTrial, space: Iterable[str]) -> list[str]:
    used = _short(trial.params)
    said = [used.get(name, "") for name in space]
    values = ["" if trial.value is None else trial.value, *said]
    return [
        str(trial.number),
        trial.state.name.lower(),
        *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values),
    ]


def words_of(options: Any) -> list[str]:
    """The words of a command line that say what of ``options`` differs from the defaults."""
    words: list[str] = []
    for name, hint, each, how in by_group(type(options)):
        if (value := getattr(options, name)) != each.default:
            said = spelt(name, hint, how, value)
            words = [*said, *words] if how.positional else [*words, *said]
    return words
