"""Feed damaged model files to the C library by libFuzzer, under sanitizers, on several instruction sets in turn.

    .venv/bin/python tools/fuzz_network.py                    100,000 files, from small networks of every op
    .venv/bin/python tools/fuzz_network.py --runs 1000000 --compiler clang++-19

Needs Clang and its runtime (Debian: ``clang-16 libclang-rt-16-dev``). What it finds is kept in build/fuzz-network, and
the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import statewise

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "fuzz-network"


class Symbols(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.recurrent = nn.Embedding(5, 3), statewise.GRU(3, 4, 2, norm=True)
        self.output = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.output(self.recurrent(self.embedding(x))[0]), -1)


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(2, 4, 3), nn.ReLU())
        self.recurrent = statewise.LSTM(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.recurrent(self.convolution(x.transpose(1, 2)).transpose(1, 2))[1][0][-1]


def networks() -> Iterator[nn.Module]:
    """Small ones, which between them have the ops."""
    yield from (statewise.RNN(2, 3), statewise.LSTM(2, 3, 2, residual=False), statewise.GRU(2, 3, bidirectional=True))
    yield from (statewise.LSTM(2, 4, proj_size=2), statewise.LSTM(2, 2, 2, residual=True, norm=True))
    yield from (statewise.GRU(2, 3, learn_initial_state=True), statewise.LSTM(2, 3).double(), statewise.LSTMCell(2, 3))
    yield from (statewise.Recurrent(cell, 2, 4) for cell in ("peephole_lstm", "mgu", "slstm", "indrnn"))
    yield from (Symbols(), Convolved())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--compiler", default="clang++-16")
    parser.add_argument("--sets", default="baseline;avx2", help="instruction sets to compile, CMake's list")
    arguments = parser.parse_args()
    if not shutil.which(arguments.compiler):
        sys.exit(f"{arguments.compiler} isn't there; --compiler names another Clang")
    build([f"-DCMAKE_CXX_COMPILER={arguments.compiler}", f"-DSTATEWISE_INSTRUCTION_SETS={arguments.sets}"])
    corpus = BUILD / "corpus"
    corpus.mkdir(exist_ok=True)
    for i, network in enumerate(networks()):
        statewise.save(network.eval(), corpus / f"seed-{i}")
        if i < 3:
            for dtype in ("int8", "bfloat16"):
                statewise.save(network.eval(), corpus / f"seed-{i}-{dtype}", dtype=dtype)
    words = {word for seed in corpus.glob("seed-*") for word in re.findall(rb'"\w+', seed.read_bytes())}
    (BUILD / "words").write_text("".join(f'{word.decode()}"\n' for word in sorted(words)))
    limits = ["-malloc_limit_mb=1024", "-rss_limit_mb=4096", "-timeout=20", "-max_len=16384"]
    command = [BUILD / "tests/kernels/cpp/fuzz_network", f"-runs={arguments.runs}", "-dict=words", *limits, corpus]
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=1"}
    return int(subprocess.run(command, cwd=BUILD, env=environment, check=False).returncode != 0)


def build(options: list[str]) -> None:
    """fuzz_network, in BUILD."""
    told = ["-G", "Ninja", "-DSTATEWISE_CPP_TESTS=ON", "-DSTATEWISE_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
    python = f"-DPython_EXECUTABLE={sys.executable}"
    subprocess.run(["cmake", "-S", ROOT, "-B", BUILD, *told, python, *options, "--log-level=WARNING"], check=True)
    subprocess.run(["cmake", "--build", BUILD, "--target", "fuzz_network"], check=True)


if __name__ == "__main__":
    sys.exit(main())
