import hashlib
import json

import pytest

from adaptax.runs.seals import Damaged, digest_of, seal, unseal

MANIFEST = {"b": 1, "a": [2.5, None], "ü": "ß"}
PLAIN = b'{\n "a": [\n  2.5,\n  null\n ],\n "b": 1,\n "\\u00fc": "\\u00df"\n}'
"""The manifest in the one way in which it may be written: names in order, one space deep, ASCII only."""
DIGEST = hashlib.sha256(PLAIN).hexdigest()
SEALED = (
    b'{\n "manifest": {\n  "a": [\n   2.5,\n   null\n  ],\n  "b": 1,\n  "\\u00fc": "\\u00df"\n },\n "sha256": "'
    + DIGEST.encode()
    + b'"\n}\n'
)


def test_the_digest_is_sha_256():
    assert digest_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_seal_by_hand():
    assert seal(MANIFEST) == SEALED
    assert seal(dict(reversed(MANIFEST.items()))) == SEALED


@pytest.mark.parametrize("manifest", [MANIFEST, {}, {"manifest": {"sha256": "x"}}, {"n": 10**30, "text": '"\n\\'}])
def test_what_was_sealed_comes_back(manifest):
    assert unseal(seal(manifest)) == manifest


def test_every_bit_counts():
    for place in range(len(SEALED)):
        for bit in range(8):
            changed = bytearray(SEALED)
            changed[place] ^= 1 << bit
            with pytest.raises(Damaged):
                unseal(bytes(changed))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "unreadable"),
        (b"{}\n", "unreadable"),
        (json.dumps({"manifest": MANIFEST, "sha256": DIGEST}).encode(), "unreadable"),
        (SEALED.decode().encode("utf-16"), "unreadable"),
        (SEALED[:-4], "unreadable"),
        (SEALED.replace(b'"sha256"', b'"sha512"'), "unreadable"),
        (b'{\n "manifest": {\n  "a": ' + 200_000 * b"[", "unreadable"),
        (json.dumps({**json.loads(SEALED), "more": 2}, sort_keys=True, indent=1).encode() + b"\n", "checksum"),
        (SEALED[:-1], "checksum"),
        (SEALED + b"\n", "checksum"),
        (SEALED.replace(b"2.5", b"2.50"), "checksum"),
        (SEALED.replace(b"\\u00fc", "ü".encode()), "checksum"),
        (SEALED.replace(b'"b": 1,', b'"b": 1,\n  "b": 1,'), "checksum"),
        (SEALED.replace(b'"b": 1', b'"b": 2'), "checksum"),
    ],
)
def test_the_same_written_otherwise_is_refused(data, says):
    with pytest.raises(Damaged, match=f"^manifest: {says}$"):
        unseal(data)
