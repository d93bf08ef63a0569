"""What every test has: one thread, in the processes that it starts too, a fixed seed, and a profile for Hypothesis.

HYPOTHESIS_PROFILE=thorough searches longer, and from another seed each time.
"""

from __future__ import annotations

import os
import warnings

# Before any library counts the processors: pytest-xdist has a process for each of them already.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile("default", max_examples=400, deadline=None, derandomize=True)
settings.register_profile(
    "thorough", max_examples=4000, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

torch.set_num_threads(1)
with warnings.catch_warnings():
    # torch says once a process that oneDNN has no projections: let it be here, since warnings are errors in tests.
    warnings.simplefilter("ignore")
    torch.nn.LSTM(2, 3, proj_size=1)(torch.zeros(1, 1, 2))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
