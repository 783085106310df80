"""Training on several devices: the same rows, the same steps, the same parameters."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_train import MODEL, count_compilations
from tiers import first_quick, sampled

from naejax import NAE, SumOfParts, fit, losses, penalties
from naejax.models.cnn import CNN, cnn_backbone
from naejax.train import shares
from naejax.train.batch import make_batch
from naejax.train.chunk import ParallelChunk
from naejax.train.evaluate import make_evaluate
from naejax.train.parallel import AXIS, DataParallel, choose_devices, over_processes
from naejax.train.shares import Shares, plan_shares

STRENGTHS = {
    "expert_variance": 0.1,
    "output_energy": 0.01,
    "utilisation": 0.1,
    "concurvity": 0.1,
}
quick = partial(fit, MODEL, progress=False, batch_size=16, epochs=3, seed=1)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(70, 2)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1]).astype(np.float32), rng.uniform(size=70)


@pytest.fixture(scope="module")
def variables(rows):
    return jax.jit(MODEL.init)(jax.random.key(0), rows[0])


def difference(ours, theirs):
    """The relative distance of all parameters, ``|a - b| / |b|``."""
    a, b = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree["params"])])
        for tree in (ours, theirs)
    )
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("backend", first_quick(["pmap", "shard_map"]))
def test_three_devices_agree_with_one(rows, variables, backend):
    """Six, six and four rows of each batch; the last epoch is not the best."""
    x = rows[0]
    train = partial(quick, variables, rows, validation=(x, -x[:, 0] - 5), epochs=4)
    train = partial(train, penalties=STRENGTHS, optimizer=1e-2)
    alone, together = train(devices=1), train(devices=3, backend=backend)
    assert difference(together.variables, alone.variables) < 1e-6
    assert together.best_epoch == alone.best_epoch < 4


@pytest.mark.parametrize("backend", first_quick(["pmap", "shard_map"], 0))
def test_a_device_alone_also_draws_the_same_dropout(rows, variables, backend):
    model = MODEL.clone(dropout=0.2, expert_dropout=0.2)
    train = partial(fit, model, variables, rows, progress=False, batch_size=16)
    alone = train(devices=1, epochs=3)
    named = train(devices=jax.devices()[1:2], epochs=3, backend=backend)
    assert difference(named.variables, alone.variables) < 1e-6


@pytest.mark.parametrize(
    ("devices", "more"),
    sampled(
        product([1, 2, 3, 4, 8], [-1, 0, 1]),
        [(1, 1), (2, 0), (3, -1), (8, 1)],
    ),
)
def test_any_devices_agree_with_one_after_100_steps(rows, variables, devices, more):
    count = max(1, devices + more)
    few = tuple(a[:count] for a in rows)
    train = partial(quick, variables, few, batch_size=count, epochs=100)
    train = partial(train, penalties=STRENGTHS, validation=few)
    alone = train(devices=1)
    for backend in ("pmap", "shard_map"):
        together = train(devices=jax.devices()[:devices], backend=backend)
        assert difference(together.variables, alone.variables) < 1e-6
        assert together.best_epoch == alone.best_epoch
        for ours, theirs in zip(together.history, alone.history, strict=True):
            for name in ("loss", "objective", "validation"):
                assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("count", "backend"),
    sampled(
        product([63, 64, 65], ["pmap", "shard_map"]), [(63, "pmap"), (65, "shard_map")]
    ),
)
def test_minibatches_agree_too(rows, variables, count, backend):
    some = tuple(a[:count] for a in rows)
    train = partial(quick, variables, some, penalties=STRENGTHS, epochs=25)
    alone = train(devices=1)
    for devices in (2, 3, 8):
        together = train(devices=devices, backend=backend)
        assert difference(together.variables, alone.variables) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
def test_sum_of_parts_agrees_too(backend):
    """A backbone that convolves: on a CPU its steps run one by one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(22, 8, 8, 1)).astype(np.float32)
    y = rng.integers(3, size=22).astype(np.int32)
    cnn = CNN(3, channels=(4, 6), hidden=(5,))
    backbone = cnn_backbone(cnn, jax.jit(cnn.init)(jax.random.key(0), x))
    model = SumOfParts(backbone, 3, num_groups=4, keep=0.3, encoder="copy")
    variables = jax.jit(model.init)(jax.random.key(1), x)
    train = partial(
        fit,
        model,
        variables,
        (x, y),
        loss="softmax_cross_entropy",
        penalties={"coverage": 0.1, "diversity": 0.1},
        batch_size=7,
        epochs=8,
        validation=(x, y),
        progress=False,
    )
    alone, together = train(devices=1), train(devices=3, backend=backend)
    assert difference(together.variables, alone.variables) < 1e-6
    assert together.history[-1]["validation"] == pytest.approx(
        alone.history[-1]["validation"], rel=1e-5
    )


@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
def test_devices_hold_bitwise_the_same_state(rows, variables, backend, monkeypatch):
    call, seen = ParallelChunk.__call__, []

    def watched(chunk, *arguments):
        state, metrics = call(chunk, *arguments)
        for leaf in jax.tree.leaves((state.params, state.opt_state, metrics)):
            copies = [np.asarray(s.data) for s in leaf.addressable_shards]
            assert len(copies) == 3
            assert all(c.tobytes() == copies[0].tobytes() for c in copies)
        seen.append(int(state.step))
        return state, metrics

    monkeypatch.setattr(ParallelChunk, "__call__", watched)
    monkeypatch.setattr(shares, "_MOST_BYTES", 600)  # chunks of two steps
    quick(variables, rows, devices=3, backend=backend, penalties=STRENGTHS)
    assert seen == [2, 4, 6, 8, 10, 12]


def test_one_compilation_for_all_chunks(rows, variables, monkeypatch, caplog):
    monkeypatch.setattr(shares, "_MOST_BYTES", 900)  # chunks of three steps and of one
    with jax.log_compiles():
        quick(variables, rows, devices=2, validation=rows)
    names = [m.split("jit(")[1].split(")")[0] for m in caplog.messages if "XLA" in m]
    assert count_compilations(caplog, "_fun") == 2, names  # pmap's name for both
    assert count_compilations(caplog, "scan") == 0


def test_dropout_differs_between_devices():
    """Two devices with the same rows: the same masks would give one gradient twice."""
    parallel = choose_devices(2)

    def draw(same, own, _):
        key = jax.random.fold_in(same, jax.lax.axis_index(AXIS))
        mask = jax.random.bernoulli(key, shape=(64,)).astype(jnp.float32)
        return jax.lax.psum(mask, AXIS)

    masks = parallel.program(draw)(
        parallel.same(jax.random.key(0)), parallel.split(np.zeros(2)), np.int32(0)
    )
    assert set(np.unique(masks)) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("name", STRENGTHS)
@pytest.mark.parametrize(
    ("backend", "weighted"), first_quick([("pmap", True), ("shard_map", False)])
)
def test_penalties_of_split_batches(name, backend, weighted):
    """Value and gradient, also where a penalty is no sum over rows."""
    rng = np.random.default_rng(3)
    model = NAE(num_experts=3, hidden=(4,))
    x = rng.normal(size=(12, 3)).astype(np.float32)
    weight = rng.uniform(size=12).astype(np.float32) * (np.arange(12) < 9)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    penalty = penalties.PENALTIES[name]

    def objective(params, x, weight, axis_name=None):
        output = model.apply({"params": params}, x)
        return penalty(output, weight if weighted else None, axis_name)

    def split(params, own, _):
        value, slope = jax.value_and_grad(objective)(params, *own, AXIS)
        # Every device returns the same penalty: the gradient is that of their sum.
        return value, jax.lax.pmean(slope, AXIS)

    parallel = choose_devices(4, backend)
    own = tuple(a.reshape(4, 3, *a.shape[1:]) for a in (x, weight))
    value, slope = parallel.program(split)(
        parallel.same(variables["params"]), parallel.split(own), np.int32(0)
    )
    wanted = jax.jit(jax.value_and_grad(objective))(variables["params"], x, weight)
    for ours, theirs in zip(
        *map(jax.tree.leaves, ((value, slope), wanted)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("devices", first_quick([3, 2, 8]))
def test_validation_on_many_devices(rows, variables, devices):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1500, 2)).astype(np.float32)
    batch = make_batch(x, x[:, 0] ** 2, rng.uniform(size=1500), on_host=True)
    parallel = choose_devices(devices)
    evaluate = make_evaluate(MODEL, losses.squared, parallel)
    together = evaluate(parallel.same(variables), batch)
    alone = make_evaluate(MODEL, losses.squared)(variables, batch)
    assert together == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_processes_share_every_batch_without_overlap(seed, monkeypatch):
    """Each row of a batch is worked on once, by the process that has it."""
    rng = np.random.default_rng(seed)
    counts = tuple(rng.integers(1, 60, size=rng.integers(1, 5)).tolist())
    total = sum(counts)
    size = int(rng.integers(1, total + 1))
    order = np.stack([rng.permutation(total)[:size] for _ in range(5)])
    devices = int(rng.integers(1, 4))
    parallel = DataParallel(tuple(jax.devices()[:devices]))
    # A capacity that is too small must grow.
    plan = Shares(parallel, counts, 5, size, -(-size // (len(counts) * devices)), 0)
    found = [[] for _ in order]
    shapes = set()
    for process, first in enumerate(np.cumsum((0, *counts[:-1]))):
        monkeypatch.setattr(jax, "process_index", lambda p=process: p)
        parallel.__dict__["own_devices"] = list(parallel.devices)
        places, used = plan.places(order)
        assert (places >= 0).all() and (places < counts[process]).all()
        shapes.add(places.shape)
        for step, mine in enumerate(found):
            mine += (places[:, step][used[:, step] == 1] + first).tolist()
    assert len(shapes) == 1
    assert [sorted(mine) for mine in found] == [sorted(o.tolist()) for o in order]


def test_the_budget_holds_two_shares(rows):
    batch = make_batch(*rows, on_host=True)
    parallel = choose_devices(4)
    plan = plan_shares(parallel, batch, (70,), (1, 4, 16), budget=400)
    assert (plan.steps, plan.capacity, plan.data_bytes) == (2, 4, 2 * 2 * 4 * 16)
    with pytest.raises(ValueError, match=r"is 127 bytes, but 4 rows .* need 128: pass"):
        plan_shares(parallel, batch, (70,), (1, 4, 16), budget=127)


def test_which_devices():
    first, *others = jax.devices()
    assert choose_devices(1) is None and choose_devices(None) is None
    assert choose_devices([others[0]]).devices == (others[0],)
    assert choose_devices(3, "shard_map").devices == tuple(jax.devices()[:3])
    jax.config.update("jax_default_device", None)
    try:
        assert choose_devices(None).devices == tuple(jax.devices())
    finally:
        jax.config.update("jax_default_device", first)
    assert over_processes(2**40 + 3) == (2**40 + 3,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "devices is 0, expected 1 to 8"),
        ((9,), "devices is 9, expected 1 to 8"),
        (([],), "expected a number, or different ones"),
        ((["gpu"],), "expected a number, or different ones"),
        ((2, "threads"), "backend is 'threads', expected one of"),
    ],
)
def test_devices_that_are_not_there(arguments, message):
    with pytest.raises(ValueError, match=message):
        choose_devices(*arguments)


def test_the_same_device_twice():
    with pytest.raises(ValueError, match="different ones"):
        choose_devices([jax.devices()[0]] * 2)


@pytest.mark.slow
def test_a_trained_model_lies_where_new_arrays_do(rows, variables):
    result = quick(variables, rows, devices=4, epochs=1)
    (place,) = {d for a in jax.tree.leaves(result.variables) for d in a.devices()}
    assert place == jax.devices()[0]
    jax.jit(MODEL.apply)(result.variables, rows[0])
