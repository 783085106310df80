"""Rows that stay on the host: never more than the budget, and bitwise the same."""

from functools import partial

import jax
import numpy as np
import pytest
from test_train import MODEL, all_equal, count_compilations

from naejax import fit
from naejax.train import loop, programs
from naejax.train.batch import make_batch
from naejax.train.order import shuffled_rows
from naejax.train.shards import Plan, plan_shards

ROWS, STEPS = 215, 13  # 7 rows are left out
ROW_BYTES = 4 * (2 + 1 + 1 + 1)  # x, target, weight, offset
STEP_BYTES = 16 * (ROW_BYTES + 4)  # and an index for each row
quick = partial(fit, MODEL, progress=False, batch_size=16, epochs=2, seed=1)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2)).astype(np.float32)
    y = (np.sin(2 * x[:, 0]) + x[:, 1]).astype(np.float32)
    return x, y, rng.uniform(size=ROWS), rng.normal(size=ROWS)


@pytest.fixture(scope="module")
def variables(rows):
    return jax.jit(MODEL.init)(jax.random.key(0), rows[0])


@pytest.fixture(scope="module")
def whole(rows, variables):
    return quick(variables, rows, validation=tuple(a[:16] for a in rows))


@pytest.fixture(autouse=True)
def no_programs_of_other_tests():
    programs.kept_programs.cache_clear()


@pytest.fixture
def sent(monkeypatch):
    """What training sends to the device: steps, their bytes, and where rows were."""
    seen, send = [], Plan.send

    def watched(plan, data, indices):
        shard, places, count = send(plan, data, indices)
        bytes_sent = sum(a.nbytes for a in [*jax.tree.leaves(shard), places])
        assert all(isinstance(a, jax.Array) for a in jax.tree.leaves(shard))
        seen.append((type(data.x) is np.ndarray, len(indices), bytes_sent))
        return shard, places, count

    monkeypatch.setattr(Plan, "send", watched)
    return seen


def without_seconds(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


# Bitwise in what users run; quick tests are compiled without the usual optimisations.
@pytest.mark.optimised
@pytest.mark.parametrize(
    ("room", "steps"), [(5, [5, 5, 3]), (4, [4, 4, 4, 1]), (1, [1] * STEPS)]
)
def test_shards_train_bitwise_the_same(
    rows, variables, whole, room, steps, sent, caplog
):
    check = tuple(a[:16] for a in rows)
    budget = 2 * (room + 1) * STEP_BYTES - 1  # one is sent while one is at work
    with jax.log_compiles():
        result = quick(variables, rows, validation=check, device_budget=budget)
    assert count_compilations(caplog, "count_loop") == 1
    assert count_compilations(caplog, "scan") == 0
    # Every shard has the size of the first, whatever the number of its steps.
    size = steps[0] * STEP_BYTES + (16 * 4 if room == 1 else 0)
    assert sent == [(True, s, size) for s in steps] * 2
    assert 2 * size <= budget
    assert all_equal(result.variables, whole.variables)
    assert without_seconds(result.history) == without_seconds(whole.history)
    assert result[2:] == whole[2:]


def test_the_smallest_budget_is_named_and_works(rows, variables):
    step = 2 * 16 * 4 * (4 + 2)  # two of x, target, weight, and two indices
    quick(variables, rows[:2], epochs=1, device_budget=step)
    with pytest.raises(ValueError, match=f"device_budget is {step - 1} .*need {step}:"):
        quick(variables, rows[:2], device_budget=step - 1)


def test_data_within_the_budget_stay_on_the_device(rows, variables, sent):
    budget = ROWS * ROW_BYTES + STEPS * 16 * 4
    quick(variables, rows, epochs=1, device_budget=budget)
    assert [(on_host, steps) for on_host, steps, _ in sent] == [(False, STEPS)]


def test_half_of_the_devices_memory_is_the_usual_budget(
    rows, variables, sent, monkeypatch
):
    monkeypatch.setattr(loop, "usual_budget", lambda: 8 * STEP_BYTES)
    quick(variables, rows, epochs=1)
    assert [steps for _, steps, _ in sent] == [4, 4, 4, 1]


def test_validation_rows_count_too(rows):
    batch = make_batch(*rows, on_host=True)
    room = ROWS * ROW_BYTES + STEPS * 16 * 4
    plan = partial(plan_shards, batch, shape=(1, STEPS, 16))
    assert not plan(check=None, check_rows=0, budget=room).on_host
    assert plan(check=batch, check_rows=20, budget=room).on_host
    # 215 rows that are scored at once are more than a step.
    with pytest.raises(ValueError, match=f"need {ROWS * ROW_BYTES}: pass at least"):
        plan(check=batch, check_rows=ROWS, budget=ROWS * ROW_BYTES - 1)
    assert plan(check=batch, check_rows=ROWS, budget=ROWS * ROW_BYTES).on_host


@pytest.mark.parametrize("seed", range(5))
def test_shards_hold_the_rows_of_an_epoch_in_its_order(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    host = make_batch(x, x[:, 0], rng.uniform(size=60), x[:, 1], on_host=True)
    order = shuffled_rows(60, (2, 4, 7), (seed, 1))
    plan = plan_shards(host, None, (2, 4, 7), 0, budget=int(rng.integers(450, 3000)))
    found = []
    order = order.reshape(8, 7)
    for start in range(0, 8, plan.steps):
        indices = order[start : start + plan.steps]
        shard, places, count = plan.send(host, indices)
        found.append(np.asarray(shard.x)[places[:count]])
    np.testing.assert_array_equal(np.concatenate(found), x[order])
