"""A client's RSA key as Android writes it, and whether it has signed a token."""

import base64
import binascii
import struct
from dataclasses import dataclass

TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3
TOKEN_BYTES = 20

_WORDS = 64  # of 32 bits: 2048-bit keys, the only ones ADB knows
_BYTES = 4 * _WORDS
_BLOB_BYTES = 4 + 4 + _BYTES + _BYTES + 4
# How PKCS #1 v1.5 names SHA-1; ADB signs the token as if it were a SHA-1 digest.
_SHA1_NAME = bytes.fromhex("3021300906052b0e03021a05000414")


@dataclass(frozen=True)
class PublicKey:
    """The public half of a client's key."""

    modulus: int
    exponent: int


def parse_public_key(text: bytes) -> PublicKey:
    """Return the key in an ``adbkey.pub`` line: base64 of word count, -1/n, modulus, R^2 and exponent, then a name.

    Raises ValueError if it is none.
    """
    try:
        blob = base64.b64decode(text.rstrip(b"\0").split(None, 1)[0], validate=True)
    except (binascii.Error, IndexError) as error:
        message = f"public key is not base64: {error}"
        raise ValueError(message) from error
    if len(blob) != _BLOB_BYTES or struct.unpack_from("<I", blob)[0] != _WORDS:
        message = f"public key has {len(blob)} bytes, an Android key of 2048 bits has {_BLOB_BYTES}"
        raise ValueError(message)
    modulus = int.from_bytes(blob[8 : 8 + _BYTES], "little")
    if modulus % 2 == 0:
        message = "public key has an even modulus; no RSA key has"
        raise ValueError(message)
    return PublicKey(modulus, struct.unpack_from("<I", blob, _BLOB_BYTES - 4)[0])


def has_signed(key: PublicKey, token: bytes, signature: bytes) -> bool:
    """Return whether ``signature`` is that key's over ``token`` (RSA, PKCS #1 v1.5, the token in place of a digest)."""
    if len(signature) != _BYTES or len(token) != TOKEN_BYTES:
        return False
    opened = pow(int.from_bytes(signature, "big"), key.exponent, key.modulus).to_bytes(_BYTES, "big")
    tail = b"\x00" + _SHA1_NAME + token
    return opened == b"\x00\x01" + b"\xff" * (_BYTES - 2 - len(tail)) + tail
