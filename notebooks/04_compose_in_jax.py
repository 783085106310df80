# %% [markdown]
# # naejax as a set of JAX functions
#
# For those who write their own training. `naejax.NAE` is a Flax Linen module: `init`
# and `apply` are pure functions, `apply` returns a NamedTuple with the prediction and
# all its parts, and losses, penalties and the training step are plain functions.
# Everything composes with `jit`, `grad`, `vmap` and `pmap`. This notebook takes about
# a minute.
#
# On Colab, the next cell installs naejax. For a GPU or TPU pick one under *Runtime >
# Change runtime type* and write `[cuda12]` or `[tpu]` behind the name of the wheel.

# %%
import subprocess
import sys

# On Colab: upload the wheel that `pip wheel --no-deps .` makes in a checkout of naejax,
# or write "git+" and the address of a git repository here. Elsewhere this cell does
# nothing; in the checkout, once: pip install '.[plot]' pandas notebook
NAEJAX = "naejax-0.1.0-py3-none-any.whl"
if "google.colab" in sys.modules:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", NAEJAX], check=True)

# %% [markdown]
# Four pretended CPU devices, so that `pmap` below has something to do on a laptop.
# This must come before JAX computes anything (otherwise restart the kernel). On a
# machine with GPUs or TPUs it changes nothing.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

import naejax
from naejax import NAE, penalties
from naejax.train.batch import Batch
from naejax.train.step import init_state, make_train_step

jax.config.update("jax_num_cpu_devices", 4)
print(jax.devices())

# %% [markdown]
# ## A pure function of parameters and rows
#
# Data: `x1` decides whether `x0` counts up or down, and a few targets are far off.

# %%
data = naejax.data.make_synthetic("switch", rows=2048, noise=0.05)
rng = np.random.default_rng(0)
x = jnp.asarray(data.x, jnp.float32)
y = data.y + 3 * rng.standard_t(1.5, len(data.y)) * (rng.random(len(data.y)) < 0.1)
y = jnp.asarray(y, jnp.float32)

model = NAE(num_experts=8, hidden=(32, 32))
variables = jax.jit(model.init)(jax.random.key(0), x[:1])
output = jax.jit(model.apply)(variables, x)
print(jax.tree.map(jnp.shape, output._asdict()))

# %% [markdown]
# Two promises that hold for any parameters, trained or not: the parts add up, and no
# contribution leaves the range of its experts.

# %%
total = output.bias + output.contributions.sum(axis=1)
low, high = naejax.contribution_range(output)
print("prediction - sum:", float(abs(output.prediction - total).max()))
inside = (low <= output.contributions) & (output.contributions <= high)
print("inside the range:", f"{float(inside.mean()):.1%}")

# %% [markdown]
# ## Your own loss and optimiser
#
# A loss is `loss(score (B, C), target) -> (B,)`. This one is the negative
# log-likelihood of Student's t with 2 degrees of freedom, which shrugs at outliers.
# Any optax optimiser will do. `naejax.fit` does the rest: batches, all devices, and
# with `validation` and `patience` early stopping.


# %%
def student_t(score, target):
    return 1.5 * jnp.log1p(((score[:, 0] - target) / 0.1) ** 2 / 2)


optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.lion(3e-4))
result = naejax.fit(
    model,
    variables,
    (x, y),
    loss=student_t,
    optimizer=optimizer,
    penalties={"expert_variance": 0.01},
    epochs=30,
    progress=False,
)
plain = naejax.fit(model, variables, (x, y), optimizer=3e-3, epochs=30, progress=False)

fresh = naejax.data.make_synthetic("switch", rows=1000, noise=0.0, seed=1)
for name, each in {"student t": result, "squared": plain}.items():
    score = naejax.predict(model, each.variables, fresh.x).prediction[:, 0]
    print(f"{name:10} error on fresh rows {np.abs(score - fresh.signal).mean():.3f}")

# %% [markdown]
# ## Your own training loop
#
# If you would rather have the loop in your hands: a loss over `apply`, penalties as
# functions of the output, `jax.grad`, and `lax.scan` over steps. Nothing below is
# naejax but `model.apply` and `penalties`.


# %%
def objective(params, x, y, strength):
    output = model.apply({"params": params}, x, train=True)
    penalty = penalties.expert_variance(output)
    return student_t(output.prediction, y).mean() + strength * penalty


def train(key, strength, steps=400, batch_size=256):
    key, start = jax.random.split(key)
    params = model.init(start, x[:1])["params"]
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, steps))

    def step(carry, key):
        params, state = carry
        rows = jax.random.randint(key, (batch_size,), 0, len(x))
        value, grads = jax.value_and_grad(objective)(params, x[rows], y[rows], strength)
        updates, state = optimizer.update(grads, state)
        return (optax.apply_updates(params, updates), state), value

    keys = jax.random.split(key, steps)
    (params, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), keys)
    return {"params": params}, losses


# %% [markdown]
# ## vmap: a whole ablation as one function call
#
# `train` is a pure function of a key and a number. `vmap` trains six models, each
# with its own seed and strength of the penalty, in one program.

# %%
strengths = jnp.array([0.0, 0.1, 1.0, 10.0, 100.0, 1000.0])
keys = jax.random.split(jax.random.key(1), len(strengths))
members, losses = jax.jit(jax.vmap(train))(keys, strengths)

outputs = jax.jit(jax.vmap(model.apply, in_axes=(0, None)))(members, x[:500])
figure, axes = plt.subplots(1, 6, figsize=(11, 2.2), sharey=True, dpi=80)
centred = outputs.contributions - outputs.contributions.mean(axis=1, keepdims=True)
for ax, strength, f in zip(axes, strengths, centred, strict=True):
    ax.scatter(x[:500, 0], f[:, 0, 0], c=np.where(x[:500, 1] > 0, "C0", "C1"), s=2)
    ax.set_title(f"penalty {strength:g}", fontsize=9)
    ax.set_xlabel("x0")
axes[0].set_ylabel("contribution of x0")
figure.tight_layout()

# %% [markdown]
# Colours say whether `x1` is positive. Without a penalty the contribution of `x0`
# goes both ways, as it should; a strong penalty forces one curve, and here nothing is
# left of it, because the truth has no additive part.
#
# ## Derivatives: who moves whom
#
# Contributions are functions of the row, so their Jacobian is one more
# transformation. `df_i / dx_j` with `i != j` is an interaction at a point; a plain
# additive model has none. Gates that pick experts jump, and a derivative does not see
# a jump, so for a ranking trust finite changes: `naejax.explain.context_effects`.


# %%
def contributions(row):
    return model.apply(result.variables, row[None]).contributions[0, :, 0]


jacobian = jax.jit(jax.vmap(jax.jacfwd(contributions)))(x[:500])
changes = naejax.explain.context_effects(model, result.variables, x[:500], x)
matrix = naejax.explain.interaction_matrix(changes)[..., 0]
with np.printoptions(precision=2, suppress=True):
    print("mean |df_i / dx_j|\n", np.asarray(abs(jacobian).mean(axis=0)))
    print("by finite changes\n", matrix)

# %% [markdown]
# `x0` and `x1` move each other, the other columns hardly anything. (How much of a
# pair's effect is booked on which of the two is the model's choice.)
#
# ## pmap: the same step on many devices
#
# `make_train_step` builds a pure `step(state, batch, axis_name=None)`. With the name
# of an axis, it sums gradients *and* the statistics of penalties over devices, so
# that four devices with a quarter of the rows each do what one device does with all.

# %%
devices = jax.local_devices()[:4]
optimizer = optax.adamw(1e-3)
step = make_train_step(model, student_t, optimizer, {"expert_variance": 0.1})
state = init_state(variables, optimizer, seed=0)
rows = 256 * len(devices)
batch = Batch(x[:rows], y[:rows], jnp.ones(rows))

one_device = jax.jit(step)
many_devices = jax.pmap(
    partial(step, axis_name="rows"), "rows", in_axes=(None, 0), devices=devices
)
shares = jax.tree.map(lambda a: a.reshape(len(devices), -1, *a.shape[1:]), batch)

alone, metrics = one_device(state, batch)
together, shared = many_devices(state, shares)
print("objective", float(metrics.objective), shared.objective)
largest = jax.tree.map(
    lambda a, b: abs(a - b[0]).max(), alone.opt_state, together.opt_state
)
print("largest difference in the optimiser:", max(map(float, jax.tree.leaves(largest))))

# %% [markdown]
# Every device holds the same state, one leading axis per device, and it agrees with
# that of one device but for rounding. `naejax.fit` does this by itself on all devices
# that JAX sees (`backend="shard_map"` takes `jax.shard_map` instead), pads uneven
# batches, and keeps one copy of the state.
#
# ## NNX
#
# If your code is in Flax NNX, a bridge makes the module an NNX module: parameters
# inside, called like a function, trained by `nnx.grad` and `nnx.Optimizer`.

# %%
module = nnx.bridge.ToNNX(model, rngs=nnx.Rngs(0)).lazy_init(x[:1])
nnx_optimizer = nnx.Optimizer(module, optax.adam(5e-3), wrt=nnx.Param)


@nnx.jit
def nnx_step(module, optimizer, x, y):
    def loss(module):
        output = module(x)
        return student_t(output.prediction, y).mean()

    value, grads = nnx.value_and_grad(loss)(module)
    optimizer.update(module, grads)
    return value


for number in range(101):
    rows = rng.integers(len(x), size=256)
    value = nnx_step(module, nnx_optimizer, x[rows], y[rows])
    if number % 50 == 0:
        print(f"step {number:3}  loss {value:.3f}")

# %% [markdown]
# The other way round, an NNX network can be the backbone of Sum-of-Parts, without any
# change: here an untrained one, on sequences of twelve steps.


# %%
class Recurrent(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(3, 16, rngs=rngs)
        self.scores = nnx.Linear(16, 2, rngs=rngs)

    def __call__(self, x):
        return self.scores(jnp.tanh(self.hidden(x)).max(axis=1))


backbone = naejax.backbones.from_nnx(Recurrent(nnx.Rngs(0)))
parts = naejax.SumOfParts(backbone, num_outputs=2, num_groups=4, keep=0.25, patch=1)
sequences = jax.random.normal(jax.random.key(0), (5, 12, 3))
sop = parts.init_with_output(jax.random.key(1), sequences)[0]
print("masks", sop.masks.shape, " contributions", sop.contributions.shape)
total = sop.contributions.sum(axis=1)
print("prediction - sum:", float(abs(sop.prediction - total).max()))
