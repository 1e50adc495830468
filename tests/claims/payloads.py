"""Bytes that somebody may put into the place of a checkpoint's arrays: programs, bombs, and lying headers.

Nothing here is harmful where it is: each program only makes a file, whose presence shows that it was run.
"""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

BOMB = 100_000_000
"""Bytes that a small compressed file unpacks to."""


def programs(canary: Path) -> dict[str, bytes]:
    """Files that run a program when they are loaded by what is usual elsewhere; it makes the file `canary`."""
    touch = f"touch {canary}".encode()
    # By hand: opcodes of protocol 0, so that nothing here has to import what makes them.
    system = b"cos\nsystem\n(S'" + touch + b"'\ntR."
    evaluate = b"cbuiltins\neval\n(S'open(\"" + str(canary).encode() + b'", "w")\'\ntR.'
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    objects = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + system
    return {
        "serialised call of os.system": system,
        "serialised call of eval": evaluate,
        "the same with protocol 4": b"\x80\x04" + system,
        "an array of objects": objects,
        "a zip of arrays of objects": zipped({"w.npy": objects}),
        "a zip with a serialised call": zipped({"archive/data.pkl": system, "archive/version": b"3\n"}),
        "a script": b"#!/bin/sh\n" + touch + b"\n",
        "text for eval": f"__import__('os').system('touch {canary}')".encode(),
        "YAML that names a function": b"!!python/object/apply:os.system ['" + touch + b"']\n",
    }


def bombs(canary: Path) -> dict[str, bytes]:
    """Archives that write elsewhere, or unpack to very much."""
    slip = "../" * 12 + str(canary).lstrip("/")
    return {
        "a zip that leaves its folder": zipped({slip: b"x", str(canary): b"x"}),
        "a tar that leaves its folder": _tarred(slip),
        "a zip bomb": zipped({"w.npy": bytes(BOMB)}),
        "a gzip bomb": gzip.compress(bytes(BOMB), 6),
    }


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _tarred(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


def tensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file of arrays with any header; `length` is what it says that the header's is."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _one(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}}


def headers() -> dict[str, bytes]:
    """Files of arrays whose headers lie."""
    four = b"1234"
    two = {"v": _one()["w"], **_one()}
    return {
        "an empty file": b"",
        "seven bytes": b"1234567",
        "a header of 2⁶³ bytes": tensors(b"{}", length=2**63),
        "a header of 2⁶⁴ − 1 bytes": tensors(b"{}", length=2**64 - 1),
        "a header of 10⁹ bytes": tensors(b"{}", length=10**9),
        "a header of no bytes": tensors(b"", four),
        "a header that is no UTF-8": tensors(b'{"\xff\xfe":1}', four),
        "a header with NUL bytes": tensors(b'{"w\x00": \x00}', four),
        "a shape of 2⁶²": tensors(_one(shape=[2**62]), four),
        "a shape of 2³² × 2³²": tensors(_one(shape=[2**32, 2**32], data_offsets=[0, 0])),
        "a shape of 2⁶² × 0": tensors(_one(shape=[2**62, 0], data_offsets=[0, 0])),
        "a shape of 2⁶⁴ − 1 × 0": tensors(_one(shape=[2**64 - 1, 0], data_offsets=[0, 0])),
        "a negative shape": tensors(_one(shape=[-1]), four),
        "a thousand dimensions": tensors(_one(shape=[1] * 1000), four),
        "a shape that is no integer": tensors(_one(shape=[1.5]), four),
        "a shape that is NaN": tensors(b'{"w":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', four),
        "a shape that is text": tensors(_one(shape="1"), four),
        "a shape of 10⁴ digits": tensors(json.dumps(_one()).replace("[1]", f"[{'9' * 10_000}]").encode(), four),
        "overlapping arrays": tensors(two, four),
        "arrays beyond the end": tensors(_one(data_offsets=[10**9, 10**9 + 4]), four),
        "offsets of 2⁶⁴ − 1": tensors(_one(data_offsets=[2**64 - 1, 2**64 - 1]), four),
        "offsets in reverse": tensors(_one(data_offsets=[4, 0]), four),
        "negative offsets": tensors(_one(data_offsets=[-4, 0]), four),
        "a hole between arrays": tensors({**_one(), "v": _one(data_offsets=[8, 12])["w"]}, four * 3),
        "bytes that belong to no array": tensors(_one(), four * 100),
        "a name twice": tensors(b"{%b,%b}" % ((json.dumps(_one())[1:-1].encode(),) * 2), four),
        "an unknown dtype": tensors(_one(dtype="object"), four),
        "a dtype that NumPy lacks": tensors(_one(dtype="BF16", shape=[2]), four),
        "a dtype of half a byte": tensors(_one(dtype="F4", shape=[8]), four),
        "metadata of a wrong type": tensors({"__metadata__": {"a": [1]}, **_one()}, four),
        "a list for a header": tensors([_one()], four),
        "null for an array": tensors({"w": None}),
        "lists, 10⁵ deep": tensors(b"[" * 100_000),
        "objects, 10⁵ deep": tensors(b'{"a":' * 100_000),
        "10,000 arrays of no elements": tensors(
            {str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(10_000)}
        ),
        "10⁷ entries": tensors(b"[" + b"0," * 10_000_000 + b"0]"),
    }


def relabelled(good: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A good file of arrays with its header changed."""
    (length,) = struct.unpack("<Q", good[:8])
    header = json.loads(good[8 : 8 + length])
    change(header)
    return tensors(header, good[8 + length :])


def renamed(name: str) -> Callable[[dict[str, Any]], None]:
    """A change of a header: the first array has another name."""

    def change(header: dict[str, Any]) -> None:
        header[name] = header.pop(next(field for field in header if field != "__metadata__"))

    return change


NAMES = ("../../../../precious", "/etc/passwd", "__class__", "os.system", "a\n\x1b[2Jb", "x" * 100_000)
"""What an array may be called, to be taken for a path, an attribute, or a line of the terminal."""
