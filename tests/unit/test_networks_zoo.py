"""Networks by name: what the zoo's are, how they are spelled, and what becomes of a name that is wrong."""

import numpy as np
import pytest
import torch

from compress.errors import UsageError
from compress.networks import describe
from compress.networks.layers import connection_mask
from compress.networks.module import build_module
from compress.networks.resolve import canonical_name, resolve

FAMILIES = "lenet-5, lenet-5-caffe, lenet-300-100, vgg-lite"
OPTIONS = "batch_norm, channels, classes, dropout, size"
EACH_ONCE = "allowed option=value, each option once, from channels, classes, size"


def _count(name: str) -> int:
    return sum(int(np.prod(shape)) for shape in describe(name).parameters().values())


@pytest.mark.parametrize(
    ("name", "parameters", "shape"),
    [
        ("lenet-5", 61_706, (1, 32, 32)),
        ("lenet-5-caffe", 431_080, (1, 28, 28)),
        ("lenet-300-100", 266_610, (1, 28, 28)),
    ],
)
def test_parameters_are_those_of_the_papers(name: str, parameters: int, shape: tuple[int, ...]) -> None:
    assert _count(name) == parameters
    assert describe(name).input_shape == shape


def test_layers_of_lenet_5_caffe_are_linear_between_convolution_and_pool() -> None:
    assert describe("lenet-5-caffe").parameters() == {
        "conv1.weight": (20, 1, 5, 5),
        "conv1.bias": (20,),
        "conv2.weight": (50, 20, 5, 5),
        "conv2.bias": (50,),
        "ip1.weight": (500, 800),
        "ip1.bias": (500,),
        "ip2.weight": (10, 500),
        "ip2.bias": (10,),
    }
    kinds = [type(layer).__name__ for layer in describe("lenet-5-caffe").layers]
    assert kinds == ["Conv2d", "Pool2d", "Conv2d", "Pool2d", "Flatten", "Linear", "Activation", "Linear"]


def test_lecuns_table_connects_c3_as_the_paper_counts_it() -> None:
    masks = describe("lenet-5(c3=lecun)").fixed_masks()
    assert list(masks) == ["c3.weight"]
    connected = masks["c3.weight"].any((2, 3))
    assert connected.sum(1).tolist() == [3] * 6 + [4] * 9 + [6]
    assert connected.sum(0).tolist() == [10] * 6
    assert len({tuple(row) for row in connected}) == 16
    assert masks["c3.weight"].sum() + 16 == 1_516
    assert describe("lenet-5").fixed_masks() == {}


def test_a_connection_mask_covers_whole_kernels() -> None:
    mask = connection_mask(((1,), (0, 1)), (2, 2, 3, 3))
    assert mask.shape == (2, 2, 3, 3)
    assert mask.any((2, 3)).tolist() == mask.all((2, 3)).tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
def test_absent_connections_stay_zero_whatever_trains_them(optimiser: type[torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    module = build_module(describe("lenet-5(c3=lecun)"))
    mask = torch.from_numpy(describe("lenet-5(c3=lecun)").fixed_masks()["c3.weight"])
    before = module.get_parameter("c3.weight").detach().clone()
    steps = optimiser(module.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(3):
        steps.zero_grad()
        module(torch.randn(8, 1, 32, 32)).pow(2).sum().backward()
        steps.step()
    after = module.get_parameter("c3.weight").detach()
    assert not after[~mask].any()
    assert (after[mask] != before[mask]).all()


def test_absent_connections_are_not_looked_at() -> None:
    module = build_module(describe("lenet-5(c3=lecun)"))
    inputs = torch.randn(2, 1, 32, 32)
    before = module(inputs)
    mask = torch.from_numpy(describe("lenet-5(c3=lecun)").fixed_masks()["c3.weight"])
    with torch.no_grad():
        module.get_parameter("c3.weight").add_(100.0 * ~mask)
    assert torch.equal(module(inputs), before)


@pytest.mark.parametrize(
    ("given", "one_form"),
    [
        ("lenet-5", "lenet-5"),
        ("lenet-5(pool=average,activation=tanh)", "lenet-5(activation=tanh,pool=average)"),
        ("lenet-5(pool=max)", "lenet-5"),
        ("lenet-5(dropout=0.50)", "lenet-5(dropout=0.5)"),
        ("vgg-lite(classes=100,batch_norm=false)", "vgg-lite(batch_norm=false,classes=100)"),
        ("torchvision:resnet18", "torchvision:resnet18"),
        ("package.module:build", "package.module:build"),
    ],
)
def test_a_name_has_one_form(given: str, one_form: str) -> None:
    assert canonical_name(given) == one_form


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lenet5", f"network: found 'lenet5', allowed {FAMILIES}, nearest: lenet-5"),
        ("", f"network: found '', allowed {FAMILIES}"),
        ("lenet-5 ", f"network: found 'lenet-5 ', allowed {FAMILIES}, nearest: lenet-5"),
        ("lenet-5(pool=max", f"network: found 'lenet-5(pool=max', allowed {FAMILIES}, nearest: lenet-5"),
        (
            "lenet-300-100(drop=0.5)",
            f"network: lenet-300-100, option: found 'drop', allowed {OPTIONS}, nearest: dropout",
        ),
        (
            "lenet-5-caffe()",
            f"network: found '' in 'lenet-5-caffe()', {EACH_ONCE}",
        ),
        (
            "lenet-5-caffe(size=28,size=32)",
            f"network: found 'size=32' in 'lenet-5-caffe(size=28,size=32)', {EACH_ONCE}",
        ),
        ("lenet-5(pool=sum)", "network: lenet-5, pool: found 'sum', allowed max, average"),
        ("lenet-5(batch_norm=1)", "network: lenet-5, batch_norm: found '1', allowed true, false"),
        ("lenet-5(classes=010)", "network: lenet-5, classes: found '010', allowed a whole number from 0 to 65536"),
        ("lenet-5(classes=65537)", "network: lenet-5, classes: found '65537', allowed a whole number from 0 to 65536"),
        ("lenet-5(classes=0)", "network: lenet-5, classes: found 0, allowed at least 1"),
        (
            "lenet-5(dropout=1.0)",
            "network: lenet-5, dropout: found '1.0', allowed a fraction from 0 to below 1, such as 0.5",
        ),
        ("lenet-5-caffe(size=30)", "network: lenet-5-caffe, size: found 30, allowed a multiple of 4 from 16"),
        ("vgg-lite(size=28)", "network: vgg-lite, size: found 28, allowed a multiple of 8"),
        (
            "torchvision:../x",
            f"network: found 'torchvision:../x', allowed {FAMILIES}, torchvision:model, or module:callable",
        ),
        ("os:system()", f"network: found 'os:system()', allowed {FAMILIES}, torchvision:model, or module:callable"),
    ],
)
def test_a_wrong_name_gets_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        canonical_name(name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "data", "resolved", "shape"),
    [
        ("lenet-5", (10, 1, 28), "lenet-5", (1, 32, 32)),
        ("lenet-5-caffe", (10, 1, 28), "lenet-5-caffe", (1, 28, 28)),
        ("lenet-5-caffe", (10, 1, 20), "lenet-5-caffe", (1, 28, 28)),
        ("lenet-300-100", (100, 3, 32), "lenet-300-100(channels=3,classes=100,size=32)", (3, 32, 32)),
        ("vgg-lite", (100, 3, 32), "vgg-lite(classes=100)", (3, 32, 32)),
        ("vgg-lite", (10, 1, 28), "vgg-lite(channels=1)", (1, 32, 32)),
        ("vgg-lite(size=40)", (10, 3, 32), "vgg-lite(size=40)", (3, 40, 40)),
        ("lenet-5(classes=4)", (4, 1, 32), "lenet-5(classes=4)", (1, 32, 32)),
    ],
)
def test_a_network_is_fitted_to_its_data(
    name: str, data: tuple[int, int, int], resolved: str, shape: tuple[int, int, int]
) -> None:
    classes, channels, size = data
    found = resolve(name, classes=classes, channels=channels, size=size)
    assert (found.name, found.input_shape, found.classes) == (resolved, shape, classes)
    assert found.graph(found.build()).zoo == resolved


def test_a_spelling_that_contradicts_the_data_gets_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        resolve("lenet-5(classes=7)", classes=10, channels=1, size=28)
    assert str(caught.value) == "network lenet-5(classes=7): found classes=7, allowed 10, as the data has"
