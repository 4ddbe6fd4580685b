"""The RSA key by which a phone knows this computer: the one adb uses already, or one of our own."""

import base64
import getpass
import os
import secrets
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from profiler.names import printable

_BITS = 2048
_LONGEST_FILE = 1 << 16


@dataclass(frozen=True)
class Key:
    """A private key in PEM (PKCS #8), and the line a phone stores and shows when it is asked to trust it."""

    path: Path
    private: str = field(repr=False)
    public: str


def find_key(folder: Path | None = None) -> Key:
    """Return the key to offer: that in ``folder``, made there if need be; by default adb's own, else ours.

    adb's lies in ``~/.android``, ours in ``fedjoule`` in the user's folder of settings (``XDG_CONFIG_HOME`` or
    ``~/.config``). Raises ValueError if our own key is damaged, OSError if it cannot be stored.
    """
    if folder is None:
        with suppress(OSError, ValueError):
            return read_key(Path.home() / ".android" / "adbkey")
        settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        folder = Path(settings) / "fedjoule"
    path = folder / "adbkey"
    if not path.exists():
        _make_key(path)
    return read_key(path)


def read_key(path: Path) -> Key:
    """Return the key in a file. Raises OSError if it cannot be read, ValueError if adb could not use it."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    with open(path, "rb") as file:
        raw = file.read(_LONGEST_FILE)
    try:
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError) as error:
        message = f"{printable(path)} holds no unencrypted private key; remove it, and a new one is made"
        raise ValueError(message) from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != _BITS:
        message = f"{printable(path)} must hold an RSA key of {_BITS} bits; remove it, and a new one is made"
        raise ValueError(message)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    numbers = key.public_key().public_numbers()
    return Key(path, private, f"{public_blob(numbers.n, numbers.e)} {_owner()}")


def public_blob(modulus: int, exponent: int) -> str:
    """Return a public key as Android stores it: base64 of 32-bit words, little-endian.

        number of words, -1 / n mod 2^32, n, (2^2048)^2 mod n, e

    After ``RSAPublicKey`` in the Android Open Source Project's libcrypto_utils.
    """
    size = _BITS // 8
    inverse = -pow(modulus, -1, 1 << 32) % (1 << 32)
    square = pow(1 << _BITS, 2, modulus)
    blob = struct.pack("<2I", size // 4, inverse)
    blob += modulus.to_bytes(size, "little") + square.to_bytes(size, "little") + struct.pack("<I", exponent)
    return base64.b64encode(blob).decode()


def _make_key(path: Path) -> None:
    """Write a new key that only its owner can read. Of two processes that try at once, one wins and both use it."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.part-{secrets.token_hex(4)}")
    try:
        with open(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _owner() -> str:
    """Return who asks, as the phone shows it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "fedjoule"
    return printable(f"{user}@{socket.gethostname()}").replace(" ", "_")
