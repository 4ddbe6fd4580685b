import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.codec import Codec, Dense, Message, Quantize, Sign, decode, encode, payload_bytes
from fl_sim.method import REGISTRY
from fl_sim.model import Model, find_model, initial_weights
from fl_sim.weights import FloatWeights, IntWeights, floats, layer_exponents, quantized, scales

SMALL = find_model("4x4x1:conv2k3,fc3", 3)  # 18 and 24 weights
ODD = find_model("3x3x1:conv1k3,fc2", 2)  # 9 and 2 weights
DENSE, INT8 = Codec(Dense()), Codec(Quantize())
FORMS = (Dense(), Sign(), *(Quantize(bits=bits) for bits in range(2, 9)))


def code(form: Dense | Quantize | Sign, values: np.ndarray, model: Model = SMALL, **more: object) -> Message:
    kind = FloatWeights(values) if values.dtype == np.float32 else IntWeights(values, (0,) * len(model.layers))
    more.setdefault("exponents", (0,) * len(model.layers))
    return encode(Codec(form), model, kind, **more)[0]  # type: ignore[arg-type]


def weights(seed: int, model: Model = SMALL) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, model.parameters).astype(np.float32)


def message_bits(values: list[int], bits: int) -> bytes:
    """Twin of the packing: one bit after the other, as text."""
    text = "".join(format(value % (1 << bits), f"0{bits}b") for value in values)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


# What travels, in bytes: down and up, LeNet-5 with 62 classes (4 layers) and VGG-16 with 10 (14 layers).
FP32, EIGHT, ONE = (1_826_000, 58_862_336), (456_504, 14_715_598), (57_063, 1_839_448)
ON_THE_WIRE = {
    "floatfl": (FP32, FP32),
    "quanfl": (EIGHT, EIGHT),
    "quanfl_update": (EIGHT, EIGHT),
    "quanfl_ef": (EIGHT, EIGHT),
    "quanfl_signsgd": (FP32, ONE),
    **dict.fromkeys(("qfedavg", "qfedupdate", "qfedupdate_momentum", "qfedavg_sr"), (EIGHT, EIGHT)),
}


def test_bytes_on_the_wire_of_every_method() -> None:
    assert set(ON_THE_WIRE) == set(REGISTRY)
    lenet = find_model("lenet5", 62)
    for name, (down, up) in ON_THE_WIRE.items():
        method = REGISTRY[name]
        assert (payload_bytes(method.downlink, lenet), payload_bytes(method.uplink, lenet)) == (down[0], up[0])


@pytest.mark.parametrize(("form", "nbytes"), [(Dense(), FP32[1]), (Quantize(), EIGHT[1]), (Sign(), ONE[1])])
def test_bytes_on_the_wire_of_vgg16(form: Dense | Quantize | Sign, nbytes: int) -> None:
    assert payload_bytes(Codec(form), find_model("vgg16", 10)) == nbytes


@pytest.mark.parametrize("form", FORMS)
def test_the_bytes_said_are_the_bytes_sent(form: Dense | Quantize | Sign) -> None:
    model = find_model("lenetleaf", 62, bias=True)
    sent = code(form, initial_weights(model, np.random.default_rng(0)), model, exponents=(-8,) * 5)
    assert sent.nbytes == len(sent.payload) == payload_bytes(Codec(form), model)


def test_dense_is_little_endian_to_the_bit() -> None:
    values = np.resize(np.array([1.0, -0.0, 1e-45, np.nan, np.inf, -3.4e38], dtype=np.float32), 42)
    sent = code(Dense(), values)
    assert sent.payload[:8] == b"\x00\x00\x80\x3f\x00\x00\x00\x80"
    read = decode(DENSE, SMALL, sent)
    assert isinstance(read, FloatWeights)
    assert read.values.tobytes() == values.tobytes()


def test_mantissas_travel_as_they_are() -> None:
    values = np.resize(np.arange(-127, 128, dtype=np.int8), 42)
    sent, memory = encode(INT8, SMALL, IntWeights(values, (-9, 3)), exponents=(0, 0))
    assert memory is None
    assert sent.payload == b"\xf7\x03" + values.tobytes()
    read = decode(INT8, SMALL, sent)
    assert isinstance(read, IntWeights)
    assert read.exponents == (-9, 3)
    assert np.array_equal(read.values, values)


@pytest.mark.parametrize("codec", [DENSE, INT8])
def test_what_is_read_is_the_message_itself(codec: Codec) -> None:
    sent, _ = encode(codec, SMALL, FloatWeights(weights(0)), exponents=(-9, -9))
    read = decode(codec, SMALL, sent).values
    assert np.shares_memory(read, np.frombuffer(sent.body, dtype=np.uint8))
    assert not read.flags.writeable


@pytest.mark.parametrize(
    ("bits", "first", "payload"),
    [
        (2, [1, -1, 0, 1], "0000 71"),  # 01 11 00 01
        (3, [3, -3, 0, 1, -1, 2, -2, 1], "0000 74 1e b1"),  # 011 101 000 001 111 010 110 001
        (4, [7, -7], "0000 79"),
    ],
)
def test_packing_by_hand(bits: int, first: list[int], payload: str) -> None:
    values = np.zeros(42, dtype=np.float32)
    values[: len(first)] = first
    expected = bytes.fromhex(payload)
    assert code(Quantize(bits=bits), values).payload[: len(expected)] == expected


@given(st.integers(2, 8), st.data())
@settings(max_examples=80)
@pytest.mark.parametrize("model", [SMALL, ODD])
def test_packed_there_and_back(model: Model, bits: int, data: st.DataObject) -> None:
    most = 2 ** (bits - 1) - 1
    count, layers = model.parameters, len(model.layers)
    values = data.draw(st.lists(st.integers(-most, most), min_size=count, max_size=count))
    exponents = tuple(data.draw(st.lists(st.integers(-126, 121), min_size=layers, max_size=layers)))
    x = np.array(values) * scales(model, exponents)
    sent, _ = encode(Codec(Quantize(bits=bits)), model, FloatWeights(x.astype(np.float32)), exponents=exponents)
    assert sent.payload == np.array(exponents, dtype=np.int8).tobytes() + message_bits(values, bits)
    read = decode(Codec(Quantize(bits=bits)), model, sent)
    assert isinstance(read, IntWeights)
    assert read.values.tolist() == values
    assert read.exponents == exponents


def test_dynamic_exponents_are_those_of_what_is_sent() -> None:
    values = weights(3)
    codec = Codec(Quantize(exponents="dynamic"))
    read = decode(codec, SMALL, encode(codec, SMALL, FloatWeights(values), exponents=(9, 9))[0])
    assert isinstance(read, IntWeights)
    assert read.exponents == layer_exponents(SMALL, values) != (9, 9)
    assert np.abs(read.values).max() >= 64
    fewer = Codec(Quantize(bits=4, exponents="dynamic"))
    assert layer_exponents(SMALL, values, 4) == tuple(
        decode(fewer, SMALL, encode(fewer, SMALL, FloatWeights(values), exponents=())[0]).exponents  # type: ignore[union-attr]
    )


def test_fixed_exponents_are_the_runs() -> None:
    read = decode(INT8, SMALL, encode(INT8, SMALL, FloatWeights(weights(3)), exponents=(-6, -5))[0])
    assert isinstance(read, IntWeights)
    assert read.exponents == (-6, -5)
    assert np.array_equal(read.values, quantized(SMALL, weights(3), (-6, -5)).values)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("change", [-1, 1, 1000])
def test_a_message_of_another_length_is_refused(form: Dense | Quantize | Sign, change: int) -> None:
    good = code(form, weights(0)).payload
    bad = good[:change] if change < 0 else good + b"\0" * change
    with pytest.raises(ValueError, match=f"must have {len(good)} bytes \\(got {len(bad)}\\)"):
        decode(Codec(form), SMALL, Message(bad))
    with pytest.raises(ValueError, match="bytes"):
        decode(Codec(form), SMALL, Message(b""))


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("place", [0, 5, 41])
def test_the_lowest_mantissa_is_refused(bits: int, place: int) -> None:
    values = [0] * 42
    values[place] = -(2 ** (bits - 1))
    with pytest.raises(ValueError, match=f"mantissas must be -{2 ** (bits - 1) - 1} or more"):
        decode(Codec(Quantize(bits=bits)), SMALL, Message(b"\0\0" + message_bits(values, bits)))
    values[place] += 1
    decode(Codec(Quantize(bits=bits)), SMALL, Message(b"\0\0" + message_bits(values, bits)))


@pytest.mark.parametrize("exponent", [-128, -127, 122, 127])
def test_an_exponent_that_no_float_holds_is_refused(exponent: int) -> None:
    head = np.array([0, exponent], dtype=np.int8).tobytes()
    with pytest.raises(ValueError, match=f"exponents must be from -126 to 121 \\(got {exponent}\\)"):
        decode(INT8, SMALL, Message(head + bytes(42)))
    with pytest.raises(ValueError, match="exponents must be from -126 to 121"):
        encode(INT8, SMALL, IntWeights(np.zeros(42, dtype=np.int8), (0, exponent)), exponents=(0, 0))


@pytest.mark.parametrize("form", [Sign(), Quantize(bits=3), Quantize(bits=7)])
def test_bits_behind_the_last_number_must_be_0(form: Quantize | Sign) -> None:
    payload = bytearray(code(form, weights(1)).payload)
    payload[-1] |= 1
    with pytest.raises(ValueError, match="bits of 0"):
        decode(Codec(form), SMALL, Message(bytes(payload)))


@given(st.sampled_from(FORMS), st.sampled_from([SMALL, ODD]), st.data())
def test_any_bytes_are_refused_or_what_we_would_send(
    form: Dense | Quantize | Sign, model: Model, data: st.DataObject
) -> None:
    length = payload_bytes(Codec(form), model)
    size = data.draw(st.sampled_from([length, length, length, length - 1, length + 1, 0, 7]))
    _refused_or_ours(form, model, data.draw(st.binary(min_size=size, max_size=size)))


def test_many_random_bytes_are_refused_or_what_we_would_send() -> None:
    rng = np.random.default_rng(5)
    taken = sum(
        _refused_or_ours(form, model, rng.bytes(payload_bytes(Codec(form), model)))
        for form in FORMS
        for model in (SMALL, ODD)
        for _ in range(60)
    )
    assert taken > 100  # so that the other half of the test is not empty


def _refused_or_ours(form: Dense | Quantize | Sign, model: Model, payload: bytes) -> bool:
    codec = Codec(form)
    try:
        read = decode(codec, model, Message(payload))
    except ValueError:
        return False
    exponents = read.exponents if isinstance(read, IntWeights) else ()
    if isinstance(form, Quantize) and form.bits < 8:
        read = FloatWeights(floats(model, read))  # mantissas of fewer bits are made of floats
    assert encode(codec, model, read, exponents=exponents)[0].payload == payload
    return True


def test_signs() -> None:
    values = np.resize(np.array([0.0, -0.0, -1e-45, 1e-45, np.inf, -np.inf, 3, -3], dtype=np.float32), 42)
    sent = code(Sign(), values)
    assert sent.payload == bytes([0b11011010] * 5 + [0b11000000])
    read = decode(Codec(Sign()), SMALL, sent)
    assert isinstance(read, FloatWeights)
    assert read.values.tolist() == np.resize([1, 1, -1, 1, 1, -1, 1, -1], 42).tolist()


@pytest.mark.parametrize("form", [Sign(), Quantize(), Quantize(exponents="dynamic"), Quantize(bits=3)])
def test_what_is_no_number_is_not_rounded(form: Quantize | Sign) -> None:
    values = weights(0)
    values[7] = np.nan
    with pytest.raises(ArithmeticError, match="diverged"):
        code(form, values)


@pytest.mark.parametrize("bits", [-1, 0, 1, 9, 32])
def test_bits_that_do_not_fit_a_byte_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="bits must be from 2 to 8"):
        Quantize(bits=bits)


def test_stochastic_rounding_needs_a_generator() -> None:
    form = Quantize(rounding="stochastic")
    with pytest.raises(ValueError, match="rng must be given"):
        code(form, weights(0), exponents=(-9, -9))
    one, same, other = (
        code(form, weights(0), exponents=(-9, -9), rng=np.random.default_rng(seed)).payload for seed in (1, 1, 2)
    )
    assert one == same != other


def test_an_update_is_the_change_from_the_reference() -> None:
    codec = Codec(Dense(), update=True)
    reference = quantized(SMALL, weights(1), (-9, -9))
    trained = FloatWeights(weights(2))
    sent, _ = encode(codec, SMALL, trained, exponents=(), reference=reference)
    assert np.array_equal(decode(codec, SMALL, sent).values, trained.values - floats(SMALL, reference))
    with pytest.raises(ValueError, match="reference must be given"):
        encode(codec, SMALL, trained, exponents=())


FEEDBACK = Codec(Quantize(exponents="dynamic"), update=True, error_feedback=True)
NOISY = Codec(Quantize(rounding="stochastic", exponents="dynamic"), update=True, error_feedback=True)
COARSE = Codec(Quantize(bits=2, exponents="dynamic"), update=True, error_feedback=True)


def _sent_and_left(codec: Codec, updates: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return what arrived in all and the memory after the last."""
    rng = np.random.default_rng(0)
    arrived, memory = np.zeros(42), None
    for update in updates:
        nothing = FloatWeights(np.zeros(42, dtype=np.float32))
        sent, memory = encode(
            codec, SMALL, FloatWeights(update), exponents=(), rng=rng, reference=nothing, memory=memory
        )
        assert memory is not None
        arrived += floats(SMALL, decode(codec, SMALL, sent))
    assert memory is not None
    return arrived, memory


@pytest.mark.parametrize("codec", [FEEDBACK, NOISY, COARSE])
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_error_feedback_loses_nothing(codec: Codec, seed: int, rounds: int) -> None:
    """Sum of what was sent and the memory is the sum of the true updates: exact where float32 sums are exact."""
    rng = np.random.default_rng(seed)
    updates = [(rng.integers(-(2**14), 2**14, 42) * 2.0**-20).astype(np.float32) for _ in range(rounds)]
    arrived, memory = _sent_and_left(codec, updates)
    assert np.array_equal(arrived + memory, np.sum(updates, axis=0, dtype=np.float64))


@given(st.lists(st.lists(st.floats(-1, 1, width=32), min_size=42, max_size=42), min_size=1, max_size=4))
@settings(max_examples=60)
def test_error_feedback_of_any_updates(rows: list[list[float]]) -> None:
    updates = [np.array(row, dtype=np.float32) for row in rows]
    arrived, memory = _sent_and_left(FEEDBACK, updates)
    error = np.abs(arrived + memory - np.sum(updates, axis=0, dtype=np.float64))
    assert (error <= len(rows) * 2.0**-23).all()  # a float32 sum a round of numbers up to 2
    assert (np.abs(memory) <= 2.0**-6).all()  # half a step of at most 2^-6, for exponents up to -5


def test_without_error_feedback_a_small_update_never_arrives() -> None:
    update = np.full(42, 2.0**-12, dtype=np.float32)
    update[[0, 20]] = 1.0  # so that a step is 2^-6
    plain = Codec(FEEDBACK.form, update=True)
    nothing = FloatWeights(np.zeros(42, dtype=np.float32))
    sent, memory = encode(plain, SMALL, FloatWeights(update), exponents=(), reference=nothing)
    assert memory is None
    assert np.count_nonzero(decode(plain, SMALL, sent).values) == 2
    arrived, _ = _sent_and_left(FEEDBACK, [update] * 40)
    assert np.count_nonzero(arrived) == 42


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [41, 43])
def test_weights_of_another_model_are_not_sent(form: Dense | Quantize | Sign, length: int) -> None:
    for kind in (np.float32, np.int8):
        with pytest.raises(ValueError, match=f"weights must be the 42 of .* \\(got \\[{length}\\]\\)"):
            code(form, np.ones(length, dtype=kind))
