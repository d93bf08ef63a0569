from collections.abc import Callable
from typing import Any

# What module.cpp defines. An address is an int; rows are (address, distance of steps, distance of rows).
_Shape = tuple[int, bool, int, int, int, int, int, int, int, int, bool, int]
_Rows = tuple[int, int, int]

def cells() -> list[str]: ...
def instruction_set() -> str: ...
def instruction_sets() -> list[str]: ...
def use_instruction_set(name: str) -> None: ...
def thread_runtime() -> str: ...
def tape_bytes(shape: _Shape, masked: bool, /) -> tuple[int, int, int, int]: ...
def packed_bytes(shape: _Shape, /) -> int: ...
def pack(shape: _Shape, weights: list[int], to: int, /) -> None: ...
def forward_packed(
    shape: _Shape,
    lengths: int,
    batch_sizes: int,
    packed: int,
    x: _Rows,
    y: _Rows,
    h0: int,
    c0: int,
    hn: int,
    cn: int,
    /,
) -> None: ...
def forward(
    shape: _Shape,
    lengths: int,
    batch_sizes: int,
    weights: list[int],
    masks: list[int],
    x: _Rows,
    y: _Rows,
    tape: int,
    h0: int,
    c0: int,
    hn: int,
    cn: int,
    /,
) -> None: ...
def backward(
    shape: _Shape,
    lengths: int,
    batch_sizes: int,
    weights: list[int],
    masks: list[int],
    x: _Rows,
    y: _Rows,
    tape: int,
    h0: int,
    c0: int,
    dx: _Rows,
    dy: _Rows,
    dhn: int,
    dcn: int,
    dh0: int,
    dc0: int,
    weight_gradients: list[int],
    /,
) -> None: ...

# What dlpack.cpp does.
def connect(
    tensor: type,
    parameter: type,
    exchange: object,
    empty_like: Callable[..., object],
    new_empty: Callable[..., object],
    bytes: object,
    is_neg: Callable[..., object],
    get_threads: Callable[[], int],
    grad_enabled: Callable[[], bool],
    modes: tuple[Callable[[], object], ...],
    forward_ad: dict[str, Any],
    /,
) -> bool: ...
def disconnect() -> None: ...

# What eager.cpp does.
def forward_tensors(shape: _Shape, x: object, hx: object, weights: list[Any]) -> Any: ...
def backward_tensors(
    shape: _Shape, kept: tuple[Any, ...], states: int, incoming: tuple[Any, ...], needs: tuple[bool, ...], /
) -> Any: ...
def nanoseconds_in_kernels() -> int: ...

# What frozen.cpp does.
class Frozen:
    instruction_set: str
    packed: int
    def __init__(self, shape: _Shape, weights: list[int], batch_first: bool, cell: bool, /) -> None: ...
    def watch(self, hooks: tuple[dict[Any, Any], ...], owner: dict[str, Any], /) -> None: ...
    def __call__(self, x: object, hx: object) -> Any: ...
