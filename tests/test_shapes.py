"""Drawn shapes: the label is the pair, the masks are its pixels, nothing else tells."""

import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from naejax.data.shapes import PAIRS, SAME_OR_DIFFERENT, make_shapes

MODES = pytest.mark.parametrize("same_or_different", [False, True])
TOUCHING = np.ones((3, 3), bool)


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """The connected pieces of a mask, each cut to its box."""
    labels, _ = ndimage.label(mask, TOUCHING)
    boxes = ndimage.find_objects(labels)
    return [labels[box] == i for i, box in enumerate(boxes, start=1)]


def kind(piece: np.ndarray) -> str:
    """Recognises a shape by its geometry alone."""
    height, width = piece.shape
    if piece.all():
        return "square"
    if piece[: height // 2].sum() < 0.6 * piece[-(height // 2) :].sum():
        return "triangle"
    corner = piece[round(0.22 * (height - 1)), round(0.22 * (width - 1))]
    return "disc" if corner else "cross"


@pytest.fixture(scope="module", params=[False, True], ids=["pair", "same"])
def drawn(request):
    return make_shapes(4000, same_or_different=request.param), request.param


def test_arrays(drawn):
    images, _ = drawn
    assert images.x.shape == (4000, 32, 32, 3) and images.x.dtype == np.float32
    assert images.target.shape == (4000,) and images.target.dtype == np.int32
    assert images.parts.shape == (4000, 32, 32) and images.parts.dtype == bool
    assert np.abs(images.x).max() <= 1
    assert abs(images.x.mean()) < 0.01
    assert abs(images.parts.mean() - 0.18) < 0.002
    area = images.parts.sum((1, 2))
    assert area.min() > 0.14 * 32**2 and area.max() < 0.23 * 32**2


def test_the_label_is_the_pair_of_shapes_under_the_mask(drawn):
    images, same = drawn
    names = SAME_OR_DIFFERENT if same else PAIRS
    for mask, target in zip(images.parts[:1000], images.target[:1000], strict=True):
        found = [kind(piece) for piece in pieces(mask)]
        assert len(found) == 2
        if same:
            assert names[target] == ("same" if found[0] == found[1] else "different")
        else:
            assert set(names[target].split(", ")) == set(found)


def test_sizes_of_shapes(drawn):
    images, _ = drawn
    sizes = [max(p.shape) for mask in images.parts[:1000] for p in pieces(mask)]
    assert 9 <= min(sizes) and max(sizes) <= 15
    assert 11 <= np.mean(sizes) <= 12.5


def test_one_shape_alone_does_not_decide(drawn):
    images, same = drawn
    rows = 1500
    found = [sorted(map(kind, pieces(mask))) for mask in images.parts[:rows]]
    if same:
        # The first in the alphabet is no random choice; take either by a coin.
        coin = np.random.default_rng(1).integers(2, size=rows)
        one = [pair[i] for pair, i in zip(found, coin, strict=True)]
        other = images.target[:rows].tolist()
        different = [a + b for a, b in found if a != b]
        counts = np.unique(different, return_counts=True)[1]
        assert len(counts) == 6 and stats.chisquare(counts).pvalue > 0.01
    else:
        one = ["disc" if "disc" in pair else "square" for pair in found]
        other = ["cross" if "cross" in pair else "triangle" for pair in found]
    table = stats.contingency.crosstab(one, other).count
    assert table.shape == ((4, 2) if same else (2, 2))
    assert stats.chi2_contingency(table).pvalue > 0.01
    assert stats.chisquare(table.sum(1)).pvalue > 0.01


def test_labels_are_balanced(drawn):
    counts = np.bincount(drawn[0].target)
    assert len(counts) == (2 if drawn[1] else 4)
    assert stats.chisquare(counts).pvalue > 0.01


def test_nothing_but_form_tells_the_label(drawn):
    images, _ = drawn
    background, inside, shape = [], [], []
    for x, mask in zip(images.x, images.parts, strict=True):
        # Shapes are brighter than 0.6 or darker than -0.6 in every channel.
        rest = x[(np.abs(x) < 0.55).any(-1) & ~mask]
        background.append([*rest.mean(0), *rest.std(0)])
        inside.append([*x[mask].mean(0), *x[mask].std(0)])
        shape.append([mask.sum(), *np.quantile(x, [0.02, 0.2, 0.5, 0.8, 0.98])])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classes = images.target.max() + 1
    chance = 1 / classes
    sigma = np.sqrt(chance * (1 - chance) / len(images.x))
    for features in (background, inside, shape, np.abs(inside)):
        accuracy = cross_val_score(model, features, images.target, cv=2).mean()
        assert accuracy < chance + 3.5 * sigma


@MODES
def test_without_distractors_and_texture_the_mask_is_what_is_drawn(same_or_different):
    images = make_shapes(
        300, distractors=0, texture=0, same_or_different=same_or_different
    )
    np.testing.assert_array_equal((images.x != 0).all(-1), images.parts)
    np.testing.assert_array_equal((images.x != 0).any(-1), images.parts)


@pytest.mark.parametrize("distractors", [1, 2])
def test_distractors_are_drawn_apart_and_outside_the_mask(distractors):
    images = make_shapes(300, distractors=distractors, texture=0)
    shown = (images.x != 0).any(-1)
    others = shown & ~images.parts
    assert (shown & images.parts == images.parts).all()
    near = ndimage.binary_dilation(images.parts, TOUCHING[None])
    assert not (near & others).any()
    area = others.sum((1, 2)) / images.parts.sum((1, 2))
    assert abs(area.mean() - distractors / 2) < 0.02
    kinds = [
        "ring" if piece[len(piece) // 2, 0] and not piece.all() else "bar"
        for mask in others
        for piece in pieces(mask)
    ]
    # A pair of bars is two pieces.
    rings, bars = kinds.count("ring"), kinds.count("bar") / 2
    assert rings + bars == 300 * distractors
    assert abs(rings / (rings + bars) - 0.5) < 0.1


def test_contrast_changes_the_shapes_only():
    faint, strong = (make_shapes(200, contrast=c) for c in (0.4, 0.8))
    changed = (faint.x != strong.x).any(-1)
    assert (changed >= faint.parts).all()
    assert 0.07 < (changed & ~faint.parts).mean() < 0.11
    np.testing.assert_allclose(strong.x[changed], 2 * faint.x[changed], rtol=1e-6)


def test_shapes_stand_out_in_random_colours():
    images = make_shapes(500)
    values = images.x[images.parts]
    assert 0.59 < np.abs(values).min() and np.abs(values).max() < 1.01
    assert abs(np.mean(values > 0) - 0.5) < 0.05
    assert (np.sign(values) == np.sign(values[:, :1])).all()
    firsts = [
        np.sign(x[mask][[0, -1], 0])
        for x, mask in zip(images.x, images.parts, strict=True)
    ]
    # The shape at the top and the one at the bottom choose their signs alone.
    assert abs(np.prod(firsts, 1).mean()) < 0.15


def test_background_is_weak_smooth_noise():
    x = make_shapes(400, distractors=0, coverage=0.01, texture=0.2).x
    rows = x[:, :3].reshape(400, 3, 32, 3)
    rest = np.abs(rows).max((1, 2, 3)) < 0.59 * 0.8 / 0.75
    rows = rows[rest]
    assert rest.sum() > 200
    np.testing.assert_allclose(rows.std(), 0.2, rtol=0.05)
    for lag, low, high in [(1, 0.85, 0.93), (2, 0.58, 0.7), (6, -0.05, 0.08)]:
        pairs = np.corrcoef(rows[:, :, lag:].ravel(), rows[:, :, :-lag].ravel())
        assert low < pairs[0, 1] < high
    assert abs(np.corrcoef(rows[..., 0].ravel(), rows[..., 1].ravel())[0, 1]) < 0.05


def test_shapes_lie_anywhere():
    parts = make_shapes(3000).parts
    share = parts.mean(0)
    assert share[1:-1, 1:-1].min() > 0 and share.max() < 0.5
    np.testing.assert_allclose(share, share[:, ::-1], atol=0.06)
    left = parts.any(1).argmax(1)
    for patch in (2, 4, 8):
        counts = np.bincount(left % patch, minlength=patch) / len(left)
        assert counts.min() > 0.3 / patch and counts.max() < 2 / patch


@MODES
def test_seeds_reproduce_bitwise(same_or_different):
    first, again, other = (
        make_shapes(50, same_or_different=same_or_different, seed=seed)
        for seed in (3, 3, 4)
    )
    for name in ("x", "target", "parts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()


@pytest.mark.parametrize("side", [16, 48])
def test_shapes_grow_with_the_image(side):
    images = make_shapes(200, side=side)
    assert images.x.shape == (200, side, side, 3)
    assert abs(images.parts.mean() - 0.18) < 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": 0}, "got rows=0, expected at least 1"),
        ({"side": 15}, "got side=15, expected at least 16 pixels"),
        ({"distractors": -1}, "got distractors=-1, expected at least 0"),
        ({"coverage": 0.0}, "got coverage=0.0, expected a share in"),
        ({"coverage": 0.4}, "got coverage=0.4, expected a share in"),
        ({"contrast": 0.0}, "got contrast=0.0, expected a value > 0"),
        ({"texture": -0.1}, "got texture=-0.1, expected a standard deviation"),
        ({"distractors": 6}, "got 8 shapes that do not fit into 32 x 32 pixels"),
    ],
)
def test_mistakes_are_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_shapes(**{"rows": 3, **settings})
    assert "\n" not in str(caught.value)
