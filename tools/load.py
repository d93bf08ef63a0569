"""Puts a load of streams on ``statewise serve``, kills the server halfway, and checks every answer.

python tools/load.py                          500 streams for a minute, one kill
python tools/load.py --rate 0 --no-kill       as fast as it goes
python tools/load.py --model net.safetensors  a model of one's own: one input of values

Each stream is a websocket with input of its own; a step is sent every 1 / RATE seconds. When the server is killed
(SIGKILL) and started anew, a client connects again and repeats the request that wasn't answered. In the end every
answer is compared with what the network says to that stream's input by itself, here, in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from statewise import runtime

ROWS = 100_003  # of input, from which each stream takes its own, a prime number
STRIDE = 7919
TOLERANCE = 2e-5  # of float32: how rows lie in a batch changes the order of sums
COUNTERS = {
    "seconds": "process_cpu_seconds_total",
    "steps": r'statewise_requests_total\{model="net",operation="message",status="200"\}',
    "batches": r'statewise_batch_rows_count\{model="net"\}',
    "rows": r'statewise_batch_rows_sum\{model="net"\}',
}
PATIENCE = 120.0  # seconds for a server to come back


@dataclass
class Stream:
    """One client."""

    number: int
    name: str = ""
    y: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """From sending a step to its answer, of those that were sent when they were due."""
    late: list[float] = field(default_factory=list)
    """The same of the others: the stream had to catch up, after a start of the server."""
    again: int = 0
    """How often it has connected anew."""
    repeated: int = 0
    """Steps that the server had read, but whose answer was lost."""
    wrong: list[str] = field(default_factory=list)

    def x(self, table: np.ndarray, steps: int) -> np.ndarray:
        """Its first ``steps`` steps of input."""
        return table[(self.number * STRIDE + np.arange(steps)) % ROWS]


class Server:
    """``statewise serve`` as a process, which can be killed and started again at the same place."""

    def __init__(self, model: Path, states: Path, streams: int, *more: str) -> None:
        options = ["--streams", str(streams), "--connections", str(2 * streams + 100), "--states", str(states), *more]
        self.command = [sys.executable, "-m", "statewise", "serve", f"net={model}", *options]
        self.port = 0
        self.start()

    def start(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [*self.command, "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        said = self.process.stdout.readline()
        if "serves net" not in said:
            raise SystemExit("the server didn't start")
        self.port = int(said.split()[0].rpartition(":")[2])
        self.begun = self.told()

    def told(self) -> dict[str, float]:
        """What it says of itself: processor time, steps, batches and rows in them."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = answer.read().decode()
        found = {}
        for name, pattern in COUNTERS.items():
            value = re.search(rf"^{pattern} (\S+)$", text, re.MULTILINE)
            found[name] = float(value[1]) if value else 0.0
        return found

    def since(self) -> dict[str, float]:
        """How much that has grown since it was started last."""
        return {name: value - self.begun[name] for name, value in self.told().items()}

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


async def client(stream: Stream, server: Server, table: np.ndarray, rate: float, until: float) -> None:
    """Send steps until the time is over."""
    begin = time.monotonic()
    while time.monotonic() < until and not stream.wrong:
        with suppress(ConnectionClosed, OSError, EOFError, asyncio.TimeoutError):
            await session(stream, server, table, rate, begin, until)
            return
        stream.again += 1
        await asyncio.sleep(0.1)


async def session(stream: Stream, server: Server, table: np.ndarray, rate: float, begin: float, until: float) -> None:
    """The same as long as the connection lasts."""
    path = f"/streams/{stream.name}" if stream.name else "/streams"
    address = f"ws://127.0.0.1:{server.port}/v1/models/net{path}"
    async with connect(address, compression=None, open_timeout=PATIENCE, ping_interval=None) as socket:
        place = json.loads(await socket.recv())
        at = len(stream.y)
        if stream.name and place["steps"] not in (at, at + 1):
            stream.wrong.append(f"has read {place['steps']} steps, and has answered {at}")
            return
        stream.repeated += stream.name != "" and place["steps"] == at + 1
        stream.name = place["stream"]
        await talk(stream, socket, table, rate, begin, until)


async def talk(stream: Stream, socket, table: np.ndarray, rate: float, begin: float, until: float) -> None:
    while time.monotonic() < until:
        at, early = len(stream.y), 0.0
        if rate:
            early = begin + (at + stream.number * 0.618034 % 1) / rate - time.monotonic()
            await asyncio.sleep(min(max(0.0, early), until - time.monotonic()))
        x = table[(stream.number * STRIDE + at) % ROWS]
        sent = time.perf_counter()
        await socket.send(json.dumps({"x": [x.tolist()], "at": at}))
        said = json.loads(await socket.recv())
        if said.get("steps") != at + 1:
            stream.wrong.append(json.dumps(said)[:200])
            return
        (stream.seconds if early >= 0 else stream.late).append(time.perf_counter() - sent)
        stream.y.append(said["y"][0])


async def load(
    server: Server, streams: list[Stream], table: np.ndarray, rate: float, seconds: float, kill: bool
) -> float:
    """Run them all; for how long the server was away."""
    until, away = time.monotonic() + seconds, 0.0
    clients = [asyncio.create_task(client(each, server, table, rate, until)) for each in streams]
    if kill:
        await asyncio.sleep(seconds / 2)
        begun = time.monotonic()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        away = time.monotonic() - begun
    await asyncio.gather(*clients)
    return away


def judged(net: runtime.Network, streams: list[Stream], table: np.ndarray) -> float:
    """The largest difference between an answer and what the network says by itself."""
    lengths = np.array([len(each.y) for each in streams])
    if not lengths.any():
        raise SystemExit("no step was answered in this time")
    x = np.stack([each.x(table, lengths.max()) for each in streams], 1)
    y = net.run(x, lengths)
    return max(float(np.abs(np.array(each.y) - y[: len(each.y), n]).max()) for n, each in enumerate(streams) if each.y)


def made(path: Path) -> None:
    """A network such as one for speech: 40 features, two layers of 128 units."""
    import torch

    import statewise

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = statewise.GRU(40, 128, num_layers=2)
            self.output = torch.nn.Linear(128, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.recurrent(x)[0])

    torch.manual_seed(0)
    statewise.save(Net(), path)


def one_step(net: runtime.Network) -> float:
    """Seconds of a step of one row, without a server: the median."""
    x, state, taken = np.zeros((1, net.inputs[0][1].width), net.dtype), net.start(1), []
    for _ in range(2000):
        begun = time.perf_counter()
        _, state = net.step(x, state)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="a network's file; by default one of two layers of 128 units")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2.0, help="steps a second of each stream; 0: as fast as it goes")
    parser.add_argument("--no-kill", dest="kill", action="store_false", help="don't kill the server halfway")
    told = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        model = told.model or Path(folder) / "net.safetensors"
        if told.model is None:
            made(model)
        net = runtime.load(model)
        table = np.random.default_rng(0).standard_normal((ROWS, net.inputs[0][1].width)).astype(np.float32)
        streams = [Stream(number) for number in range(told.streams)]
        server = Server(model, Path(folder) / "states", told.streams)
        gc.freeze()  # torch's objects aren't looked through while answers are waited for
        try:
            away = asyncio.run(load(server, streams, table, told.rate, told.seconds, told.kill))
            grown = server.since()
            status = server.stop()
        finally:
            if server.process.returncode is None:
                server.kill()
        return report(net, streams, table, told, away, grown, status)


def report(
    net: runtime.Network,
    streams: list[Stream],
    table: np.ndarray,
    told: argparse.Namespace,
    away: float,
    grown: dict[str, float],
    status: int,
) -> int:
    """Print what came of it; the exit status."""
    steps, difference = sum(len(each.y) for each in streams), judged(net, streams, table)
    wrong = [f"stream {each.number}: {said}" for each in streams for said in each.wrong]
    print(f"streams                        {len(streams)}")
    print(f"steps that were answered       {steps:,} in {told.seconds:g} s: {steps / told.seconds:,.0f} a second")
    if told.kill:
        print(f"killed, and back after         {away:.1f} s; {sum(each.again > 0 for each in streams)} streams went on")
        print(f"answers lost and asked again   {sum(each.repeated for each in streams)}")
    for name, of in (("from a step to its answer", "seconds"), ("the same while it catches up", "late")):
        seconds = 1000 * np.concatenate([getattr(each, of) for each in streams])
        if len(seconds):
            said = ", ".join(f"p{100 * q:g} {np.quantile(seconds, q):.1f} ms" for q in (0.5, 0.9, 0.99, 0.999))
            print(f"{name:<30} {said} ({len(seconds):,} steps)")
    if grown["steps"]:  # since it was started last
        print(f"processor time of the server   {1000 * grown['seconds'] / grown['steps']:.3f} ms a step")
        print(f"steps computed at once         {grown['rows'] / grown['batches']:.1f} on average")
    print(f"a step by itself, no server    {1000 * one_step(net):.3f} ms")
    print(f"largest difference             {difference:.1e}, where another stream's state would make it about 1")
    print(f"wrong                          {len(wrong)}")
    for line in wrong[:10]:
        print(f"  {line}")
    if status:
        print(f"the server ended with {status}")
    return int(bool(wrong) or status != 0 or difference > TOLERANCE or min(len(each.y) for each in streams) == 0)


if __name__ == "__main__":
    sys.exit(main())
