"""Forecasts that are served."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from statewise.jobs import Forecaster
from statewise.jobs.errors import InputError
from statewise.jobs.tasks.forecast.ahead import forecast_ahead, forecast_each
from statewise.jobs.tasks.forecast.model import Model
from statewise.jobs.tasks.forecast.newer import hear
from statewise.jobs.tasks.forecast.panel import read_panel
from statewise.serving.hosting import ONE
from statewise.serving.kinds.forecast import serve
from statewise.serving.limits import Limits

from .conftest import running

ROWS = 60


def rows(seed, count=ROWS):
    random = np.random.default_rng(seed)
    values = 10 + np.sin(np.arange(count) * np.pi / 6) + random.normal(size=count) / 10
    return [{"shop": shop, "month": f"{2000 + t // 12}-{1 + t % 12:02}-01", "sold": float(v) + 5 * (shop == "b")}
            for shop in "ab" for t, v in enumerate(values)]  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("forecaster") / "model.safetensors"
    told = {"time": "month", "target": "sold", "id": "shop", "season": 12, "horizon": 6}
    Forecaster(**told, ensemble=1, epochs=1, units=4).fit(pl.DataFrame(rows(0))).save(path)
    return path


def test_newer_rows_go_on_as_they_do_without_a_server(file):
    newer = rows(1)
    _, expected = Model.load(file).predict(pl.DataFrame(newer), level=[80])
    with running({"sales": file}) as server:
        status, said = server.post("sales/forecast", {"rows": newer, "level": [80]})
        again = server.post("sales/forecast", {"rows": newer, "level": [80]})
        _, about = server.ask("GET", "/v1/models/sales")
    assert status == 200
    assert again == (200, said)
    assert about["columns"] == ["shop", "month", "sold"]
    assert [each["name"] for each in said["series"]] == ["a", "b"]
    for number, each in enumerate(said["series"]):
        mine = expected[6 * number : 6 * number + 6]
        assert [each["times"][0], each["times"][-1]] == ["2005-01-01", "2005-06-01"]
        assert each["last"] == [row["sold"] for row in newer[ROWS * number : ROWS * number + ROWS]]
        np.testing.assert_allclose(each["values"], mine["forecast"], rtol=1e-6)
        assert [q["share"] for q in each["quantiles"]] == [0.1, 0.9]
        low, high = (np.array(q["values"]) for q in each["quantiles"])
        assert (low < each["values"]).all()
        assert (each["values"] < high).all()


def test_what_it_has_seen_last_and_what_can_not_be_used(file):
    with running({"sales": file}) as server:
        status, said = server.post("sales/forecast", {"horizon": 3})
        assert status == 200
        assert [each["times"][0] for each in said["series"]] == ["2005-01-01"] * 2
        for told, detail in (
            ({"rows": []}, "rows: "),
            ({"rows": [{"a": 1}]}, "no column"),
            ({"rows": [{"shop": "a", "month": "2000-01-01", "sold": "much"}]}, "sold"),
            ({"rows": [{"shop": "a", "month": "2000-01-01", "sold": [1]}]}, "rows[0].sold"),
            ({"level": [200]}, "level[0]: "),
            ({"horizon": 0}, "horizon: "),
        ):
            status, said = server.post("sales/forecast", told)
            assert (status, detail in said["detail"]) == (422, True), said


def asked(model, seed, horizon=6, more=240):
    panel = read_panel(pl.DataFrame(rows(seed, ROWS + more)), model.columns, gaps=model.plan.gaps, grid=model.grid)
    return model.encode(panel), [each.labels[len(each) :] for each in panel.series], horizon


def test_forecasts_for_several_are_those_of_each(file):
    """Clients whose series have one name and other values, ends and horizons; one has none of its own."""
    model = Model.load(file)
    together = [
        asked(model, 1),
        asked(model, 2, 3),
        (model.tails, None, 6),
        asked(model, 3, 20),
        asked(model, 1, 6, -7),
    ]
    assert hear(model, together[0][0]).stretch.any()  # what has come says something of the intervals
    for found, each in zip(forecast_each(model, together), together, strict=True):
        expected = forecast_ahead(model, *each)
        assert (found.names, found.labels) == (expected.names, expected.labels)
        np.testing.assert_array_equal(found.places, expected.places)
        np.testing.assert_allclose(found.quantiles, expected.quantiles, rtol=1e-6)
    assert forecast_each(model, []) == []


def test_one_that_is_refused_leaves_the_others_alone(file):
    served = serve(file, {}, Limits(), ONE)
    (operation,) = served.operations
    told = [operation.asked.model_validate(each) for each in ({"rows": rows(1)}, {"rows": [{"a": 1}]}, {"horizon": 2})]
    first, refused, last = operation.compute(told)
    assert isinstance(refused, InputError)
    assert [len(each["values"]) for each in first["series"] + last["series"]] == [6, 6, 2, 2]
    np.testing.assert_allclose(first["series"][0]["values"], operation.compute(told[:1])[0]["series"][0]["values"])
