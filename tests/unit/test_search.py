"""What a search chooses, and from what: goals, the space of settings, optuna's proposals, the finalists."""

from typing import Any

import numpy as np
import pytest

from compress.errors import CompressError, UsageError
from compress.recipe.recipe import Recipe
from deep_compress.search import finalists as finalising
from deep_compress.search.finalists import choose
from deep_compress.search.goal import Goal, Trial, front, provisional
from deep_compress.search.scan import LayerScan, Scan
from deep_compress.search.space import Space, fields_of, propose, scaled, space_of
from deep_compress.search.trials import searchable

GENERATOR = np.random.default_rng(0)
WEIGHTS = {
    "a.weight": GENERATOR.normal(0, 1.0, (20, 10)).astype(np.float32),
    "b.weight": GENERATOR.normal(0, 0.1, (40, 20)).astype(np.float32),
}
SCAN = Scan(
    dense=99.0,
    layers={
        "a.weight": LayerScan(weights=200, pruned={0.5: 98.9, 0.9: 20.0}, shared={1: 30.0, 3: 98.2, 8: 99.0}),
        "b.weight": LayerScan(weights=800, pruned={0.5: 99.0, 0.9: 98.0}, shared={1: 98.5, 3: 98.9, 8: 99.0}),
    },
)
SPACE = space_of(WEIGHTS, {}, SCAN)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "search: found neither of max-drop and target-size, allowed one of them"),
        ({"max_drop": 1.0, "target_bytes": 3}, "search: found both of max-drop and target-size, allowed one of them"),
        ({"max_drop": -1.0}, "max-drop: found -1, allowed 0 to 100 points"),
        ({"max_drop": 100.5}, "max-drop: found 100.5, allowed 0 to 100 points"),
        ({"target_bytes": 0}, "target-size: found 0, allowed at least 1 byte"),
    ],
)
def test_bad_goals_are_told_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Goal(**fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pattern": "2:4", "sparsity": 0.5}, "pattern: found '2:4'"),
        ({"criterion": "layer-std", "quality": 1.0}, "quality: found {'default': 1.0}"),
        ({"merge_layer": "f6", "merge_neurons": 2}, "merge-layer: found 'f6'"),
    ],
)
def test_a_recipe_that_fixes_what_is_searched_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        searchable(Recipe.of(fields))
    assert str(caught.value) == f"{message}, allowed none in a search, which chooses the sparsity of every layer"


def test_what_a_search_chooses_itself_is_taken_out_of_the_recipe() -> None:
    recipe = Recipe.of({"seed": 3, "sparsity": 0.7, "bits": 2, "scope": "per-layer", "layer_sparsity": {"c1": 0.1}})
    assert searchable(recipe) == Recipe.of({"seed": 3})


def test_settings_at_their_middle_are_those_that_magnitude_gives() -> None:
    settings = {"density": 0.1, "share a": 0.0, "share b": 0.0, "bits a": 4, "bits b": 3}
    fields = fields_of(SPACE, settings)
    # The 100 largest of all 1000 are all in a, whose weights are ten times as large.
    everything = np.sort(np.abs(np.concatenate([WEIGHTS["a.weight"].ravel(), WEIGHTS["b.weight"].ravel()])))
    threshold = everything[-100]
    assert fields["layer_sparsity"]["a"] == pytest.approx(np.mean(np.abs(WEIGHTS["a.weight"]) < threshold), abs=1e-5)
    assert fields["bits"] == {"a": 4, "b": 3}
    # b alone would keep less than a quarter of what it bears in the scan (0.9 at -1 point): that bounds it.
    assert fields["layer_sparsity"]["b"] == pytest.approx(1 - 0.1 / 4)
    denser = fields_of(SPACE, {**settings, "share a": 1.0})
    assert 1 - denser["layer_sparsity"]["a"] == pytest.approx(
        min(2 * (1 - fields["layer_sparsity"]["a"]), 0.9), abs=1e-4
    )
    assert Recipe.of(fields).pruning.sparsity == pytest.approx(
        (200 * fields["layer_sparsity"]["a"] + 800 * fields["layer_sparsity"]["b"]) / 1000, abs=1e-5
    )


def test_the_scan_bounds_what_is_tried() -> None:
    assert SPACE.lowest == pytest.approx({"a": 0.5 / 4, "b": 0.1 / 4})
    assert SPACE.fewest == {"a": 3, "b": 2}
    for settings in SPACE.starts:
        assert settings["bits a"] >= 3
        assert Recipe.of(fields_of(SPACE, settings)).pruning.scope == "per-layer"
    assert scaled(SPACE.starts[0], 0.5)["density"] == SPACE.starts[0]["density"] / 2
    assert scaled(SPACE.starts[0], 1e-9)["density"] == 0.003


def history(count: int) -> list[tuple[Any, float, float]]:
    told: list[tuple[Any, float, float]] = []
    for _ in range(count):
        settings = propose(SPACE, told, 7)
        told.append((settings, 1000 * settings["density"], 99 - abs(settings["share a"])))
    return told


def test_proposals_depend_on_nothing_but_the_history_and_the_seed() -> None:
    pytest.importorskip("optuna")
    first, second = history(16), history(16)
    assert first == second
    assert [settings for settings, *_ in first[:10]] == list(SPACE.starts)
    later = [settings for settings, *_ in first[10:]]
    assert len({str(settings) for settings in later}) == 6
    assert propose(SPACE, first, 7) != propose(SPACE, first, 8)
    for settings in later:
        assert 0.003 <= settings["density"] <= 0.5
        assert 3 <= settings["bits a"] <= 6


def trial(file_bytes: int, percent: float, error: str | None = None) -> Trial:
    settings = {"density": file_bytes / 10_000, "share a": 0.0, "share b": 0.0, "bits a": 4, "bits b": 4}
    return Trial(
        settings=settings, fields=fields_of(SPACE, settings), file_bytes=file_bytes, percent=percent, error=error
    )


TRIALS = [
    trial(1000, 92.0), trial(500, 40.0), trial(2000, 97.0), trial(1500, 91.0), trial(3000, 98.0), trial(4000, 98.6),
    trial(4500, 98.5), trial(300, 99.0, "train: the loss is no longer finite in epoch 1"),
]  # fmt: skip


def test_the_front_has_what_no_other_beats_and_nothing_that_failed() -> None:
    assert [t.file_bytes for t in front(TRIALS)] == [500, 1000, 2000, 3000, 4000]


def test_what_is_kept_on_interruption_meets_the_goal_or_comes_nearest() -> None:
    def kept(**goal: Any) -> int | None:
        best = provisional(TRIALS, Goal(**goal), 99.0)
        return best and best.file_bytes

    assert kept(max_drop=1.5) == 3000
    assert kept(max_drop=0.1) == 4000
    assert kept(target_bytes=2500) == 2000
    assert kept(target_bytes=100) == 500
    assert provisional(TRIALS[-1:], Goal(max_drop=1), 99.0) is None


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Full compressions that keep the bytes of their density, and lose 2000 / bytes points; failing where told."""
    ran: list[int] = []

    def compress(prepared: object, space: Space, settings: Any, changes: Any, observer: object) -> Trial:
        size = round(10_000 * settings["density"])
        ran.append(size)
        return Trial(settings=settings, fields=fields_of(space, settings), file_bytes=size, percent=99 - 2000 / size)

    monkeypatch.setattr(finalising, "compress_with", compress)
    return ran


def chosen(goal: Goal, finalists: int, known: tuple[Trial, ...] = ()) -> tuple[Trial, tuple[Trial, ...]]:
    return choose(None, SPACE, goal, 99.0, TRIALS, finalists=finalists, known=known)  # type: ignore[arg-type]  # unused


def test_the_smallest_file_within_the_drop_is_bisected_for(full: list[int]) -> None:
    best, done = chosen(Goal(max_drop=1.2), 2)
    assert full == [2000, 1000]
    assert best.file_bytes == 2000
    assert [t.file_bytes for t in done] == full
    full.clear()
    best, _ = chosen(Goal(max_drop=1.2), 8)
    assert full[:2] == [2000, 1000]
    assert all(1000 < size < 2000 for size in full[2:])
    assert 1667 <= best.file_bytes <= 1750  # 1.2 points are lost at 1667 bytes
    assert len(full) <= 8


def test_the_most_accurate_file_fills_its_size(full: list[int]) -> None:
    best, done = chosen(Goal(target_bytes=2600), 6)
    assert full[0] == 2000
    assert 2548 <= best.file_bytes <= 2600
    assert best.percent == max(t.percent for t in done if t.file_bytes <= 2600)


def test_what_was_compressed_in_full_before_is_not_again(full: list[int]) -> None:
    _, done = chosen(Goal(max_drop=1.2), 8)
    full.clear()
    _, again = chosen(Goal(max_drop=1.2), 8, known=done)
    assert full == []
    assert again == done


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (
            Goal(max_drop=0.0),
            (
                "max-drop: nothing stayed within 0 points of 99.00 %; the best had 98.50 % at 4,000 B; "
                "allow more, or more trials"
            ),
        ),
        (Goal(target_bytes=10), "target-size: nothing came under 10 B; the smallest had 30 B"),
    ],
)
def test_a_goal_out_of_reach_is_told(full: list[int], goal: Goal, message: str) -> None:
    with pytest.raises(CompressError) as caught:
        chosen(goal, 4)
    assert str(caught.value) == message
