"""What weights in fewer bits cost a trained model, by the runtime.

  python tools/narrow.py runs/classify/model.safetensors t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz
  python tools/narrow.py runs/write/model.safetensors tinyshakespeare.txt

Of a classifier of series the share of errors, of a writer the nats a character of the last tenth of a text.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise import runtime
from statewise.runtime.network import Network


def main(model: str, data: str, labels: str = "") -> None:
    """Print a line for each dtype."""
    for dtype in ("float32", "bfloat16", "int8"):
        net = runtime.load(model, dtype=dtype)
        if labels:
            wrong, count = errors(net, images(data), Path(labels))
            print(f"{dtype:9} {wrong} of {count} wrong, {100 * (1 - wrong / count):.2f} % right")
        else:
            print(f"{dtype:9} {nats(net, Path(data).read_text(encoding='utf-8')):.4f} nats a character")


def images(path: str) -> NDArray[Any]:
    """Of an IDX file, row by row: (T, N, I)."""
    data = gzip.decompress(Path(path).read_bytes())
    n, rows, columns = np.frombuffer(data, ">u4", 3, 4)
    return np.frombuffer(data, "u1", offset=16).reshape(n, rows, columns).swapaxes(0, 1)


def errors(net: Network, x: NDArray[Any], labels: Path) -> tuple[int, int]:
    """How many are wrong, of how many."""
    y = np.frombuffer(gzip.decompress(labels.read_bytes()), "u1", offset=8)
    said = np.array([int(net.labels[k]) for k in net.run(x).argmax(-1)])
    return int((said != y).sum()), len(y)


def nats(net: Network, text: str) -> float:
    """A character of the last tenth, read as one sequence."""
    numbers = {symbol: number for number, symbol in enumerate(net.labels)}
    held_out = text[-len(text) // 10 :]
    x = np.array([numbers[symbol] for symbol in held_out])
    said = net.run(x[:-1, None])[:, 0]
    return float(-said[np.arange(len(x) - 1), x[1:]].mean())


if __name__ == "__main__":
    main(*sys.argv[1:])
