"""Laws of the graph and of names with options, over made-up networks and options."""

from typing import Any, Literal

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st

from compress.graph import graph_of_model, graph_of_network
from compress.networks.layers import Activation, BatchNorm, Conv2d, Dropout, Flatten, Layer, Linear, Network, Pool2d
from compress.spelling import defaults_of, parse, spell


@st.composite
def _networks(draw: st.DrawFn) -> Network:
    """A chain of at most two convolution blocks and two fully connected ones, of any layer there is."""
    channels = draw(st.integers(1, 3))
    size = 12
    shape = (channels, size, size)
    layers: list[Layer] = []
    for number in range(draw(st.integers(0, 2))):
        outputs, kernel = draw(st.integers(1, 4)), draw(st.sampled_from((1, 3)))
        bias = draw(st.booleans())
        layers.append(Conv2d(f"c{number}", channels, outputs, kernel, padding=kernel // 2, bias=bias))
        if draw(st.booleans()):
            layers.append(BatchNorm(f"n{number}", outputs, spatial=True))
        layers.append(Activation(f"a{number}", draw(st.sampled_from(("relu", "tanh")))))
        if draw(st.booleans()):
            layers.append(Pool2d(f"p{number}", kind=draw(st.sampled_from(("max", "average")))))
            size //= 2
        channels = outputs
    layers.append(Flatten("flat"))
    features = channels * size * size
    for number in range(draw(st.integers(1, 2))):
        outputs = draw(st.integers(1, 5))
        layers.append(Linear(f"f{number}", features, outputs, bias=draw(st.booleans())))
        if draw(st.booleans()):
            layers.append(Dropout(f"d{number}", 0.5))
        features = outputs
    return Network("made", shape, tuple(layers))


@given(network=_networks(), seed=st.integers(0, 2**32 - 1))
def test_weights_go_into_a_graph_and_come_out_again(network: Network, seed: int) -> None:
    graph = graph_of_network(network)
    assert list(graph.parameters.items()) == list(network.parameters().items())
    rng = np.random.default_rng(seed)
    weights = {name: rng.uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in graph.parameters.items()}
    model = graph.model(weights)
    onnx.checker.check_model(model, full_check=True)
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert list(found) == list(weights)
    assert all(np.array_equal(found[name], weights[name]) for name in weights)
    assert graph_of_model(model, graph.parameters) == graph


def _family(
    *, kind: Literal["a", "b"] = "a", flag: bool = False, rate: float = 0.25, count: int = 3
) -> tuple[Any, ...]:
    return kind, flag, rate, count


_REGISTRY = {"one": _family, "two-2": lambda: ()}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "kind": st.sampled_from(("a", "b")),
            "flag": st.booleans(),
            "rate": st.integers(0, 999_999).map(lambda millionths: millionths / 1_000_000),
            "count": st.integers(0, 1 << 16),
        },
    )
)
def test_a_spelling_and_its_options_are_one_and_the_same(options: dict[str, Any]) -> None:
    text = spell("one", options, _REGISTRY)
    name, found = parse("thing", text, _REGISTRY)
    assert name == "one"
    assert found == {key: value for key, value in options.items() if value != defaults_of(_family)[key]}
    assert spell(name, found, _REGISTRY) == text
    assert _family(**found) == _family(**options)
