"""The built-in example: scikit-learn's handwritten digits, images of 8 x 8 read row by row or pixel by pixel."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from ..examples import Examples
from .content import numbered
from .pictures import as_sequences


def digits(*, pixels: bool = False) -> Examples:
    """1797 digits of 43 writers, 16 shades of grey (E. Alpaydin and C. Kaynak 1998, UCI)."""
    found = load_digits()
    sequences, picture = as_sequences(found.images.astype(np.uint8), pixels)
    labels = [str(label) for label in found.target]
    return Examples("digits", "the built-in digits", sequences, labels, numbered(len(labels)), picture=picture)
