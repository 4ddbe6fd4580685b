"""How weights become bytes on the wire, and weights again. Bytes are counted, not computed."""

import struct
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from fl_sim.model import Model
from fl_sim.weights import (
    Floats,
    FloatWeights,
    IntWeights,
    Mantissas,
    Weights,
    check_exponents,
    floats,
    layer_exponents,
    quantized,
)

Memory = Floats  # what a client's quantizer left over, for its next upload
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Message:
    """What travels: real bytes, ``head`` before ``body``. Numbers that are sent as they lie in memory are no copy."""

    body: bytes | memoryview
    head: bytes = b""

    @property
    def nbytes(self) -> int:
        """Bytes on the wire."""
        return len(self.head) + len(self.body)

    @property
    def payload(self) -> bytes:
        """All bytes, one after the other."""
        return b"".join((self.head, self.body))

    def parts(self, head: int) -> tuple[bytes, bytes | memoryview]:
        """Return the first ``head`` bytes, and the rest."""
        if len(self.head) == head:
            return self.head, self.body
        return self.payload[:head], self.payload[head:]


@dataclass(frozen=True)
class Dense:
    """Every number as a little-endian float32."""

    format = "fp32"


@dataclass(frozen=True)
class Quantize:
    """A power-of-two scale for each layer, then mantissas: per layer its exponent in a byte, then all its numbers.

    Mantissas are two's complement of ``bits`` (2 to 8), packed without gaps, the first in the highest bits of the first
    byte; what is left of the last byte is 0. ``exponents``: fixed are the run's (chosen once, from the first model),
    dynamic those of what is sent.
    """

    bits: int = 8
    rounding: Literal["nearest", "stochastic"] = "nearest"
    exponents: Literal["fixed", "dynamic"] = "fixed"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            message = f"bits must be from 2 to 8 (got {self.bits}); one bit for each number is Sign"
            raise ValueError(message)

    @property
    def format(self) -> str:
        """The payload's name in a plan."""
        return f"int{self.bits}"


@dataclass(frozen=True)
class Sign:
    """One bit for each number: whether it is 0 or above; the first is the highest of the first byte."""

    format = "sign"


@dataclass(frozen=True)
class Codec:
    """``form`` of the bytes; ``update``: what is sent is the change from the reference, not the weights.

    ``error_feedback``: the sender adds what its last message left out. The reference is always the decoded broadcast.
    """

    form: Dense | Quantize | Sign = Dense()
    update: bool = False
    error_feedback: bool = False

    @property
    def format(self) -> str:
        """The payload's name in a plan: fp32, int8, ..."""
        return self.form.format

    @property
    def draws(self) -> bool:
        """Whether it rounds stochastically, so that ``encode`` needs a generator."""
        return isinstance(self.form, Quantize) and self.form.rounding == "stochastic"


def encode(
    codec: Codec, model: Model, weights: Weights, *, exponents: tuple[int, ...], rng: np.random.Generator | None = None,
    reference: Weights | None = None, memory: Memory | None = None,
) -> tuple[Message, Memory | None]:  # fmt: skip
    """Return the message for ``weights`` and what it left over (None without error feedback).

    ``exponents`` are the run's; ``rng`` is needed for stochastic rounding, ``reference`` for an update. Mantissas are
    sent as they are by a codec of 8 bits. Raises ArithmeticError if a weight is not finite and must be rounded,
    ValueError for weights of another model and for a missing argument.
    """
    if weights.values.shape != (model.parameters,):
        message = f"weights must be the {model.parameters} of {model.name} (got {list(weights.values.shape)})"
        raise ValueError(message)
    if codec.update:
        if reference is None:
            message = "reference must be given to send an update"
            raise ValueError(message)
        weights = FloatWeights(floats(model, weights) - floats(model, reference))
    if codec.error_feedback and memory is not None:
        weights = FloatWeights(floats(model, weights) + memory)
    sent = _message(codec.form, model, weights, exponents, rng)
    if not codec.error_feedback:
        return sent, None
    return sent, floats(model, weights) - floats(model, decode(codec, model, sent))


def decode(codec: Codec, model: Model, sent: Message) -> Weights:
    """Return what a message holds: weights, or with ``codec.update`` their change (of signs: +1 and -1).

    Numbers of 8 and 32 bits are views of the message, read-only. A message that is taken is one that ``encode`` makes
    of what it holds. Raises ValueError if it has not the bytes that the model needs, a mantissa is the lowest of its
    bits (-128 of 8), an exponent is out of range, or what is left of the last byte is not 0.
    """
    form, layers, count = codec.form, len(model.sizes), model.parameters
    bits = 32 if isinstance(form, Dense) else 1 if isinstance(form, Sign) else form.bits
    head = layers if isinstance(form, Quantize) else 0
    expected = head - (-count * bits // 8)
    if sent.nbytes != expected:
        message = f"a message of {codec.format} for {model.name} must have {expected} bytes (got {sent.nbytes})"
        raise ValueError(message)
    if isinstance(form, Dense):
        return FloatWeights(np.frombuffer(sent.parts(0)[1], dtype="<f4").astype(np.float32, copy=False))
    scales, rest = sent.parts(head)
    if rest[-1] & ((1 << (-count * bits % 8)) - 1):
        message = f"a message of {codec.format} for {model.name} must end in {-count * bits % 8} bits of 0"
        raise ValueError(message)
    body = np.frombuffer(rest, dtype=np.uint8)
    if isinstance(form, Sign):
        signs = np.unpackbits(body, count=count).astype(np.float32)
        return FloatWeights(signs * 2 - 1)
    exponents = struct.unpack(f"{layers}b", scales)
    check_exponents(model, exponents)
    values = body.view(np.int8) if bits == 8 else _unpacked(body, bits, count)
    if (least := np.minimum.reduce(values)) == -(1 << (bits - 1)):
        message = f"mantissas must be {1 - (1 << (bits - 1))} or more (got {least})"
        raise ValueError(message)
    return IntWeights(values, exponents)


def payload_bytes(codec: Codec, model: Model) -> int:
    """Return the bytes of a message of this codec: those of one that is made."""
    zeros = FloatWeights(np.zeros(model.parameters, dtype=np.float32))
    rng = np.random.Generator(np.random.Philox(0))
    form = replace(codec, update=False, error_feedback=False)
    return encode(form, model, zeros, exponents=(0,) * len(model.sizes), rng=rng)[0].nbytes


def _message(
    form: Dense | Quantize | Sign, model: Model, weights: Weights, exponents: tuple[int, ...],
    rng: np.random.Generator | None,
) -> Message:  # fmt: skip
    if isinstance(form, Dense):
        return Message(_bytes_of(floats(model, weights).astype("<f4", copy=False)))
    if isinstance(form, Sign):
        values = floats(model, weights)
        if np.isnan(values).any():
            message = "a weight is no longer a number: training diverged; lower learning_rate"
            raise ArithmeticError(message)
        return Message(_bytes_of(np.packbits(values >= 0)))
    if not isinstance(weights, IntWeights) or form.bits != 8:
        if form.rounding == "stochastic" and rng is None:
            message = "rng must be given to round stochastically"
            raise ValueError(message)
        values = floats(model, weights)
        chosen = exponents if form.exponents == "fixed" else layer_exponents(model, values, form.bits)
        weights = quantized(model, values, chosen, bits=form.bits, rng=rng if form.rounding == "stochastic" else None)
    check_exponents(model, weights.exponents)
    head = struct.pack(f"{len(weights.exponents)}b", *weights.exponents)
    body = weights.values if form.bits == 8 else _packed(weights.values, form.bits)
    return Message(_bytes_of(body), head)


def _bytes_of(values: npt.NDArray[np.generic]) -> memoryview:
    """Return the bytes of numbers, read-only and where they lie."""
    return np.ascontiguousarray(values).data.cast("B").toreadonly()


def _packed(values: Mantissas, bits: int) -> Bytes:
    """Return the low ``bits`` of every mantissa without gaps: eight of them are ``bits`` bytes."""
    low = np.zeros(-(-len(values) // 8) * 8, dtype=np.uint8)
    np.bitwise_and(values.view(np.uint8), (1 << bits) - 1, out=low[: len(values)])
    words = np.zeros(len(low) // 8, dtype=">u8")
    for i in range(8):
        words |= low[i::8].astype(np.uint64) << np.uint64(bits * (7 - i))
    return words.view(np.uint8).reshape(-1, 8)[:, 8 - bits :].reshape(-1)[: -(-len(values) * bits // 8)]


def _unpacked(body: Bytes, bits: int, count: int) -> Mantissas:
    padded = np.zeros((-(-count // 8), 8), dtype=np.uint8)
    whole = np.zeros(len(padded) * bits, dtype=np.uint8)
    whole[: len(body)] = body
    padded[:, 8 - bits :] = whole.reshape(-1, bits)
    words = padded.reshape(-1).view(">u8").astype(np.uint64)
    values = np.empty((len(words), 8), dtype=np.int8)
    for i in range(8):
        values[:, i] = (words >> np.uint64(bits * (7 - i))).astype(np.uint8).view(np.int8) << (8 - bits)
    values >>= 8 - bits  # two's complement: the highest bit again
    return values.reshape(-1)[:count]
