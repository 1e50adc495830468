"""A graph of ONNX, node by node: for a batch of any size, whose first axis alone has a length that is not known.

What is broadcast stays as thin as it was until something needs it whole: operations entry by entry do not.
Integers of 32 bits without a sign are kept in 64 bits, as runtimes have few operations for them; so are bytes.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adaptax.core.errors import UseError, needs
from adaptax.deployment.export.walk import Walk, dtype_of, shape_of

with needs("onnx", "ONNX"):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

OPSET = 18
"""The first with bitwise operations."""
IR_VERSION = 10
BATCH = "batch"
KINDS = {
    "float32": TensorProto.FLOAT,
    "int32": TensorProto.INT32,
    "uint32": TensorProto.INT64,
    "uint8": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
"""What numbers are kept as."""
OUTSIDE = {**KINDS, "uint32": TensorProto.UINT32, "uint8": TensorProto.UINT8}
"""What they are where they come in and go out."""
NUMPY = {"float32": np.float32, "int32": np.int32, "uint32": np.int64, "uint8": np.int64, "bool": np.bool_}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A value of the graph.

    Attributes:
        name: Its name.
        dtype: What kind of numbers, as JAX calls them.
        shape: Its shape; a length may be a multiple of the batch's.
        thin: Axes along which all is the same, and the graph has one entry.
    """

    name: str
    dtype: str
    shape: tuple[Any, ...]
    thin: frozenset[int] = frozenset()


def known(length: Any) -> bool:
    """Whether a length does not depend on the batch."""
    return isinstance(length, int)


class Graph(Walk):
    """Nodes, constants and names; what operations become of them is for who derives from it."""

    target = "ONNX"

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.first: list[Any] = []
        """Nodes that stand before all others, so that loops may read them."""
        self.constants: dict[str, np.ndarray] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        self._lengths: dict[Any, str] = {}
        self._names = 0

    # Nodes.

    def name(self) -> str:
        """A name that nothing has."""
        self._names += 1
        return f"v{self._names}"

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node; the name of its output, or names."""
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any) -> str:
        """The name of an array as it is."""
        value = np.asarray(value)
        key = str(value.dtype), value.shape, value.tobytes()
        if key not in self._known:
            self._known[key] = f"c{len(self._known)}"
            self.constants[self._known[key]] = value
        return self._known[key]

    def integers(self, *numbers: int) -> str:
        """A row of integers, as places and lengths are told."""
        return self.constant(np.asarray(numbers, np.int64))

    @contextlib.contextmanager
    def inside(self) -> Iterator[list[Any]]:
        """Nodes that are made meanwhile are a loop's or a branch's."""
        kept, self.nodes = self.nodes, []
        yield self.nodes
        self.nodes = kept

    # Values.

    def tensor(self, value: Any) -> Tensor:
        """A value of the graph; what is known becomes a constant, thin if all of it is the same."""
        if isinstance(value, Tensor):
            return value
        dtype, shape = str(value.dtype), tuple(value.shape)
        kept = np.ascontiguousarray(value).astype(NUMPY[dtype]).reshape(shape)
        thin: frozenset[int] = frozenset()
        if kept.size > 1 and (kept == kept.reshape(-1)[0]).all():
            thin = frozenset(axis for axis, length in enumerate(shape) if length > 1)
            kept = kept.reshape(-1)[:1].reshape([1] * len(shape))
        return Tensor(self.constant(kept), dtype, shape, thin)

    def made(self, name: str, aval: Any, thin: frozenset[int] = frozenset()) -> Tensor:
        """What a node put out, as a value."""
        return Tensor(name, dtype_of(aval), shape_of(aval), thin)

    def full(self, value: Any) -> str:
        """The name of a value with all its entries."""
        x = self.tensor(value)
        return self.node("Expand", x.name, self.lengths(x.shape)) if x.thin else x.name

    def shaped(self, name: str, shape: Sequence[Any]) -> str:
        """The same entries in another shape."""
        unknown = [axis for axis, length in enumerate(shape) if not known(length)]
        if len(unknown) == 1 and 0 not in [x for x in shape if known(x)]:
            return self.node("Reshape", name, self.integers(*(x if known(x) else -1 for x in shape)))
        return self.node("Reshape", name, self.lengths(shape), allowzero=1)

    def cast(self, name: str, kind: int) -> str:
        """As other numbers."""
        return self.node("Cast", name, to=kind)

    # Lengths.

    def length(self, length: Any) -> str:
        """A length, as a row of one."""
        if known(length):
            return self.integers(length)
        if length not in self._lengths:
            factor = re.fullmatch(rf"(?:(\d+)\*)?{BATCH}", str(length))
            if factor is None:
                raise UseError(f"export: ONNX has no way to write down a length of {length}")
            with self.inside() as nodes:
                name = BATCH if factor[1] is None else self.node("Mul", BATCH, self.integers(int(factor[1])))
            self.first += nodes
            self._lengths[length] = name
        return self._lengths[length]

    def lengths(self, shape: Sequence[Any]) -> str:
        """A shape."""
        if all(map(known, shape)):
            return self.integers(*shape)
        key = tuple(map(str, shape))
        if key not in self._lengths:
            parts = [self.length(x) for x in shape]
            with self.inside() as nodes:
                name = self.node("Concat", *parts, axis=0)
            self.first += nodes
            self._lengths[key] = name
        return self._lengths[key]

    def counted(self, length: Any, shape: Sequence[int]) -> str:
        """0, 1, 2, ... of a length, in a shape that has no other axis."""
        if known(length):
            return self.constant(np.arange(length, dtype=np.int64).reshape(shape))
        zero, one = self.constant(np.int64(0)), self.constant(np.int64(1))
        end = self.node("Squeeze", self.length(length), self.integers(0))
        return self.node("Reshape", self.node("Range", zero, end, one), self.integers(*shape))

    # The whole.

    def written(self, inputs: Sequence[Any], outputs: Sequence[Any], name: str, about: str) -> bytes:
        """The file."""
        graph = helper.make_graph(
            [*self.first, *self.nodes], name, list(inputs), list(outputs),
            [numpy_helper.from_array(np.asarray(x), n) for n, x in self.constants.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="adaptax")
        model.ir_version, model.doc_string = IR_VERSION, about
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())
