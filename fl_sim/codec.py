"""How weights become bytes on the wire, and weights again. Bytes are counted, not computed."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from fl_sim.model import Model
from fl_sim.weights import Floats, FloatWeights, IntWeights, Weights, floats, layer_exponents, quantized

Memory = Floats  # what a client's quantizer left over, for its next upload


@dataclass(frozen=True)
class Message:
    """What travels: real bytes."""

    payload: bytes

    @property
    def nbytes(self) -> int:
        """Bytes on the wire."""
        return len(self.payload)


@dataclass(frozen=True)
class Dense:
    """Every number as a little-endian float32."""

    format = "fp32"


@dataclass(frozen=True)
class Quantize:
    """A power-of-two scale for each layer, then ``Packed``: per layer its exponent in a byte, then its mantissas.

    ``exponents``: fixed are the run's (chosen once, from the first model), dynamic those of what is sent.
    """

    bits: int = 8
    rounding: Literal["nearest", "stochastic"] = "nearest"
    exponents: Literal["fixed", "dynamic"] = "fixed"

    @property
    def format(self) -> str:
        """The payload's name in a plan."""
        return f"int{self.bits}"


@dataclass(frozen=True)
class Sign:
    """One bit for each number: whether it is 0 or above."""

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


def encode(
    codec: Codec, model: Model, weights: Weights, *, exponents: tuple[int, ...], rng: np.random.Generator | None = None,
    reference: Weights | None = None, memory: Memory | None = None,
) -> tuple[Message, Memory | None]:  # fmt: skip
    """Return the message for ``weights`` and what it left over (None without error feedback).

    ``exponents`` are the run's; ``rng`` is needed for stochastic rounding, ``reference`` for an update.
    """
    if codec.update:
        if reference is None:
            message = "reference must be given to send an update"
            raise ValueError(message)
        weights = FloatWeights(floats(model, weights) - floats(model, reference))
        if memory is not None:
            weights = FloatWeights(weights.values + memory)
    sent = Message(_bytes(codec, model, weights, exponents, rng))
    if not codec.error_feedback:
        return sent, None
    return sent, floats(model, weights) - floats(model, _read(codec, model, sent))


def decode(codec: Codec, model: Model, sent: Message) -> Weights:
    """Return what a message holds: weights, or with ``codec.update`` their change (of signs: +1 and -1).

    Raises ValueError if it has not the bytes that the model needs or a mantissa is out of range.
    """
    return _read(codec, model, sent)


def payload_bytes(codec: Codec, model: Model) -> int:
    """Return the bytes of a message of this codec: those of one that is made."""
    zeros = FloatWeights(np.zeros(model.parameters, dtype=np.float32))
    rng = np.random.Generator(np.random.Philox(0))
    form = replace(codec, update=False, error_feedback=False)
    return encode(form, model, zeros, exponents=(0,) * len(model.layers), rng=rng)[0].nbytes


def _bytes(
    codec: Codec, model: Model, weights: Weights, exponents: tuple[int, ...], rng: np.random.Generator | None
) -> bytes:
    form = codec.form
    if isinstance(form, Dense):
        return floats(model, weights).astype("<f4", copy=False).tobytes()
    if isinstance(form, Sign):
        return np.packbits(floats(model, weights) >= 0).tobytes()
    if not isinstance(weights, IntWeights) or form.bits != 8:
        values = floats(model, weights)
        chosen = exponents if form.exponents == "fixed" else layer_exponents(model, values, form.bits)
        if form.rounding == "stochastic" and rng is None:
            message = "rng must be given to round stochastically"
            raise ValueError(message)
        weights = quantized(model, values, chosen, bits=form.bits, rng=rng if form.rounding == "stochastic" else None)
    head = np.array(weights.exponents, dtype=np.int8).tobytes()
    return head + (weights.values.tobytes() if form.bits == 8 else _packed(weights.values, form.bits))


def _read(codec: Codec, model: Model, sent: Message) -> Weights:
    form, layers, count = codec.form, len(model.layers), model.parameters
    bits = 32 if isinstance(form, Dense) else 1 if isinstance(form, Sign) else form.bits
    expected = -(-count * bits // 8) + (layers if isinstance(form, Quantize) else 0)
    if sent.nbytes != expected:
        message = f"a message for {model.name} must have {expected} bytes (got {sent.nbytes})"
        raise ValueError(message)
    if isinstance(form, Dense):
        return FloatWeights(np.frombuffer(sent.payload, dtype="<f4"))
    if isinstance(form, Sign):
        raw = np.unpackbits(np.frombuffer(sent.payload, dtype=np.uint8), count=count)
        return FloatWeights(raw.astype(np.float32) * 2 - 1)
    exponents = tuple(np.frombuffer(sent.payload, dtype=np.int8, count=layers).tolist())
    body = np.frombuffer(sent.payload, dtype=np.int8, offset=layers)
    values = body if form.bits == 8 else _unpacked(body.view(np.uint8), form.bits, count)
    if values.min(initial=0) == -(2 ** (form.bits - 1)):
        message = f"mantissas must be {-(2 ** (form.bits - 1)) + 1} or more (got {-(2 ** (form.bits - 1))})"
        raise ValueError(message)
    return IntWeights(values, exponents)


def _packed(values: npt.NDArray[np.int8], bits: int) -> bytes:
    """Return the low ``bits`` of every mantissa, the first in the highest bits of the first byte."""
    raw = np.unpackbits(values.view(np.uint8)[:, None], axis=1)[:, 8 - bits :]
    return np.packbits(raw).tobytes()


def _unpacked(body: npt.NDArray[np.uint8], bits: int, count: int) -> npt.NDArray[np.int8]:
    raw = np.unpackbits(body, count=count * bits).reshape(count, bits)
    sign = np.repeat(raw[:, :1], 8 - bits, axis=1)  # two's complement: the highest bit again
    return np.packbits(np.concatenate([sign, raw], axis=1), axis=1)[:, 0].view(np.int8)
