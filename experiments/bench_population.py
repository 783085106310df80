"""Time of a population of members beside as many trainings one after another.

Command: python experiments/bench_population.py [--quick] [--members 64]
Time: about 4 minutes on two cores; --quick half a minute.
Expected: on a CPU a step of the population takes at most 1.2 times what its members'
own steps take; on an H200 a fiftieth (small) and a twenty-fifth (large), and a whole
training, half of it compilation, less than a fifth of the time.

Members are 8 strengths of the expert variance penalty times seeds, on 2,000 rows of 8
features. Contenders take turns, so that a drift of the machine hits both; the tables
hold medians. Every whole training counts what it compiles; `naejax.fit` keeps programs
for the next training of one kind, so the loop compiles once for each strength.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from naejax import NAE, fit, losses
from naejax.train.batch import make_batch
from naejax.train.chunk import RunChunk
from naejax.train.members import MemberPrograms, Scalars
from naejax.train.population import fit_population
from naejax.train.step import init_state, make_train_step

STRENGTHS = (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)
ROWS, FEATURES, BATCH = 2000, 8, 64
MODELS = {
    "small": NAE(num_experts=32, top_k=8, hidden=(32, 32), dropout=0.1),
    "large": NAE(num_experts=32, top_k=8, hidden=(64, 64, 64, 64)),
}


def make_data():
    """Rows with an interaction, a curve and noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + rng.normal(0, 0.3, ROWS)
    return x, y.astype(np.float32)


def initial(model, x, members):
    """Initial variables of all members, on the host."""
    keys = jax.random.split(jax.random.key(0), members)
    start = jax.jit(jax.vmap(model.init, in_axes=(0, None)))
    return jax.device_get(start(keys, x[:1]))


def seconds(run):
    """Seconds that a call takes until its arrays are there."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def step_times(model, data, members, steps, repeats):
    """Milliseconds of a step of one model, and of one of the population."""
    x, y = data
    variables = initial(model, x, members)
    batch, rng = make_batch(x, y), np.random.default_rng(0)
    order = rng.integers(0, ROWS, (members, steps, BATCH)).astype(np.int32)
    optimizer = optax.adamw(1e-3)
    single = RunChunk(
        make_train_step(model, losses.squared, optimizer, {"expert_variance": 0.1})
    )
    programs = MemberPrograms(model, losses.squared, 1000, 0.0, None)
    ones = np.ones(members, np.float32)
    own = programs.send(
        Scalars(1e-3 * ones, 1e-2 * ones, {"expert_variance": 0.1 * ones})
    )
    sent, seeds = programs.send(order), programs.send(np.arange(members))
    first = jax.tree.map(lambda a: a[0], variables)

    def one():
        state = init_state(jax.tree.map(jnp.array, first), optimizer, 0)
        jax.block_until_ready(state)
        return seconds(lambda: single(state, batch, order[0]))

    def all_members():
        state = programs.start(programs.send(variables), own, seeds)
        jax.block_until_ready(state)
        count = np.int32(steps)
        return seconds(lambda: programs.run_chunk(state, own, batch, sent, count))

    one(), all_members()
    times = np.array([(one(), all_members()) for _ in range(repeats)])
    return 1e3 * np.median(times, axis=0) / steps


def whole_times(model, data, members, epochs):
    """Seconds of trainings one after another, and of the population."""
    x, y = data
    variables = initial(model, x, members)
    strengths = np.repeat(STRENGTHS, members // len(STRENGTHS))
    seeds = np.tile(np.arange(members // len(STRENGTHS)), len(STRENGTHS)).tolist()
    cut = ROWS * 4 // 5
    options = {"epochs": epochs, "batch_size": BATCH, "progress": False}

    def one_by_one():
        for m, (strength, seed) in enumerate(zip(strengths, seeds, strict=True)):
            fit(
                model,
                jax.tree.map(lambda a, m=m: a[m], variables),
                (x[:cut], y[:cut]),
                validation=(x[cut:], y[cut:]),
                penalties={"expert_variance": float(strength)},
                seed=seed,
                devices=1,
                **options,
            )

    def together():
        fit_population(
            model,
            variables,
            data,
            np.broadcast_to(np.arange(cut), (members, cut)),
            validation_rows=np.broadcast_to(
                np.arange(cut, ROWS), (members, ROWS - cut)
            ),
            penalties={"expert_variance": strengths},
            seeds=seeds,
            **options,
        )

    return seconds(one_by_one), seconds(together)


def main():
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer members and steps")
    parser.add_argument("--members", type=int, default=64, help="a multiple of 8")
    options = parser.parse_args()
    members = 8 if options.quick else options.members
    models = {"small": MODELS["small"]} if options.quick else MODELS
    data, device = make_data(), jax.devices()[0]
    print(f"{len(jax.devices())} x {device.device_kind}, {members} members")
    print(f"{'a step':8} {'one, ms':>9} {'all, ms':>9} {'all / (members x one)':>23}")
    for name, model in models.items():
        steps, repeats = (2, 1) if options.quick else (10, 7)
        one, every = step_times(model, data, members, steps, repeats)
        share = every / (members * one)
        print(f"{name:8} {one:9.2f} {every:9.2f} {share:23.2f}", flush=True)
    print(f"{'whole':8} {'loop, s':>9} {'all, s':>9} {'loop / all':>23}")
    model, epochs = MODELS["small"], 1 if options.quick else 10
    loop, every = whole_times(model, data, members, epochs)
    print(f"{'small':8} {loop:9.1f} {every:9.1f} {loop / every:23.2f}")


if __name__ == "__main__":
    main()
