"""Context rules on curves whose regimes are known."""

import numpy as np
import pytest

from naejax.data.schema import Feature, Schema, Target
from naejax.explain import context_rules
from naejax.explain.conditions import Condition, holds, words
from naejax.explain.rules import _shortest

ROWS = 600


def column(*cells) -> np.ndarray:
    return np.array(cells, dtype=object)


def table(seed=0, gaps=True):
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, ROWS)
    if gaps:
        age[rng.random(ROWS) < 0.2] = np.nan
    columns = {
        "x": rng.normal(size=ROWS),
        "age": age,
        "city": column("Oslo", "Bergen", "Turku", None)[rng.integers(0, 4, ROWS)],
        "sex": column("f", "m")[rng.integers(0, 2, ROWS)],
        "smoker": rng.random(ROWS) < 0.4,
        "rooms": rng.integers(1, 9, ROWS).astype(float),
    }
    schema = Schema(
        (
            Feature("x", "numeric"),
            Feature("age", "numeric"),
            Feature("city", "categorical", ("Bergen", "Oslo", "Turku")),
            Feature("sex", "categorical", ("f", "m")),
            Feature("smoker", "boolean", ("false", "true")),
            Feature("rooms", "numeric"),
        ),
        Target("y", "regression"),
        ROWS,
    )
    return columns, schema


def curves_of(regimes, noise=0.0, seed=0):
    """A curve per regime 0, 1, .. of each row, at 3 positions of 2 outputs."""
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(int(regimes.max()) + 1, 3, 2))
    return shapes[regimes] + noise * rng.normal(size=(len(regimes), 3, 2)), shapes


def rules_of(regimes, columns, schema, **settings):
    curves, _ = curves_of(regimes)
    weights = np.array([1.0, 2.0, 3.0])
    rules = context_rules(curves, weights, columns, schema, 0, **settings)
    for k, rule in enumerate(rules.leaves):
        here = holds(rule.conditions, columns, schema)
        np.testing.assert_array_equal(here, rules.groups == k)
        assert rule.share == pytest.approx(here.mean())
        assert rule.text == words(rule.conditions, schema)
        np.testing.assert_allclose(rule.curve, curves[here].mean(axis=0))
    shares = [rule.share for rule in rules.leaves]
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)
    return rules


def test_a_threshold_on_a_number():
    columns, schema = table(gaps=False)
    regimes = (columns["age"] > 38.2).astype(int)
    rules = rules_of(regimes, columns, schema)
    low, high = rules.leaves[1].conditions[0], rules.leaves[0].conditions[0]
    assert low.upper == high.lower
    assert rules.leaves[0].text == f"age > {high.lower:g}"
    assert rules.leaves[1].text == f"age ≤ {low.upper:g}"
    # The threshold moves by a few rows where a third of them is held back.
    assert 0.95 < rules.fidelity <= 1
    # As few digits as split the rows alike.
    around = np.sort(columns["age"])[
        np.searchsorted(np.sort(columns["age"]), 38.2) - 1 :
    ]
    assert around[0] <= low.upper < around[1]
    assert len(f"{low.upper:g}") <= 6


@pytest.mark.parametrize(
    ("regimes", "texts"),
    [
        (lambda c: c["smoker"] * 1, ["smoker is false", "smoker is true"]),
        (lambda c: (c["sex"] == "m") * 1, ["sex is f", "sex is m"]),
        (lambda c: np.isin(c["city"], ["Oslo"]) * 1,
         ["city is Oslo", "city is not Oslo (or missing)"]),
        (lambda c: np.array([cell is None for cell in c["city"]]) * 1,
         ["city is known", "city is missing"]),
        (lambda c: np.isin(c["city"].astype(str), ["Oslo", "None"]) * 1,
         ["city is Oslo (or missing)", "city is not Oslo"]),
        (lambda c: np.isnan(c["age"]) * 1, ["age is known", "age is missing"]),
        (lambda c: (c["rooms"] > 3) * 1 + (c["rooms"] > 7),
         ["3 < rooms ≤ 7", "rooms > 7", "rooms ≤ 3"]),
        (lambda c: np.where(c["smoker"], 0, 1 + (c["rooms"] > 4)),
         ["smoker is false and rooms > 4", "smoker is false and rooms ≤ 4",
          "smoker is true"]),
        (lambda c: np.isin(c["city"], ["Oslo"]) * 1 + 2 * np.isin(c["city"], ["Turku"]),
         ["city is Oslo", "city is Turku", "city is Bergen (or missing)"]),
    ],
)  # fmt: skip
def test_words(regimes, texts):
    columns, schema = table()
    rules = rules_of(regimes(columns).astype(int), columns, schema)
    # Either of two conditions may come first.
    found = {frozenset(rule.text.split(" and ")) for rule in rules.leaves}
    assert found == {frozenset(text.split(" and ")) for text in texts}
    assert rules.fidelity == pytest.approx(1)


@pytest.mark.parametrize("above", [False, True])
def test_missing_numbers_go_where_they_belong(above):
    columns, schema = table()
    regimes = np.where(np.isnan(columns["age"]), above, columns["age"] > 35).astype(int)
    rules = rules_of(regimes, columns, schema)
    texts = sorted(rule.text.replace(" (or missing)", "") for rule in rules.leaves)
    assert [text[:5] for text in texts] == ["age >", "age ≤"]
    (with_missing,) = [rule for rule in rules.leaves if "(or missing)" in rule.text]
    assert with_missing.text.startswith("age >") == above


def test_missing_cells_in_rows_held_back_alone():
    columns, schema = table(gaps=False)
    columns["city"][[cell is None for cell in columns["city"]]] = "Oslo"
    held = np.random.default_rng(0).permutation(ROWS)[2 * ROWS // 3 :]
    columns["age"][held[:3]] = np.nan
    rules = rules_of((columns["rooms"] > 4).astype(int), columns, schema)
    assert {rule.text for rule in rules.leaves} == {"rooms > 4", "rooms ≤ 4"}


def test_numbers_beyond_float32():
    columns, schema = table()
    columns["rooms"] = columns["rooms"] * 1e299
    columns["age"] = 1e9 + np.arange(ROWS) / 8.0
    rules = rules_of((columns["age"] > 1e9 + 30).astype(int), columns, schema)
    assert rules.leaves[0].text == "age > 1000000030"
    rules = rules_of((columns["rooms"] > 4.5e299).astype(int), columns, schema)
    assert {rule.text for rule in rules.leaves} == {"rooms > 4e+299", "rooms ≤ 4e+299"}


def test_no_variation_is_one_rule_that_says_all():
    columns, schema = table()
    curves = np.broadcast_to(np.float32([0.1, 0.2, 0.3])[:, None], (ROWS, 3, 1))
    rules = context_rules(curves, np.ones(3), columns, schema, 0)
    assert [rule.text for rule in rules.leaves] == ["in every context"]
    assert (rules.fidelity, rules.leaves[0].share) == (1, 1)
    np.testing.assert_allclose(rules.leaves[0].curve[:, 0], [0.1, 0.2, 0.3], rtol=1e-6)
    assert rules.leaves[0].conditions == ()


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_rule(seed):
    columns, schema = table()
    curves, _ = curves_of(np.zeros(ROWS, int), noise=1.0, seed=seed)
    rules = context_rules(curves, np.ones(3), columns, schema, 0)
    assert [rule.text for rule in rules.leaves] == ["in every context"]
    assert rules.fidelity == 0


def test_own_feature_explains_nothing():
    columns, schema = table()
    curves, _ = curves_of((columns["x"] > 0).astype(int))
    rules = context_rules(curves, np.ones(3), columns, schema, 0)
    assert len(rules.leaves) == 1


def test_fidelity_is_the_share_explained():
    columns, schema = table()
    regimes = np.where(columns["smoker"], 1.0, -1.0)
    noise = np.random.default_rng(9).normal(size=ROWS)
    curves = (regimes * 0.6 + noise * 0.8)[:, None, None] * np.ones((1, 3, 1))
    expected = np.var(0.6 * regimes) / np.var(0.6 * regimes + 0.8 * noise)
    rules = context_rules(curves, np.ones(3), columns, schema, 0)
    assert rules.fidelity == pytest.approx(expected, abs=0.07)


def test_positions_without_weight_do_not_count():
    columns, schema = table()
    curves = np.zeros((ROWS, 2, 1))
    curves[:, 0, 0] = columns["smoker"]
    curves[:, 1, 0] = 100 * (columns["sex"] == "m")
    rules = context_rules(curves, np.array([1.0, 0.0]), columns, schema, 0)
    assert {r.text for r in rules.leaves} == {"smoker is true", "smoker is false"}


def test_limits():
    columns, schema = table()
    regimes = columns["rooms"].astype(int)
    curves, _ = curves_of(regimes)
    for most in (2, 3, 4, 6):
        rules = context_rules(curves, np.ones(3), columns, schema, 0, max_leaves=most)
        assert 2 <= len(rules.leaves) <= most
    few = context_rules(curves, np.ones(3), columns, schema, 0, min_share=0.3)
    assert min(rule.share for rule in few.leaves) > 0.25
    one = Schema(schema.features[:1], schema.target, ROWS)
    assert len(context_rules(curves, np.ones(3), columns, one, 0).leaves) == 1
    some = {name: cells[:8] for name, cells in columns.items()}
    assert len(context_rules(curves[:8], np.ones(3), some, schema, 0).leaves) == 1


def test_hostile_names():
    name = "</script><img onerror=alert(1)> and ≤"
    columns = {"x": np.zeros(100), name: np.arange(100.0)}
    schema = Schema(
        (Feature("x", "numeric"), Feature(name, "numeric")),
        Target("y", "regression"),
        100,
    )
    curves, _ = curves_of((columns[name] > 49).astype(int))
    rules = context_rules(curves, np.ones(3), columns, schema, 0)
    assert {rule.text for rule in rules.leaves} == {f"{name} > 49", f"{name} ≤ 49"}


@pytest.mark.parametrize(
    ("low", "high", "bound"),
    [
        (38.0, 39.0, 38),
        (0.0, 1.0, 0),
        (-4.0, -3.0, -4),
        (3.0, 10.0, 6),
        (34.17, 34.23, 34.2),
        (-0.012, 0.034, 0.01),
        (1234.0, 1234.0000001, 1234),
        (1 / 3, np.nextafter(1 / 3, 1), 1 / 3),
    ],
)
def test_thresholds_have_few_digits(low, high, bound):
    assert _shortest(low, high) == bound


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition(1, lower=0.5), "age > 0.5"),
        (Condition(1, upper=-1e-7, missing=True), "age ≤ −1e−07 (or missing)"),
        (Condition(1, lower=3, upper=1234567), "3 < age ≤ 1234567"),
        (Condition(1, lower=0.1 + 0.2), "age > 0.30000000000000004"),
        (Condition(1), "age is known"),
        (Condition(1, known=False, missing=True), "age is missing"),
        (Condition(2, levels=(), missing=True), "city is missing"),
        (Condition(2, levels=("Bergen", "Oslo")), "city is not Turku"),
        (Condition(4, levels=("true",)), "smoker is true"),
    ],
)
def test_a_condition_in_words(condition, text):
    assert words([condition], table()[1]) == text


@pytest.mark.parametrize(
    ("curves", "weights"),
    [((5, 3), (3,)), ((5, 3, 1), (2,)), ((5, 3, 1), (3, 1))],
)
def test_bad_input(curves, weights):
    columns, schema = table()
    with pytest.raises(ValueError, match="expected"):
        context_rules(np.zeros(curves), np.ones(weights), columns, schema, 0)
    with pytest.raises(ValueError, match="not all of them 0"):
        context_rules(np.zeros((ROWS, 3, 1)), np.zeros(3), columns, schema, 0)
