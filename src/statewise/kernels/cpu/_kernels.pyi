from collections.abc import Callable
from enum import Enum
from typing import Any

# What bindings/module.cpp defines. See the headers beside it for what these do.

def cells() -> list[str]: ...
def instruction_set() -> str: ...
def instruction_sets() -> list[str]: ...
def computes_bfloat16() -> bool: ...
def use_instruction_set(name: str) -> None: ...
def load_cell(path: str, key: str) -> int: ...
def thread_runtime() -> str: ...
def nanoseconds_in_kernels() -> int: ...

# dlpack.hpp
def connect(
    tensor: type,
    parameter: type,
    exchange: object,
    empty_like: Callable[..., object],
    new_empty: Callable[..., object],
    bytes: object,
    is_neg: Callable[..., object],
    get_threads: Callable[[], int],
    get_precision: Callable[[], str],
    grad_enabled: Callable[[], bool],
    autocast: Callable[[], bool],
    modes: tuple[Callable[[], object], ...],
    forward_ad: dict[str, Any],
    /,
) -> bool: ...
def disconnect() -> None: ...

# operands.hpp
class Form(Enum):
    TIME_FIRST = 0
    BATCH_FIRST = 1
    STEP = 2

# eager.hpp
class Stack:
    reads_output: bool
    def __init__(
        self,
        cell: int | str,
        input_size: int,
        hidden_size: int,
        proj_size: int,
        num_layers: int,
        directions: int,
        bias: bool,
        checkpoint: int,
        num_heads: int = 1,
        zoneout: list[float] = ...,
        clip: float = 0.0,
        gradient_clip: float = 0.0,
    ) -> None: ...
    def tape_bytes(self, float64: bool, masked: bool) -> tuple[int, int, int, int]: ...
    def forward(
        self,
        form: Form,
        x: object,
        hx: object,
        weights: list[Any],
        masks: object,
        rows: object,
        bfloat16_products: bool = False,
        extras: tuple[Any, ...] | None = None,
    ) -> Any: ...
    def forward_below(
        self, form: Form, x: object, hx: object, weights: list[Any], masks: object, rows: object, tape: object
    ) -> Any: ...

class Record:
    form: Form
    states: int
    outputs: int
    masks: int
    rows: int
    def __init__(self, stack: Stack, form: Form, states: int, outputs: int, masks: int, rows: int) -> None: ...
    def backward(
        self, kept: tuple[Any, ...], incoming: tuple[Any, ...], needs: tuple[bool, ...], below: bool
    ) -> Any: ...

# stack.hpp
class Stored(Enum):
    NUMBERS = 0
    BFLOAT16 = 1
    INT8 = 2

# packed.hpp
class PackedStack:
    is_current: bool
    def __init__(self, stack: Stack, form: Form, weights: list[Any], memory: object, stored: Stored = ...) -> None: ...
    def watch(self, hooks: tuple[dict[Any, Any], ...], owner: dict[str, Any]) -> None: ...
    def __call__(self, x: object, hx: object = None, rows: object = None) -> Any: ...
    def run(self, x: object, hx: object, rows: object) -> Any: ...

# program.hpp
class Program:
    is_current: bool
    float64: bool
    whole: str
    parts: list[tuple[str, str, str, int, bool]]
    results: list[tuple[str, int]]
    def __init__(
        self,
        program: str,
        tensors: dict[str, tuple[str, Any]],
        cells: dict[str, tuple[int, list[str], list[str]]],
        threads: int = 1,
    ) -> None: ...
    def start(self, rows: int) -> tuple[tuple[Any, ...], ...]: ...
    def feed(self, x: tuple[Any, ...], state: object, lengths: object, wanted: bool) -> tuple[tuple[Any, ...], Any]: ...
    def step(self, x: object, state: object) -> tuple[Any, tuple[tuple[Any, ...], ...]] | None: ...

def op_names() -> list[str]: ...
def activation_names() -> list[str]: ...

MOST_AROUND: int
NEVER: float
