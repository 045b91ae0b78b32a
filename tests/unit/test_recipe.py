"""The recipe checks itself, in one line, and comes back from its own YAML."""

import json
from pathlib import Path
from typing import Any

import pytest

from compress.errors import UsageError
from compress.recipe.recipe import FIELDS, ContradictionError, Recipe, known_name, load_recipe, parse_bits


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sparsity": 1}, "sparsity: found 1, allowed a number at least 0 and below 1"),
        ({"sparsity": -0.1}, "sparsity: found -0.1, allowed a number at least 0 and below 1"),
        ({"sparsity": "much"}, "sparsity: found 'much', allowed a number at least 0 and below 1"),
        ({"sparsity": float("nan")}, "sparsity: found nan, allowed a number at least 0 and below 1"),
        ({"bits": 0}, "bits: found 0, allowed 1 to 8"),
        ({"bits": "9"}, "bits: found 9, allowed 1 to 8"),
        ({"bits": "conv=8,fc=12"}, "bits: found 12 for fc, allowed 1 to 8"),
        ({"bits": "conv"}, "bits: found 'conv', allowed a number, or layer=number pairs such as conv=8,fc=5"),
        ({"bits": "fc=4,fc=5"}, "bits: found 'fc=4,fc=5', allowed a number, or layer=number pairs such as conv=8,fc=5"),
        ({"rounds": 0}, "rounds: found 0, allowed a whole number at least 1 and at most 1000"),
        ({"epochs": 1.5}, "epochs: found 1.5, allowed a whole number at least 0 and at most 10000"),
        ({"half": "perhaps"}, "half: found 'perhaps', allowed true or false"),
        ({"schedule": "cubik"}, "nearest: cubic"),
        ({"prune_begin": 3, "prune_end": 2}, "prune-end: found 2 with prune-begin 3, allowed at least 3"),
        (
            {"prune_begin": 1, "prune_end": 6, "prune_frequency": 2},
            "prune-end: found 6 with prune-begin 1 and prune-frequency 2, allowed the begin plus a multiple of it",
        ),
        ({"prune_end": 2}, "rounds: found 4 from prune-begin 0 to prune-end 2, allowed at most 3, one an epoch"),
        (
            {"prune_end": 2, "rounds": 1},
            "rounds: found 1 from prune-begin 0 to prune-end 2, allowed at least 2, or no prune-end",
        ),
        (
            {"prune_end": 6, "prune_frequency": 2, "rounds": 3},
            "rounds: found 3, allowed 4, as prune-begin 0, prune-end 6 and prune-frequency 2 make",
        ),
        (
            {"prune_frequency": 2, "round_epochs": 3},
            "round-epochs: found 3 with prune-end 0 and prune-frequency 2, allowed only without the two",
        ),
        ({"prune_begin": -1}, "prune-begin: found -1, allowed a whole number at least 0 and at most 10000"),
        ({"network": "lenet5"}, "nearest: lenet-5"),
        ({"sparsty": 0.5}, "nearest: sparsity"),
    ],
)
def test_a_bad_field_is_named_with_what_is_allowed(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.of(values)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(message)
    assert caught.value.exit_code == 2


def test_a_recipe_comes_back_from_its_yaml(tmp_path: Path) -> None:
    recipe = Recipe.of({"sparsity": "0.95", "bits": "conv=8,fc=5", "seed": 7})
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), "utf-8")
    assert Recipe.of(load_recipe(path)) == recipe


def test_the_epochs_of_the_cuts() -> None:
    assert Recipe().pruning.cut_epochs() == (0, 1, 2, 3)
    assert Recipe(round_epochs=20, rounds=3).pruning.cut_epochs() == (0, 20, 40)
    assert Recipe(prune_begin=2, prune_frequency=5, rounds=3).pruning.cut_epochs() == (2, 7, 12)
    assert Recipe(prune_begin=2, prune_end=8, prune_frequency=3).pruning.cut_epochs() == (2, 5, 8)
    assert Recipe(prune_end=9).pruning.cut_epochs() == (0, 3, 6, 9)
    assert Recipe(
        schedule="one-shot", prune_begin=3, prune_end=9, prune_frequency=1, rounds=1
    ).pruning.cut_epochs() == (3,)
    assert Recipe(sparsity=0, prune_begin=3).pruning.cut_epochs() == ()


def test_groups_are_read_and_never_given() -> None:
    recipe = Recipe(epochs=3, sparsity=0.5, bits=4)
    assert (recipe.training.epochs, recipe.pruning.sparsity, recipe.sharing.bits) == (3, 0.5, {"default": 4})
    assert list(recipe.flat()) == list(FIELDS)
    assert repr(recipe).startswith("Recipe(network='lenet-5', data='mnist', seed=0, held_out=5000, ")
    with pytest.raises(UsageError) as caught:
        Recipe.of({"training": {"epochs": 3}})
    assert str(caught.value).startswith("recipe: found 'training', allowed network, data, seed, held_out, ")
    with pytest.raises(ValueError, match="recipe: found the group merging, allowed its fields: merge_layer, merge_neu"):
        Recipe(merging=recipe.merging)


def test_what_is_wrong_by_itself_is_told_before_what_does_not_go_together() -> None:
    with pytest.raises(ContradictionError) as caught:
        Recipe.of({"merge_layer": "f6"})
    assert str(caught.value) == "merge-neurons: found 0 with merge-layer f6, allowed both or neither"
    with pytest.raises(UsageError) as other:
        Recipe.of({"merge_layer": "f6", "sparsity": 2})
    assert str(other.value) == "sparsity: found 2, allowed a number at least 0 and below 1"


def test_a_recipe_is_plain_json_and_frozen() -> None:
    recipe = Recipe()
    assert json.loads(json.dumps(recipe.flat()))["bits"] == 5
    assert recipe.changed() == {}
    with pytest.raises(ValueError, match="frozen"):
        recipe.pruning.sparsity = 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n", "found no mapping of fields to values, allowed a recipe such as --dry-run prints"),
        (b"a: [\n", "found no valid YAML"),
        (b"\xff\xfe\xfd", "found no valid YAML"),
        (b"!!python/object/apply:os.system [ls]\n", "found no valid YAML"),
    ],
)
def test_a_recipe_file_that_is_none_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_missing_recipe_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(tmp_path / "none.yaml")
    assert str(caught.value) == f"{tmp_path / 'none.yaml'}: cannot be read (No such file or directory)"


def test_bits_go_to_the_layer_before_the_kind_before_the_default() -> None:
    recipe = Recipe.of({"bits": "4,conv=8,c3=6"})
    assert recipe.bits_of("c1.weight", (6, 1, 5, 5)) == 8
    assert recipe.bits_of("c3.weight", (16, 6, 5, 5)) == 6
    assert recipe.bits_of("f6.weight", (84, 120)) == 4
    assert Recipe.of({"bits": {"conv": 8}}).bits_of("f6.weight", (84, 120)) == 5


def test_parse_bits_leaves_other_types_to_the_check() -> None:
    assert parse_bits(None) is None
    assert parse_bits(True) is True


def test_known_name_without_a_near_one() -> None:
    with pytest.raises(UsageError) as caught:
        known_name("target", "qqqq", ("onnx", "c"))
    assert str(caught.value) == "target: found 'qqqq', allowed onnx, c"


def test_a_network_may_have_learning_rates_of_its_own() -> None:
    caffe = Recipe.of({"network": "lenet-5-caffe", "seed": 1})
    assert (caffe.training.learning_rate, caffe.pruning.retrain_learning_rate) == (0.05, 0.02)
    assert caffe == Recipe.of(caffe.flat()) == Recipe.of(caffe.changed())
    assert "learning_rate" not in caffe.changed()
    given = Recipe.of({"network": "lenet-5-caffe", "learning_rate": 0.1})
    assert given.training.learning_rate == 0.1
    assert given.changed()["learning_rate"] == 0.1
    assert Recipe(network="lenet-5(pool=average)").training.learning_rate == Recipe().training.learning_rate
