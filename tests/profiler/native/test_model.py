"""What Python says of a description is what C says, without a network being made."""

import ctypes
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from profiler.native.library import COptions, Library, library
from profiler.native.model import MODELS, Extent, largest_batch, read_model

LENET = "28x28x1-conv20k5-pool-conv50k5-pool-fc500-fc62"
_AT = re.compile(r" at '(.*)'(; write it as .*)?", re.DOTALL)

SIZES = st.sampled_from([1, 2, 3, 5, 8, 28, 31, 32, 100, 4096, 4097, 16385, 65536, 65537, 9999999, 10000000])
NUMBERS = SIZES.map(str) | st.sampled_from(["0", "", "007", "00000005", "-1", "x", "٣"])
SMALL = st.integers(0, 6).map(str)
LAYERS = st.one_of(
    st.just("pool"),
    st.builds("conv{}k{}".format, NUMBERS, SMALL | NUMBERS),
    st.builds("conv{}k{}p{}".format, SMALL, SMALL, SMALL | st.just("")),
    st.builds("fc{}".format, NUMBERS),
    st.sampled_from(["", "relu", "conv", "poolpool", "fc", "conv3", "conv3k", " fc3"]),
)
GOOD = st.one_of(
    st.just("pool"), st.builds("conv{}k{}".format, SIZES, st.integers(1, 4)), st.builds("fc{}".format, SIZES)
)
MARKS = st.sampled_from(["-", "-", "-", ",", ":", "", "--"])


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    """Return a description that is good, nearly good, or bad."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text(alphabet="0123456789xconvkpfl-:,", max_size=30) | st.text(max_size=10))
    good = draw(st.booleans())
    sides = [draw(st.sampled_from(["1", "4", "28", "64", "4096"]) if good else NUMBERS) for _ in range(3)]
    words = draw(st.lists(GOOD if good else LAYERS, max_size=6)) + (["fc10"] if draw(st.booleans()) else [])
    text = "x".join(sides)
    for word in words:
        text += ("-" if good else draw(MARKS)) + word
    return text


def said_by_c(kernels: Library, text: str, classes: int = 0) -> str | None:
    """Return what C says against the model, None if nothing. A batch of 0 ends it before any memory is taken."""
    options = COptions(model=text.encode(), classes=classes, precision=0, batch_size=0, path=-1, threads=1)
    handle, said = ctypes.c_void_p(), ctypes.create_string_buffer(512)
    assert kernels.calls.fj_network_new(ctypes.byref(handle), ctypes.byref(options), said, 512) != 0
    reason = said.value.decode(errors="replace")
    return None if reason.startswith("batch_size: must be from 1 to") else reason


def said_by_python(text: str, classes: int = 0) -> str | None:
    try:
        read_model(text, classes)
    except ValueError as error:
        return str(error)
    return None


@given(text=descriptions().filter(lambda text: "\0" not in text))
@example(text="-".join(["1x1x1"] + ["fc1"] * 64))
@example(text="-".join(["1x1x1"] + ["fc1"] * 65))
@example(text="28x28x1-conv-fc10")
@example(text="28x28x1:conv20k5,pool,fc62")
@example(text="4096x4096x1-fc64")
@example(text="4096x4096x1-fc65")
@example(text="1x1x4096-conv65536k2-fc1")
@example(text="1x1x4096-conv65536k2p1-fc1")
@example(text="28x28x1-conv3k5p5-fc1")
@example(text="28x28x1-conv3k5p4-pool")
@example(text="2x2x1-conv1k1-pool-pool-fc1")
@example(text="8x8x1-conv1k1-pool-pool-fc1")
@example(text="8x8x1-conv1k1-pool-conv1k1-pool-fc1")
@example(text="3x3x1-conv1k3-pool-fc1")
@example(text="lenet6")
@example(text="VGG16")
@example(text="")
def test_c_and_python_agree_on_every_description_and_on_the_place_of_a_mistake(text: str) -> None:
    by_c, by_python = said_by_c(library(), text), said_by_python(text)
    assert (by_c is None) == (by_python is None), (by_c, by_python)
    if by_c is not None and by_python is not None and text.isascii():
        places = [_AT.search(said) for said in (by_c, by_python)]
        assert places[0] is not None
        assert places[1] is not None
        assert places[0][1] == places[1][1]


@pytest.mark.parametrize("name", [*MODELS, LENET])
@pytest.mark.parametrize("classes", [0, 1, 10, 62, 65536])
def test_c_and_python_agree_on_classes(name: str, classes: int) -> None:
    assert (said_by_c(library(), name, classes) is None) == (said_by_python(name, classes) is None)


def test_named_models_are_what_the_library_makes_of_them() -> None:
    from profiler.native.network import Network

    for name in MODELS:
        with Network(name, "fp32", 1) as network:
            shapes = [(each.kind, *each.in_shape, each.out_shape[2], each.kernel, each.pad) for each in network.layers]
        assert [
            (each.kind, each.h, each.w, each.c, each.outputs, each.kernel, each.pad) for each in read_model(name)
        ] == shapes


@st.composite
def small_models(draw: st.DrawFn) -> str:
    """Return a network whose INT8 sums come near the limit, at little memory."""
    if draw(st.booleans()):
        return f"{draw(st.integers(10, 90))}x{draw(st.integers(10, 90))}x1-conv1k{draw(st.integers(1, 9))}-fc2"
    side = draw(st.integers(360, 368))
    return f"{side}x{draw(st.integers(360, 368))}x1-fc2"


@given(text=small_models(), more=st.integers(-1, 1))
@example(text="136x979x1-fc2", more=0)
@example(text="155x859x1-fc2", more=0)
@example(text="136x979x1-conv1k1-fc2", more=0)
@example(text="155x859x1-conv1k1-fc2", more=0)
@example(text="2x2x1-conv33286k2-fc1", more=0)
@example(text="2x2x1-conv33287k2p1-fc1", more=0)
def test_c_and_python_agree_on_the_largest_int8_batch(text: str, more: int) -> None:
    if said_by_python(text) is not None:
        return
    most = largest_batch(read_model(text), "int8")
    batch = min(max(most + more, 1), 4096)
    options = COptions(model=text.encode(), precision=1, batch_size=batch, path=-1, threads=1)
    handle, said = ctypes.c_void_p(), ctypes.create_string_buffer(512)
    calls = library().calls
    refused = calls.fj_network_new(ctypes.byref(handle), ctypes.byref(options), said, 512) != 0
    calls.fj_network_free(handle)
    assert refused == (batch > most), said.value
    assert not refused or b"int8 sums at most 133144" in said.value


def test_largest_batches() -> None:
    found = {name: [largest_batch(read_model(name), kind) for kind in ("fp32", "int8")] for name in MODELS}
    assert found == {"lenet5": [65536, 231], "vgg11": [65536, 130], "vgg16": [65536, 130]}
    assert largest_batch(read_model("400x400x1-fc2"), "int8") == 0


def test_a_runner_of_32_bits_holds_less() -> None:
    assert read_model("1x1x1024-fc65536", word_bits=32)
    with pytest.raises(ValueError, match="more weights than fit here"):
        read_model("1x1x1025-fc65536", word_bits=32)
    # 32 x 32 places with a border of 2 on each side, 64 channels of 4 bytes: a quarter of 2^32 bytes is 3236 of them.
    assert largest_batch(read_model("vgg16"), "fp32", 32) == (2**32 - 1) // 4 // (36 * 36 * 64 * 4)


def test_an_extent_counts_as_the_kernels_do() -> None:
    layer = Extent("conv", 28, 30, 3, 20, 5, 1)
    assert (layer.out_h, layer.out_w, layer.inputs, layer.longest_sum) == (26, 28, 75, 500)
