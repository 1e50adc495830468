"""Manifests with a checksum of themselves, so that a changed bit anywhere is found."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


class Damaged(Exception):
    """These files are not what was written."""


_CANONICAL = json.JSONEncoder(sort_keys=True, indent=1)
"""The one way in which a manifest may be written."""


_BEGINNING = b'{\n "manifest": {'


def _canonical(content: Any) -> bytes:
    return _CANONICAL.encode(content).encode()


def seal(manifest: Mapping[str, Any]) -> bytes:
    """A manifest with its own checksum."""
    return _canonical({"manifest": manifest, "sha256": digest_of(_canonical(manifest))}) + b"\n"


def unseal(data: bytes) -> dict[str, Any]:
    """The manifest that was sealed.

    Raises:
        Damaged: if it is not, to the last bit, what `seal` makes.
    """
    if not data.startswith(_BEGINNING):  # quickly: there may be very many files that are none of ours
        raise Damaged("manifest: unreadable")
    try:
        content = json.loads(data.decode())  # as bytes, they might choose their own encoding
        manifest, digest = content["manifest"], content["sha256"]
        # In this order: indented, a file of a megabyte that is none of ours may be one of gigabytes.
        ours = isinstance(manifest, dict) and len(content) == 2 and _is_canonical(content, data)
        intact = ours and digest_of(_canonical(manifest)) == digest
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged("manifest: unreadable") from None
    if not intact:
        raise Damaged("manifest: checksum")
    return dict(manifest)


def _is_canonical(content: Any, data: bytes) -> bool:
    """Whether `data` is `content` as we write it, and nothing else."""
    position = 0
    for piece in _CANONICAL.iterencode(content):
        if not data.startswith(piece.encode(), position):
            return False
        position += len(piece)  # the encoder writes ASCII only
    return data[position:] == b"\n"


def digest_of(data: bytes) -> str:
    """Its SHA-256."""
    return hashlib.sha256(data).hexdigest()
