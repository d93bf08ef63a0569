"""scikit-learn's own checks of the classes whose rows aren't simply numbers; ``Classifier`` has its in its own file.

They hand over tables of numbers. A ``ForecastRegressor`` takes those as series. For the classes that read texts a class
around them, here, spells the numbers out, a row as a sentence or as a line; what is checked is all the rest: arguments,
cloning, pickling, that fit changes nothing it shouldn't, gives the same twice, and that rows don't depend on others.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils.estimator_checks import parametrize_with_checks

from statewise.jobs import ForecastRegressor, Tagger, Translator, Writer

SHORT = "its table has fewer rows than a series needs, and the class says so in its own words"
ORDER = "rows are in the order of time: another order, or every other row, is another series"
NOT_OF_SERIES = {
    "check_methods_sample_order_invariance": ORDER,
    "check_methods_subset_invariance": ORDER,
    "check_n_features_in_after_fitting": SHORT,
    "check_estimators_empty_data_messages": f"no columns are no covariates, which is allowed; {SHORT}",
    "check_estimators_nan_inf": SHORT,
    "check_regressor_multioutput": SHORT,
    "check_regressors_no_decision_function": SHORT,
    "check_fit2d_1sample": SHORT,
    "check_fit2d_1feature": SHORT,
    "check_fit1d": "one column of covariates may come as (n,)",
}

NUMBERS = "it checks what is refused of a table of numbers; here they are words"
WIDTH = "sentences and lines have any length, so there is no number of features"
NOT_OF_TEXTS = {
    "check_complex_data": NUMBERS,
    "check_dtype_object": NUMBERS,
    "check_estimators_empty_data_messages": NUMBERS,
    "check_estimators_nan_inf": NUMBERS,
    "check_estimator_sparse_tag": NUMBERS,
    "check_estimator_sparse_array": NUMBERS,
    "check_estimator_sparse_matrix": NUMBERS,
    "check_fit1d": NUMBERS,
    "check_fit2d_predict1d": NUMBERS,
    "check_requires_y_none": NUMBERS,
    "check_n_features_in_after_fitting": WIDTH,
    "check_n_features_in": WIDTH,
    "check_estimators_partial_fit_n_features": WIDTH,
    "check_dataframe_column_names_consistency": WIDTH,
}
NOT_OF_SENTENCES = {"check_fit2d_1sample": "with one tag there is nothing to learn, which is said in other words"}


class Spelt:
    """The rows of a table as texts."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        return tags

    def fit(self, X, y=None):
        return super().fit(*self.spelt(X, y))

    def partial_fit(self, X, y=None):
        return super().partial_fit(*self.spelt(X, y))

    def score(self, X, y=None):
        return super().score(*self.spelt(X, y))


class TableTagger(Spelt, Tagger):
    """A row is a sentence, all of whose words have its label as their tag."""

    def spelt(self, X, y=None):
        sentences = [[f"{value:.0f}" for value in row] for row in np.asarray(X)]
        return sentences, None if y is None else [[str(label)] * len(s) for label, s in zip(y, sentences, strict=True)]

    def predict(self, X):
        return np.array([float(told[0]) for told in super().predict(self.spelt(X)[0])])

    def predict_proba(self, X):
        return np.stack([each[0] for each in super().predict_proba(self.spelt(X)[0])])


class TableTranslator(Spelt, Translator):
    """A row is a source, its label the target; what is written counts as the sum of its characters' numbers."""

    def spelt(self, X, y=None):
        texts = [" ".join(f"{value:.0f}" for value in row) for row in np.asarray(X)]
        return texts, None if y is None else [str(label) for label in y]

    def predict(self, X):
        return np.array([float(sum(map(ord, text))) for text in super().predict(self.spelt(X)[0])])


class TableWriter(Spelt, Writer):
    """A row is a line."""

    def spelt(self, X, y=None):
        return [" ".join(f"{value:.0f}" for value in row) for row in np.asarray(X)], None

    def predict_proba(self, X):
        return super().predict_proba(self.spelt(X)[0])

    def score_samples(self, X):
        if isinstance(X, str):  # the line itself: of a list the class asks for one after the other
            return super().score_samples(X)
        return np.array([each.sum() for each in super().score_samples(self.spelt(X)[0])])


REGRESSOR = ForecastRegressor(horizon=2, season=1, ensemble=1, units=2, epochs=1)
TAGGER = TableTagger(units=3, layers=1, word_size=4, character_units=2, epochs=2)
TRANSLATOR = TableTranslator(units=3, embedding=3, layers=1, epochs=1)
WRITER = TableWriter(units=4, epochs=2)


@parametrize_with_checks([REGRESSOR], expected_failed_checks=lambda _: NOT_OF_SERIES)
def test_a_forecast_regressor(estimator, check):
    check(estimator)


@parametrize_with_checks([TAGGER], expected_failed_checks=lambda _: NOT_OF_TEXTS | NOT_OF_SENTENCES)
def test_a_tagger(estimator, check):
    check(estimator)


@parametrize_with_checks([TRANSLATOR], expected_failed_checks=lambda _: NOT_OF_TEXTS)
def test_a_translator(estimator, check):
    check(estimator)


@parametrize_with_checks([WRITER], expected_failed_checks=lambda _: NOT_OF_TEXTS)
def test_a_writer(estimator, check):
    check(estimator)
