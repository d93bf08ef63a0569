"""What tools/fuzz.py does to files: mutations of bytes, of lines, of JSON, of archives, tensors and graphs."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile
from typing import Any

TOKENS = (
    b"\r \n \r\n \t , ; : | \" ' # ? - _ + . / = @ @data 0 1 -1 9999999999999999999999 1e999 -1e308 1e-320 0x1"
    b" nan NaN inf null None true \xff \x00 \xef\xbb\xbf \xed\xa0\x80 \xe2\x80\xa8 \xc2\x85 \xf0\x9f\x98\x80"
    b" -DOCSTART- 1-2 1.1 2020-02-30 0000-00-00 9999-12-31 2020-13 1/2/3 2020-01-01T00:00:00Z"
).split(b" ")
NUMBERS = (0, 1, -1, 2, 3, 7, 255, 2**31, 2**31 - 1, 2**63, -(2**63), 10**7, 10**30, 0.5, -0.5, 1e300, 1e-300)
VALUES: tuple[Any, ...] = (*NUMBERS, None, True, False, "", "x", "\ud800", "a\nb", [], {}, [0], ["x"], {"a": 1})
VALUES += (float("nan"), float("inf"), -float("inf"))


def mutated_bytes(content: bytes, draw: random.Random) -> bytes:
    """``content`` with one to eight places changed."""
    found = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        at, size = draw.randrange(len(found) + 1), draw.choice((1, 1, 2, 4, 16, 64))
        other = draw.randrange(len(found) + 1)
        match draw.randrange(8):
            case 0:
                found[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                found[at : at + 1] = bytes(b ^ (1 << draw.randrange(8)) for b in found[at : at + 1])
            case 2:
                del found[at : at + size]
            case 3:
                found[at:at] = found[other : other + size]
            case 4:
                found[at:at] = draw.choice(TOKENS)
            case 5:
                token = draw.choice(TOKENS)
                found[at : at + len(token)] = token
            case 6:
                found[at : at + 4] = struct.pack(
                    draw.choice("<>") + "i", draw.choice((0, 1, -1, 255, 2**31 - 1, 65536))
                )
            case 7:
                found[at:] = b"" if draw.random() < 0.3 else found[at:]
    return bytes(found)


def mutated_lines(content: bytes, draw: random.Random) -> bytes:
    """``content`` with lines or cells changed, or bytes."""
    if draw.random() < 0.4:
        return mutated_bytes(content, draw)
    lines = content.split(b"\n")
    for _ in range(draw.choice((1, 1, 2, 4))):
        at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
        separator = draw.choice((b",", b" ", b"\t", b":"))
        match draw.randrange(8):
            case 0:
                lines[at] = b""
            case 1:
                lines[at], lines[other] = lines[other], lines[at]
            case 2:
                lines.insert(at, lines[other])
            case 3:
                del lines[at : at + draw.choice((1, 2, 50))]
                lines = lines or [b""]
            case 4:
                lines[at] += draw.choice(TOKENS)
            case 5 | 6:
                cells = lines[at].split(separator)
                cells[draw.randrange(len(cells))] = draw.choice(TOKENS)
                lines[at] = separator.join(cells)
            case 7:
                ending = draw.choice((b"\r", b"\r\n", b"\n\n", b"\x0b", b"\x0c", b"\xe2\x80\xa8"))
                return ending.join(lines)
    return b"\n".join(lines)


def mutated_gzip(content: bytes, draw: random.Random) -> bytes:
    """The packed file damaged, or what is in it."""
    if draw.random() < 0.5:
        return mutated_bytes(content, draw)
    return gzip.compress(mutated_lines(gzip.decompress(content), draw), 1)


def mutated_zip(content: bytes, draw: random.Random) -> bytes:
    """The archive damaged, or a member of it."""
    if draw.random() < 0.4:
        return mutated_bytes(content, draw)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice(list(members))
    if draw.random() < 0.2:
        members[draw.choice(("X.npy", "y.npy", "lengths.npy", "a.txt", "../y.npy"))] = members.pop(name)
    else:
        members[name] = mutated_bytes(members[name], draw)
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return found.getvalue()


def mutated_json(content: bytes, draw: random.Random) -> bytes:
    """The text damaged, or an entry of the tree that it is."""
    if draw.random() < 0.3:
        return mutated_bytes(content, draw)
    tree = json.loads(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        change_entry(tree, draw)
    return json.dumps(tree).encode()


def mutated_keras(content: bytes, draw: random.Random) -> bytes:
    """The archive damaged, or the description in it, or the weights."""
    if draw.random() < 0.3:
        return mutated_zip(content, draw)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if draw.random() < 0.5:
        members["config.json"] = mutated_json(members["config.json"], draw)
    else:
        members["model.weights.h5"] = mutated_h5(members["model.weights.h5"], draw)
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return found.getvalue()


def mutated_tensors(content: bytes, draw: random.Random) -> bytes:
    """The file damaged, or an entry of its JSON header, or a tensor."""
    import torch
    from safetensors.torch import load, save

    if draw.random() < 0.2:
        return mutated_bytes(content, draw)
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["statewise"])
    tensors = load(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if draw.random() < 0.7:
            change_entry(header if draw.random() < 0.05 else header["content"], draw)
        else:
            _change_tensor(tensors, draw, torch)
    return save({name: t.contiguous() for name, t in tensors.items()}, metadata={"statewise": json.dumps(header)})


def change_entry(content: Any, draw: random.Random) -> None:
    """Another value, or none, at some place in ``content``; places near the root come as often as those below."""
    place = content
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        if not keys:
            return
        key = draw.choice(list(keys))
        if isinstance(place[key], (dict, list)) and place[key] and draw.random() < 0.8:
            place = place[key]
            continue
        break
    choice = draw.random()
    if choice < 0.1:
        del place[key]
    elif choice < 0.2 and isinstance(place, list):
        place.append(place[key])
    elif choice < 0.25 and isinstance(place, dict):
        place["another"] = place[key]
    elif choice < 0.4 and isinstance(place[key], (int, float)):
        place[key] = (
            place[key] + draw.choice((1, -1, 2, 100)) if draw.random() < 0.5 else place[key] * draw.choice((2, -1))
        )
    elif choice < 0.5 and isinstance(place[key], str):
        place[key] = draw.choice(
            ("month", "row", "number", "gru", "rnn", "seq2seq", "segrnn", "last", "word", "long", place[key] * 2)
        )
    else:
        place[key] = draw.choice(VALUES)


def _change_tensor(tensors: dict[str, Any], draw: random.Random, torch: Any) -> None:
    if not tensors:
        return
    name = draw.choice(list(tensors))
    tensor = tensors[name]
    match draw.randrange(8):
        case 0:
            del tensors[name]
        case 1:
            tensors[name + "2"] = tensor
        case 2:
            tensors[name] = tensor.to(
                draw.choice((torch.float16, torch.float64, torch.int64, torch.bool, torch.float32))
            )
        case 3:
            tensors[name] = tensor.flatten()[: draw.choice((0, 1, 2))] if tensor.dim() else tensor[None]
        case 4:
            tensors[name] = tensor[None] if draw.random() < 0.5 else tensor.reshape(-1)
        case 5:
            tensors[name] = torch.cat([tensor, tensor]) if tensor.dim() else torch.stack([tensor, tensor])
        case _:
            if tensor.numel() and tensor.is_floating_point():
                flat = tensor.clone().reshape(-1)
                flat[draw.randrange(flat.numel())] = draw.choice((float("nan"), float("inf"), 1e38, -1e38, 0.0, -1.0))
                tensors[name] = flat.reshape(tensor.shape)


def mutated_network(content: bytes, draw: random.Random) -> bytes:
    """The file of a network damaged, or an entry of its program, or what it says of a tensor, or a number."""
    if draw.random() < 0.1:
        return mutated_bytes(content, draw)
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), bytearray(content[8 + size :])
    told = json.loads(header["__metadata__"]["statewise"])
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        what = draw.random()
        if what < 0.55:
            change_entry(told["content"], draw)
        elif what < 0.58:
            change_entry(told, draw)
        elif what < 0.68:
            change_entry(header, draw)
        elif what < 0.85:
            _change_place(header, draw)
        elif data:
            at = draw.randrange(len(data)) // 4 * 4
            data[at : at + 4] = struct.pack("<f", draw.choice(FLOATS))
    if "__metadata__" in header and isinstance(header["__metadata__"], dict):
        header["__metadata__"]["statewise"] = json.dumps(told)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


FLOATS = (float("nan"), float("inf"), 1e38, -1e38, 3.0, -1.0, 0.0, 1e-40)


def _change_place(header: dict[str, Any], draw: random.Random) -> None:
    """Tensors in each other's places, of other names, of other shapes with as many numbers."""
    names = [name for name in header if name != "__metadata__"]
    if not names:
        return
    name, other = draw.choice(names), draw.choice(names)
    entry, count = header[name], 1
    for n in entry["shape"]:
        count *= n
    match draw.randrange(5):
        case 0:
            header[name], header[other] = header[other], header[name]
        case 1:
            header[draw.choice((name + "_reverse", name.replace("l0", "l1"), name.rpartition(".")[2]))] = header.pop(
                name
            )
        case 2:
            entry["shape"] = draw.choice((entry["shape"][::-1], [count], [1, count], [count, 1], [0, count], []))
        case 3:
            half = draw.choice((2, 4, 8))
            entry["shape"] = [count // half, half] if count % half == 0 else [count]
        case 4:
            entry["dtype"] = draw.choice(("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL"))


def mutated_onnx(content: bytes, draw: random.Random) -> bytes:
    """The file damaged, or a node, a tensor, an input or an output of a graph in it."""
    from onnx import ModelProto

    if draw.random() < 0.1:
        return mutated_bytes(content, draw)
    model = ModelProto.FromString(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if draw.random() < 0.02:
            model.opset_import[0].version = draw.choice((0, 6, 7, 9, 11, 13, 17, 21, 2**62))
        graph = model.graph
        while (bodies := _bodies(graph)) and draw.random() < 0.6:
            graph = draw.choice(bodies)
        _change_graph(graph, draw)
    return bytes(model.SerializeToString())


def _bodies(graph: Any) -> list[Any]:
    return [each.g for node in graph.node for each in node.attribute if each.HasField("g")]


OPERATORS = (
    *("Identity", "Add", "Sub", "Mul", "Div", "Neg", "MatMul", "Gemm", "Relu", "Tanh", "Sigmoid", "Softmax", "Sqrt"),
    *("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Concat", "Split", "Slice", "Gather", "Shape", "Expand", "Cast"),
    *("ConstantOfShape", "Constant", "LayerNormalization", "BatchNormalization", "Conv", "ReduceMean", "ReduceMax"),
    *("ArgMax", "RNN", "GRU", "LSTM", "Scan", "Loop", "If", "Flatten", "Dropout", "Where", "Range", "Softplus"),
)


def _change_graph(graph: Any, draw: random.Random) -> None:
    what = draw.random()
    if graph.node and what < 0.65:
        _change_node(graph, draw.choice(graph.node), draw)
    elif graph.initializer and what < 0.85:
        _change_constant(draw.choice(graph.initializer), draw)
    elif what < 0.95 and (ports := [*graph.input, *graph.output]):
        _change_port(draw.choice(ports), graph, draw)
    elif graph.node:
        nodes = list(graph.node)
        at, other = draw.randrange(len(nodes)), draw.randrange(len(nodes))
        match draw.randrange(3):
            case 0:
                del nodes[at]
            case 1:
                nodes.insert(at, nodes[other])
            case 2:
                nodes[at], nodes[other] = nodes[other], nodes[at]
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def _change_node(graph: Any, node: Any, draw: random.Random) -> None:
    names = [each.name for each in (*graph.input, *graph.initializer)] + [o for n in graph.node for o in n.output]
    match draw.randrange(6):
        case 0:
            node.op_type = draw.choice(OPERATORS)
        case 1 if node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice((*names, ""))
        case 2:
            if node.input and draw.random() < 0.5:
                node.input.pop()
            else:
                node.input.append(draw.choice((*names, "")))
        case 3 if node.output:
            node.output[draw.randrange(len(node.output))] = draw.choice((*names, "", "new"))
        case 4:
            if node.output and draw.random() < 0.5:
                node.output.pop()
            else:
                node.output.append("more")
        case _:
            _change_attribute(node, draw)


def _change_attribute(node: Any, draw: random.Random) -> None:
    whole = (0, 1, -1, 2, 3, 7, 2**31, 2**62, -(2**62))
    if not node.attribute or draw.random() < 0.1:
        key = draw.choice(("axis", "axes", "perm", "direction", "layout", "hidden_size", "clip", "keepdims", "group"))
        node.attribute.add(name=key, type=2, i=draw.choice(whole))
        return
    found = draw.choice(node.attribute)
    if draw.random() < 0.15:
        node.attribute.remove(found)
    elif found.ints:
        found.ints[draw.randrange(len(found.ints))] = draw.choice(whole)
    elif found.floats:
        found.floats[draw.randrange(len(found.floats))] = draw.choice(FLOATS)
    elif found.strings:
        found.strings[draw.randrange(len(found.strings))] = draw.choice((b"Tanh", b"Relu", b"Elu", b"", b"\xff"))
    elif found.HasField("t"):
        _change_constant(found.t, draw)
    elif found.HasField("s"):
        found.s = draw.choice((b"forward", b"reverse", b"bidirectional", b"", b"\xff"))
    elif found.HasField("f"):
        found.f = draw.choice(FLOATS)
    elif found.HasField("g"):
        _change_graph(found.g, draw)
    else:
        found.i = draw.choice(whole)


def _change_constant(tensor: Any, draw: random.Random) -> None:
    match draw.randrange(6):
        case 0:
            tensor.data_type = draw.randrange(25)
        case 1 if tensor.dims:
            tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice((0, 1, -1, 2, 2**31, 2**62))
        case 2:
            tensor.dims.append(draw.choice((1, 1, 2, 2**40)))
        case 3:
            dims = list(tensor.dims)
            draw.shuffle(dims)
            tensor.dims[:] = dims
        case 4 if len(tensor.raw_data) >= 8:
            data, at = bytearray(tensor.raw_data), draw.randrange(len(tensor.raw_data)) // 8 * 8
            whole = struct.pack("<q", draw.choice((0, 1, -1, 5, 2**40, 2**62, -(2**62))))
            data[at : at + 8] = whole if tensor.data_type == 7 else struct.pack("<f", draw.choice(FLOATS)) + data[4:8]
            tensor.raw_data = bytes(data[: len(tensor.raw_data)])
        case _:
            tensor.raw_data = tensor.raw_data[: draw.randrange(len(tensor.raw_data) + 1)]


def _change_port(port: Any, graph: Any, draw: random.Random) -> None:
    told = port.type.tensor_type
    match draw.randrange(5):
        case 0:
            port.name = draw.choice(("x", "y", "lengths", "h_0", "new", *(o for n in graph.node for o in n.output)))
        case 1:
            told.elem_type = draw.choice((0, 1, 2, 6, 7, 9, 11, 16, 99))
        case 2 if told.shape.dim:
            told.shape.dim[draw.randrange(len(told.shape.dim))].dim_value = draw.choice((0, 1, -1, 3, 2**31, 2**62))
        case 3 if told.shape.dim:
            told.shape.dim.pop()
        case _:
            told.shape.dim.add(dim_value=draw.choice((1, 2, 3)))


def mutated_h5(content: bytes, draw: random.Random) -> bytes:
    """The file damaged, or an array in it of another shape, kind or name."""
    import h5py
    import numpy as np

    if draw.random() < 0.6:
        return mutated_bytes(content, draw)
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as tree:
        paths: list[str] = []
        tree.visit(paths.append)
        for _ in range(draw.choice((1, 1, 2))):
            path = draw.choice(paths)
            if path not in tree:
                continue
            other = draw.choice((*paths, "more", f"{path}2"))
            match draw.randrange(4):
                case 0:
                    del tree[path]
                case 1 if other not in tree:
                    tree.move(path, other)
                case 2:
                    del tree[path]
                    shape = draw.choice(((), (0,), (1,), (3, 4), (2**40,), (2, 3, 4)))
                    tree.create_dataset(path, shape, draw.choice(("<f4", "<f8", "<i8", "S4", "<f2")))
                case _ if isinstance(tree[path], h5py.Dataset) and tree[path].dtype.kind == "f":
                    array = np.array(tree[path])
                    if array.size:
                        array.reshape(-1)[draw.randrange(array.size)] = draw.choice(FLOATS)
                    del tree[path]
                    tree[path] = draw.choice((array, array.T, array.reshape(-1), array[None], array.astype("<f8")))
    return file.getvalue()
