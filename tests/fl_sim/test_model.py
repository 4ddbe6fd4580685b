import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.model import MODELS, find_model, initial_weights
from profiler.native.model import read_model

SMALL = "6x6x2:conv3k3,pool,fc4"


@pytest.mark.parametrize(
    ("name", "classes", "bias", "parameters"),
    [
        ("lenet5", 62, False, 456_500),  # methods.md 13
        ("lenet5", 62, True, 457_132),
        ("lenet5", 10, False, 430_500),
        ("lenet5", 10, True, 431_080),
        ("lenetleaf", 62, True, 48_846),
        ("vgg16", 10, False, 14_715_584),
        ("vgg11", 10, False, 9_222_848),
        ("vggslim", 10, False, 307_040),
        ("digits", 10, False, 13_584),
    ],
)
def test_parameters(name: str, classes: int, bias: bool, parameters: int) -> None:
    model = find_model(name, classes, bias=bias)
    assert (model.parameters, model.classes) == (parameters, classes)
    assert len(initial_weights(model, np.random.default_rng(0))) == parameters


@pytest.mark.parametrize(("name", "classes"), [("lenet5", 62), ("vgg11", 10), ("vgg16", 10)])
def test_models_of_the_runner_are_the_same(name: str, classes: int) -> None:
    assert find_model(name, classes).layers == read_model(name)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("bias", [False, True])
def test_layers_fill_the_vector_in_order(name: str, bias: bool) -> None:
    model = find_model(name, 10, bias=bias)
    parts = model.split(np.arange(model.parameters, dtype=np.int32))
    assert np.array_equal(np.concatenate(parts), np.arange(model.parameters))
    for i, (part, layer) in enumerate(zip(parts, model.layers, strict=True)):
        shape = model.weight_shape(i)
        assert shape[0] == layer.outputs
        assert len(part) == np.prod(shape) + bias * layer.outputs == model.sizes[i]


def test_parts_are_views() -> None:
    model = find_model(SMALL, 4)
    values = np.zeros(model.parameters)
    model.split(values)[1][:] = 1
    assert values.sum() == model.sizes[1]


@pytest.mark.parametrize("shape", [(101,), (103,), (102, 1), (0,)])
def test_a_vector_of_another_model_is_refused(shape: tuple[int, ...]) -> None:
    model = find_model(SMALL, 4)
    assert model.parameters == 102
    with pytest.raises(ValueError, match="must be 102 numbers"):
        model.split(np.zeros(shape))


@pytest.mark.parametrize("spelling", ["VGG-16", "vgg16", "Vgg_16"])
def test_names_in_any_spelling(spelling: str) -> None:
    assert find_model(spelling, 10) == find_model("vgg16", 10)
    assert find_model(spelling, 10).name == "vgg16"


@pytest.mark.parametrize(
    ("name", "classes", "says"),
    [
        ("lenet6", 10, "'lenet6' is unknown; nearest: lenet5"),
        ("", 10, "is unknown"),
        ("\x1b[31m", 10, "'?[31m' is unknown"),
        (SMALL, 5, "ends in 4 outputs, the data set has 5 classes"),
        ("6x6x2:conv3k9,fc4", 4, "larger than what is left of the image"),
        ("6x6x2:fc4,conv3k3", 4, "a convolution after a fully connected layer"),
        ("lenet5", 0, "outputs of a fully connected layer must be from 1"),
        ("x" * 5000 + "fc", 4, "no height"),
    ],
)
def test_a_wrong_model_is_refused_in_few_words(name: str, classes: int, says: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        find_model(name, classes)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


@given(st.text(alphabet="0123456789x:,-convpolfk ", max_size=60))
def test_any_description_is_read_or_refused(text: str) -> None:
    try:
        model = find_model(text, 10)
    except ValueError:
        return
    assert model.classes == 10
    assert model.parameters == sum(model.sizes) > 0


def test_first_weights_are_xavier_uniform() -> None:
    model = find_model("lenet5", 62, bias=True)
    values = initial_weights(model, np.random.default_rng(3))
    assert values.dtype == np.float32
    fans = [(25, 25 * 20), (25 * 20, 25 * 50), (800, 500), (500, 62)]
    for i, (part, (fan_in, fan_out)) in enumerate(zip(model.split(values), fans, strict=True)):
        count = int(np.prod(model.weight_shape(i)))
        limit = np.sqrt(6 / (fan_in + fan_out))
        weights = part[:count]
        assert np.abs(weights).max() <= limit * (1 + 1e-7)
        assert np.abs(weights).max() > 0.98 * limit
        assert abs(weights.mean()) < 5 * limit / np.sqrt(3 * count)
        assert not part[count:].any()


def test_first_weights_follow_from_the_generator() -> None:
    model = find_model(SMALL, 4)
    one, same, other = (initial_weights(model, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("index", range(4))
def test_torch_knows_the_same_limits(index: int) -> None:
    torch = pytest.importorskip("torch")
    model = find_model("lenet5", 62)
    o, *rest = model.weight_shape(index)
    shape = (o, rest[-1], *rest[:-1]) if len(rest) == 3 else (o, *rest)  # torch: O, C, ky, kx
    tensor = torch.empty(shape)
    torch.nn.init.xavier_uniform_(tensor, generator=torch.Generator().manual_seed(1))
    part = model.split(initial_weights(model, np.random.default_rng(1)))[index]
    assert float(tensor.abs().max()) == pytest.approx(np.abs(part).max(), rel=0.02)
