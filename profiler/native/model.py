"""A model's description, read without building anything: the grammar and the limits of runner/kernels/model.c."""

from dataclasses import dataclass
from typing import Final, Literal, NoReturn

MODELS: Final = ("lenet5", "vgg11", "vgg16")
MOST_BATCH: Final = 65536
# What an INT8 step sums in 32 bits: places of a layer's whole batch, and products of one output.
MOST_SUMMED: Final = 133144

_LARGEST_SIDE = 4096
_MOST_OUTPUTS = 65536
_MOST_LAYERS = 64
_MOST_DIGITS = 7
_NAMED = {
    "lenet5": ("28x28x1-conv20k5-pool-conv50k5-pool-fc500", 62),
    "vgg11": (
        "32x32x3-conv64k3p1-pool-conv128k3p1-pool-conv256k3p1-conv256k3p1-pool-conv512k3p1-conv512k3p1-pool-"
        "conv512k3p1-conv512k3p1-pool",
        10,
    ),
    "vgg16": (
        "32x32x3-conv64k3p1-conv64k3p1-pool-conv128k3p1-conv128k3p1-pool-conv256k3p1-conv256k3p1-conv256k3p1-pool-"
        "conv512k3p1-conv512k3p1-conv512k3p1-pool-conv512k3p1-conv512k3p1-conv512k3p1-pool",
        10,
    ),
}


@dataclass(frozen=True)
class Extent:
    """How far a layer reaches: its input's height, width and channels, its outputs, its kernel and padding."""

    kind: Literal["conv", "fc"]
    h: int
    w: int
    c: int
    outputs: int
    kernel: int = 1
    pad: int = 0

    @property
    def out_h(self) -> int:
        """Rows of the output before a pool."""
        return 1 if self.kind == "fc" else self.h + 2 * self.pad - self.kernel + 1

    @property
    def out_w(self) -> int:
        """Columns of the output before a pool."""
        return 1 if self.kind == "fc" else self.w + 2 * self.pad - self.kernel + 1

    @property
    def inputs(self) -> int:
        """Inputs of one output."""
        return self.h * self.w * self.c if self.kind == "fc" else self.kernel * self.kernel * self.c

    @property
    def longest_sum(self) -> int:
        """Products in the longest sum of a step: forward over inputs, backward over outputs."""
        return max(self.inputs, self.kernel * self.kernel * self.outputs)

    def bytes_of_image(self) -> int:
        """Bytes of the larger of input and output for one image, with borders, as the runner lays them out."""
        if self.kind == "fc":
            return max(self.inputs * 4, _laid_out(1, 1, 0, self.outputs))
        wide = self.kernel - 1
        return max(_laid_out(self.h, self.w, self.pad, self.c), _laid_out(self.out_h, self.out_w, wide, self.outputs))


def read_model(text: str, classes: int = 0, word_bits: int = 64) -> tuple[Extent, ...]:
    """Return the layers of ``lenet5``, ``vgg11``, ``vgg16`` or a description, for a runner of 32 or 64 bits.

    ``classes`` are the outputs of a named model if not 0, and must be those of a description. Raises ValueError with
    what is wrong and where, as C reads it.
    """
    if text in _NAMED:
        body, usual = _NAMED[text]
        text, classes = f"{body}-fc{classes or usual}", 0
    layers = _Reader(text, word_bits).layers()
    if classes and classes != layers[-1].outputs:
        message = f"it ends in {layers[-1].outputs} outputs, not {classes}"
        raise ValueError(message)
    return layers


def largest_batch(layers: tuple[Extent, ...], precision: str, word_bits: int = 64) -> int:
    """Return the largest batch that the runner takes, 0 if it takes none. Memory may end before."""
    most = min(MOST_BATCH, *(((1 << word_bits) - 1) // 4 // layer.bytes_of_image() for layer in layers))
    if precision != "int8":
        return most
    if any(layer.longest_sum > MOST_SUMMED for layer in layers):
        return 0
    return min(most, *(MOST_SUMMED // (layer.out_h * layer.out_w) for layer in layers))


def _laid_out(h: int, w: int, border: int, channels: int) -> int:
    return (h + 2 * border) * (w + 2 * border) * (-(-channels // 32) * 32) * 4


class _Reader:
    """Reads a description from left to right, as model.c does."""

    def __init__(self, text: str, word_bits: int) -> None:
        self._text, self._at = text, 0
        self._most_weights = 1 << (30 if word_bits > 32 else 26)
        self._layers: list[Extent] = []
        self._pooled = False

    def layers(self) -> tuple[Extent, ...]:
        h = self._number(1, _LARGEST_SIDE, "no height of the input", "x")
        w = self._number(1, _LARGEST_SIDE, "no width of the input", "x")
        shape = h, w, self._number(1, _LARGEST_SIDE, "no channels of the input", ":-")
        while True:
            shape = self._layer(*shape)
            if not self._take(",", "-"):
                break
        if self._at < len(self._text):
            self._fail("a '-' is missing")
        if self._layers[-1].kind != "fc":
            self._fail("the last layer must be fully connected")
        return tuple(self._layers)

    def _fail(self, what: str) -> NoReturn:
        message = f"{what} at '{self._text[self._at :][:40]}'"
        raise ValueError(message)

    def _take(self, *words: str) -> bool:
        for word in words:
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return True
        return False

    def _number(self, least: int, most: int, what: str, marks: str = "") -> int:
        """Return a number; one of ``marks``, if there are any, must follow."""
        begin = self._at
        while self._at - begin < _MOST_DIGITS and self._digit():
            self._at += 1
        digits = self._text[begin : self._at]
        if not digits or self._digit() or not least <= int(digits) <= most or (marks and not self._take(*marks)):
            self._fail(what)
        return int(digits)

    def _digit(self) -> bool:
        return self._text[self._at : self._at + 1] in tuple("0123456789")  # isdigit() knows others, too

    def _layer(self, h: int, w: int, c: int) -> tuple[int, int, int]:
        """Read a layer with an input of that shape; return the shape of its output."""
        if self._take("pool"):
            if not self._layers or self._layers[-1].kind != "conv" or self._pooled:
                self._fail("a pool that follows no convolution")
            if min(h, w) < 2:
                self._fail("a pool of less than 2x2")
            self._pooled = True
            return h // 2, w // 2, c
        if self._take("conv"):
            outputs = self._number(1, _MOST_OUTPUTS, "a convolution needs channels and kernel", "k")
            kernel = self._number(1, 31, "a kernel must be from 1 to 31")
            wrong = "a padding must be from 0 to the kernel less 1"
            pad = self._number(0, kernel - 1, wrong) if self._take("p") else 0
            return self._add(Extent("conv", h, w, c, outputs, kernel, pad))
        if self._take("fc"):
            outputs = self._number(1, _MOST_OUTPUTS, "outputs of a fully connected layer must be from 1 to 65536")
            return self._add(Extent("fc", h, w, c, outputs))
        self._fail("no layer is known by this name (conv, pool, fc)")

    def _add(self, layer: Extent) -> tuple[int, int, int]:
        if len(self._layers) == _MOST_LAYERS:
            self._fail(f"more than {_MOST_LAYERS} layers")
        if layer.kind == "conv" and self._layers and self._layers[-1].kind == "fc":
            self._fail("a convolution after a fully connected layer")
        if min(layer.out_h, layer.out_w) < 1:
            self._fail("the kernel is larger than what is left of the image")
        if layer.inputs * layer.outputs > self._most_weights:
            self._fail("a layer has more weights than fit here")
        self._layers.append(layer)
        self._pooled = False
        return layer.out_h, layer.out_w, layer.outputs
