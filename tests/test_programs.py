"""Trainings compile once, and those of one kind share what was compiled."""

from functools import partial

import jax
import numpy as np
import pytest
from test_train import MODEL, all_equal, count_compilations, quick

from naejax import NAE, fit
from naejax.train import loop, programs
from naejax.train.order import epoch_shape


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).normal(size=(96, 2)).astype(np.float32)
    return x, x[:, 0]


@pytest.fixture(scope="module")
def variables(data):
    return jax.jit(MODEL.init)(jax.random.key(0), data[0])


@pytest.fixture(autouse=True)
def no_programs_of_other_tests():
    programs.kept_programs.cache_clear()


def test_one_compilation_for_a_whole_training(data, variables, monkeypatch):
    traces = []
    original = programs.make_train_step

    def counted(*args):
        step = original(*args)

        def call(state, batch):
            traces.append(batch.x.shape)
            return step(state, batch)

        return call

    monkeypatch.setattr(programs, "make_train_step", counted)
    monkeypatch.setattr(loop, "epoch_shape", partial(epoch_shape, chunk_steps=2))
    result = quick(variables, data, batch_size=10, epochs=4)
    # 9 steps an epoch in chunks of at most 2: five chunks of one step, one shape.
    assert traces == [(10, 2)]
    assert len(result.history) == 4


def test_a_second_training_of_the_same_kind_compiles_nothing(data, variables, caplog):
    first = quick(variables, data, validation=data)
    with jax.log_compiles():
        again = quick(variables, data, validation=data)
        assert not any("Finished XLA compilation" in m for m in caplog.messages)
        quick(variables, data, validation=data, penalties={"output_energy": 1.0})
    assert count_compilations(caplog, "scan") == 1
    assert all_equal(first.variables, again.variables)


def test_a_loss_that_reads_a_global_is_read_anew(data, variables):
    scale = 1.0

    def scaled(score, target):
        return scale * (score[:, 0] - target) ** 2

    still = partial(quick, variables, data, loss=scaled, epochs=1, optimizer=1e-30)
    first = still().history[0]["loss"]
    scale = 2.0
    assert still().history[0]["loss"] == pytest.approx(2 * first)


def test_a_module_without_a_hash_trains(data):
    model = NAE(num_experts=3, hidden=[8])
    with pytest.raises(TypeError):
        hash(model)
    quick = partial(fit, model, progress=False, batch_size=32, epochs=1)
    quick(model.init(jax.random.key(0), data[0]), data)


def test_the_estimate_and_the_training_share_their_programs(data, variables, caplog):
    with jax.log_compiles():
        quick(variables, data, validation=data)
    assert count_compilations(caplog, "scan") == 1
    assert count_compilations(caplog, "sums") == 1


def test_an_offset_for_other_outputs_is_refused(data, variables):
    x, y = data
    with pytest.raises(ValueError, match="offset has 3 columns, but the model 1"):
        quick(variables, (x, y, None, np.zeros((96, 3))))


def test_read_only_rows_are_read(data, variables):
    rows = [np.array(a) for a in data]
    for a in rows:
        a.flags.writeable = False
    quick(variables, tuple(rows), epochs=1)
