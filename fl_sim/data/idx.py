"""IDX, the format of MNIST's files: a header of big-endian sizes, then bytes; plain, or compressed by gzip or xz."""

import lzma
import math
import zlib

import numpy as np
from numpy.typing import NDArray

ENDINGS = ("", ".gz", ".xz")

_UNSIGNED_BYTE = 8
_XZ_MEMORY_BYTES = 1 << 27  # xz files may ask for gigabytes; those of ``xz -9`` take 65 MB


def uncompressed(raw: bytes, ending: str, most_bytes: int) -> bytes:
    """Return the content of a file whose name ends in ``ending``: nothing, .gz or .xz.

    Raises ValueError for a stream that is damaged, cut short, followed by something else, or longer than
    ``most_bytes`` uncompressed.
    """
    if not ending:
        content, rest, whole = raw, b"", True
    elif ending == ".gz":
        stream = zlib.decompressobj(wbits=31)
        try:
            content = stream.decompress(raw, most_bytes + 1)
        except zlib.error as error:
            message = f"damaged gzip stream ({error})"
            raise ValueError(message) from error
        rest, whole = stream.unused_data, stream.eof
    else:
        reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
        try:
            content = reader.decompress(raw, most_bytes + 1)
        except lzma.LZMAError as error:
            message = f"damaged xz stream ({error})"
            raise ValueError(message) from error
        rest, whole = reader.unused_data, reader.eof
    if len(content) > most_bytes:
        message = f"more than the {most_bytes:,} bytes it may have uncompressed"
        raise ValueError(message)
    if not whole:
        message = f"cut short, {len(content):,} bytes could be uncompressed"
        raise ValueError(message)
    if rest:
        message = f"{len(rest):,} bytes follow the compressed stream"
        raise ValueError(message)
    return content


def read_idx(raw: bytes, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes in an IDX file, a view of ``raw``.

    Raises ValueError unless it has so many dimensions, none of them 0, and exactly the bytes that its header names.
    """
    head = 4 + 4 * dimensions
    if len(raw) < head or raw[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
        message = (
            f"not an IDX file of bytes in {dimensions} dimensions: it begins with {raw[:4].hex() or 'nothing'}, "
            f"not {bytes([0, 0, _UNSIGNED_BYTE, dimensions]).hex()}"
        )
        raise ValueError(message)
    shape = tuple(int(size) for size in np.frombuffer(raw, dtype=">u4", count=dimensions, offset=4))
    if math.prod(shape) != len(raw) - head or not all(shape):
        message = f"its header names {' x '.join(map(str, shape))} bytes, and {len(raw) - head:,} follow"
        raise ValueError(message)
    return np.frombuffer(raw, dtype=np.uint8, offset=head).reshape(shape)
