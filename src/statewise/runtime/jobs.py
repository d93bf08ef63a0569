"""The jobs' model files as programs: what a job's configuration says of its network, a few lines each.

A file with a tensor that no op has taken is refused, so a network that has learnt a new part is never computed without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .file import Arrays, LoadError
from .network import Network
from .tagger import Tagger
from .translator import Translator
from .writer import Writer

Content = dict[str, Any]
SHAPES, SHAPE_SIZE, CHARACTER_SIZE = 7, 5, 24  # of a tagger: how words are written, and the size of some vectors
CELLS = {"lstm": "lstm", "gru": "gru", "rnn": "rnn_tanh"}


class Job(NamedTuple):
    """How a job's model is run."""

    task: str
    """The folder of the job in ``jobs/tasks``, whose ``model.Model`` reads its files."""
    read: Callable[[Content, Arrays], tuple[Content, Arrays]] | None = None
    """From content and tensors of a model's file to those of a network's."""
    network: Callable[[Content, Arrays, int], Any] = Network


def recurrent(name: str, of: str, config: Mapping[str, Any], units: Any, **more: Any) -> Content:
    """The op of a job's recurrent layers."""
    return {"op": "recurrent", "name": name, "of": [of], "cell": CELLS[config["cell"]], "hidden_size": units, **more}


def sized(arrays: Arrays, name: str, *shape: Any) -> None:
    """Raises ``LoadError`` where the tensor ``name`` isn't there, or isn't of this size."""
    if name not in arrays:
        raise LoadError(f"there is no tensor {name}")
    if arrays[name].shape != shape:
        raise LoadError(f"expected {name} of size {shape}, got {arrays[name].shape}")


def layers(config: Mapping[str, Any], arrays: Arrays) -> int:
    """How many layers there are: no more than tensors."""
    count = config["layers"]
    if type(count) is not int or not 0 < count <= len(arrays):
        raise LoadError(f"expected {count!r:.20} layers, of which there are no weights")
    return count


def symbols(name: str, count: int) -> Content:
    """An input of numbers of so many symbols."""
    return {"name": name, "kind": "symbols", "width": count}


def classifier(
    config: Mapping[str, Any], arrays: Arrays, width: int, count: int, outputs: int, front: Sequence[Content] = ()
) -> tuple[Content, Arrays]:
    """Layers, one vector of all steps, so many ``outputs``.

    The layers read ``width`` numbers: as they are given, behind the ops ``front`` or, of ``count`` symbols, from a
    table of vectors.
    """
    net, both = "network.recurrent", config["bidirectional"]
    inputs: list[Content] = [{"name": "x", "kind": "exact" if front else "values", "width": width}]
    ops: list[Content] = list(front)
    if count:
        sized(arrays, "network.front.weight", count, width)
        inputs, ops = [symbols("x", count)], [{"op": "embedding", "name": "network.front"}]
    of = str(ops[-1].get("name", ops[-1]["op"])) if ops else "x"
    ops.append(recurrent(net, of, config, config["units"] or 1, num_layers=config["layers"], bidirectional=both))
    match config["head"]:
        case "attention":
            sized(arrays, "network.attention.0.bias", (1 + both) * (config["units"] or 1))
            ops += [
                {"op": "linear", "name": "network.attention.0"},
                {"op": "activation", "name": "tanh", "function": "tanh"},
                {"op": "linear", "name": "network.attention.2"},
                {"op": "mean", "of": ["network.attention.2", net]},
            ]
        case "last":
            ops.append({"op": "last", "bidirectional": both})
        case "mean" | "max" as head:
            ops.append({"op": head})
        case head:
            raise LoadError(f"the runtime can't run a head {head!r}")
    sized(arrays, "network.output.bias", outputs)
    return {"inputs": inputs, "ops": [*ops, {"op": "linear", "name": "network.output"}]}, arrays


def classify(content: Content, arrays: Arrays) -> tuple[Content, Arrays]:
    """Values (T, N, I), scaled, in segments; layers; one vector of all steps; what is said of that.

    The probability of each class or label, or a number.
    """
    config = content["config"]
    segment, channels = config["segment"] or 1, len(arrays["scaler.mean"])
    front: list[Content] = [{"op": "scale", "name": "scaler", "carry": config["gaps"] == "carry"}]
    front += [{"op": "segment", "size": segment}] if segment > 1 else []
    labels: list[Any] = []
    more: list[Content] = []
    match content.get("task", "classification"):
        case "classification":
            labels, more = content["classes"], [{"op": "activation", "function": "softmax"}]
        case "multilabel":
            labels, more = content["labels"], [{"op": "activation", "function": "sigmoid"}]
        case "regression":  # the output is told in so many scales from the mean
            mean, scale = content["mean"], content["scale"]
            weight, bias = (arrays[f"network.output.{name}"] * np.float64(scale) for name in ("weight", "bias"))
            arrays = arrays | {"network.output.weight": weight, "network.output.bias": bias + mean}
        case task:
            raise LoadError(f"the runtime can't run a {task}")
    told, arrays = classifier(config, arrays, channels, 0, len(labels) or 1, front)
    return told | {"ops": told["ops"] + more, "labels": labels}, arrays


def write(content: Content, arrays: Arrays) -> tuple[Content, Arrays]:
    """Numbers of symbols (T, N); layers; the logarithm of each symbol's probability to come next."""
    config, known = content["config"], content["symbols"]
    if config["tie"]:
        sized(arrays, "output.weight", len(known), config["embedding"])
        arrays = arrays | {"embedding.weight": arrays["output.weight"]}
    ops: list[Content] = [{"op": "embedding"}]
    sized(arrays, "output.bias", len(known))
    sized(arrays, "embedding.weight", len(known), config["embedding"])
    for k in range(count := layers(config, arrays)):
        units = config["embedding"] if config["tie"] and k == count - 1 else config["units"]
        ops.append(recurrent(f"recurrent.{k}", ops[-1].get("name", "embedding"), config, units))
    ops += [{"op": "linear", "name": "output"}, {"op": "activation", "function": "log_softmax"}]
    told = {"inputs": [symbols("x", len(known))], "ops": ops, "labels": known, "level": config["level"]}
    if content.get("cache") is not None:
        told["cache"] = content["cache"]
    return told | {"merges": content.get("merges", [])}, arrays


def tag(content: Content, arrays: Arrays) -> tuple[Content, Arrays]:
    """What is known of each word (T, N) as numbers, and how it is spelt as a vector; layers; the scores of the tags."""
    from ..jobs.tasks.tag.spans import grammar  # which knows no torch

    config, known = content["config"], content["vocabulary"]
    vectors, tags = known.get("vectors", []), known["tags"]
    tables = {
        "words": (1 + len(known["words"]), config["word_size"]),
        "shapes": (SHAPES, SHAPE_SIZE),
        **({"vectors": (1 + len(vectors), known["vector_size"])} if vectors else {}),
        **{f"features.{k}": (1 + len(v), config["feature_size"]) for k, v in enumerate(known["features"])},
    }
    for name, size in tables.items():
        sized(arrays, f"{name}.weight", *size)
    inputs = [symbols(f"{name} of a word", size[0]) for name, size in tables.items()]
    ops: list[Content] = [{"op": "embedding", "name": name, "of": [f"{name} of a word"]} for name in tables]
    parts, spelling = list(tables), None
    if config["character_units"]:
        sized(arrays, "characters.weight", count := 1 + len(known["characters"]), CHARACTER_SIZE)
        layer = recurrent("spelling", "characters", config, config["character_units"], bidirectional=True)
        last = {"op": "last", "bidirectional": True}
        embedding = {"op": "embedding", "name": "characters"}
        spelling = {"inputs": [symbols("letters", count)], "ops": [embedding, layer, last]}
        inputs.append({"name": "spelt", "kind": "values", "width": 2 * layer["hidden_size"]})
        parts.append("spelt")
    ops.append({"op": "concat", "of": parts})
    ops.append(recurrent("recurrent", "concat", config, config["units"], num_layers=config["layers"]))
    ops[-1]["bidirectional"] = config["bidirectional"]
    ops.append({"op": "linear", "name": "output"})
    sized(arrays, "output.bias", len(tags))
    if config["crf"] and "crf.allowed" not in arrays:
        raise LoadError("there are no scores of tags that follow each other")
    if content["strict"] and not config["crf"]:
        arrays = arrays | {"crf.allowed": np.array(grammar(tags))}
    path = {
        "inputs": [{"name": "scores", "kind": "values", "width": len(tags)}],
        "ops": [{"op": "path", "name": "crf"}],
    }
    told = {"inputs": inputs, "ops": ops, "labels": tags, "spelling": spelling, "path": path, "vocabulary": known}
    return told, arrays


def translate(content: Content, arrays: Arrays) -> tuple[Content, Arrays]:
    """An encoder in both directions, whose steps are the memory that a decoder looks at; docs of ``Translator``."""
    config, source, target = content["config"], content["source"]["symbols"], content["target"]["symbols"]
    units, count = config["units"], layers(config, arrays)
    both = recurrent("encoder", "read", config, units, num_layers=count, bidirectional=True)
    for name, side in (("read", source), ("written", target)):
        sized(arrays, f"{name}.weight", len(side), config["embedding"])
    sized(arrays, "combine.weight", config["embedding"], 3 * units)
    for name, size in (("bridge", count * units), ("combine", config["embedding"]), ("output", len(target))):
        sized(arrays, f"{name}.bias", size)
    if ("energy.weight" in arrays) != (config["attention"] == "additive"):
        raise LoadError(f"expected the weights of {config['attention']!r:.40} attention")
    encoder = {
        "inputs": [symbols("x", len(source))],
        "ops": [
            {"op": "embedding", "name": "read"},
            both,
            {"op": "linear", "name": "keys"},
            {"op": "last", "of": ["encoder"], "bidirectional": True},
            {"op": "linear", "name": "bridge"},
            {"op": "activation", "name": "begun", "function": "tanh"},
        ],
        "results": ["encoder", "keys", "begun"],
    }
    ops: list[Content] = [
        {"op": "embedding", "name": "written"},
        recurrent("decoder.0", "written", config, units),
        {"op": "attention", "values": 2 * units},
    ]
    x = "decoder.0"
    for k in range(1, count):
        ops.append({"op": "concat", "name": f"read {k}", "of": [x, "attention"]})
        ops.append(recurrent(f"decoder.{k}", f"read {k}", config, units))
        ops.append({"op": "add", "name": f"sum {k}", "of": [f"decoder.{k}", x]})
        x = f"sum {k}"
    ops += [
        {"op": "concat", "of": [x, "attention"]},
        {"op": "linear", "name": "combine"},
        {"op": "activation", "name": "tanh", "function": "tanh"},
        {"op": "linear", "name": "output"},
        {"op": "activation", "function": "log_softmax"},
    ]
    decoder = {"inputs": [symbols("x", len(target))], "ops": ops}
    named = {f"attention.{n}" if n.partition(".")[0] in ("query", "energy") else n: a for n, a in arrays.items()}
    return content | {"encoder": encoder, "decoder": decoder}, named | {"output.weight": arrays["written.weight"]}


def kept_in(dtype: str | None, content: Mapping[str, Any]) -> Content:
    """A program, or several, whose recurrent ops keep their weights in ``dtype``; None: as they are."""
    if dtype is None:
        return dict(content)
    found = {name: kept_in(dtype, value) if isinstance(value, dict) else value for name, value in content.items()}
    if isinstance(ops := content.get("ops"), list):
        found["ops"] = [op | {"dtype": dtype} if op.get("op") == "recurrent" else op for op in ops]
    return found


def draw(
    scores: Any, random: np.random.Generator, *, temperature: float = 1.0, top_k: int | None = None
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A symbol for each row, by the logarithms of the symbols' probabilities ``scores`` (N, V): (N,).

    Args:
        scores: what a writer's network gives. Minus infinity where a symbol is not to be drawn.
        random: where numbers come from.
        temperature: below 1 the likely becomes likelier; at 0 it is taken always. Default: 1.
        top_k: among so many symbols, the likeliest. Default: all.
    """
    scores = np.asarray(scores, np.float64)
    if temperature == 0:
        return np.asarray(scores.argmax(-1))
    scores = scores / temperature
    if top_k is not None and top_k < scores.shape[-1]:
        least = np.partition(scores, -top_k, axis=-1)[:, -top_k, None]
        scores = np.where(scores < least, -np.inf, scores)
    # The largest of what is said and noise of Gumbel's distribution is drawn by the probabilities.
    return np.asarray((scores + random.gumbel(size=scores.shape)).argmax(-1))


JOBS: dict[str, Job] = {
    "forecast model": Job("forecast"),
    "classification model": Job("classify", classify),
    "writing model": Job("write", write, Writer),
    "tagging model": Job("tag", tag, Tagger),
    "translation model": Job("translate", translate, Translator),
}
"""By the kind of their files."""
