# What module.cpp defines. An address is an int; rows are (address, distance of steps, distance of rows).
_Shape = tuple[int, bool, int, int, int, int, int, int, int, int, bool]
_Rows = tuple[int, int, int]

def cells() -> list[str]: ...
def instruction_set() -> str: ...
def instruction_sets() -> list[str]: ...
def use_instruction_set(name: str) -> None: ...
def thread_runtime() -> str: ...
def tape_bytes(shape: _Shape, masked: bool, /) -> tuple[int, int, int]: ...
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
