# %% [markdown]
# # How additive should a model be?
#
# A sum of curves, one per column, is easy to read. But it cannot say that one column
# changes what another one does. Neural Additive Experts have a dial between the two:
# the penalty `expert_variance`. This notebook turns it, on data whose truth is known,
# and trains dozens of models at once. It takes about a minute.
#
# The next cell does something on Colab only. The more models at once, the more a GPU
# helps: pick one under *Runtime > Change runtime type* and write `[cuda12]` behind
# the name of the wheel. JAX finds it; nothing changes in the code.

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
# ## Data with a known truth
#
# Friedman's function is `10 sin(pi x0 x1) + 20 (x2 - 0.5)^2 + 10 x3 + 5 x4`, plus
# noise; `x5` does nothing. `x0` and `x1` act together, the others alone. Since the
# equation is known, so are two limits on test rows: the error of the truth itself,
# which is the noise, and that of the best *sum of curves*.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import naejax
from naejax.explanation import explain_table
from naejax.settings import Settings

kind = {"features": 6, "noise": 0.5}
data = naejax.data.make_synthetic("friedman1", rows=2000, seed=0, **kind)
fresh = naejax.data.make_synthetic("friedman1", rows=1000, seed=1, **kind)
x = pd.DataFrame(data.x, columns=data.feature_names)
x_test = pd.DataFrame(fresh.x, columns=fresh.feature_names)

curves = [curve(values) for curve, values in zip(data.shapes, fresh.x.T, strict=True)]
best_sum, best_of_all = np.std(fresh.y - sum(curves)), np.std(fresh.y - fresh.signal)
print(f"error of the best sum of curves {best_sum:.2f}, of the truth {best_of_all:.2f}")

# %% [markdown]
# ## The sweep
#
# Nine strengths of the penalty times three seeds: 27 models. Strengths, learning
# rates and seeds are numbers inside *one* compiled program, so all 27 train side by
# side.

# %%
strengths = [0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
settings = Settings(num_experts=8, hidden=(32, 32), dropout=0.0, epochs=40)
sweep = naejax.sweep(
    x,
    data.y,
    grid={"expert_variance": strengths},
    seeds=3,
    settings=settings,
    test=(x_test, fresh.y),
    progress=False,
)
print(f"{len(sweep.models)} models in {sweep.seconds:.0f} s")
means = sweep.to_frame().groupby("expert_variance").mean()
means[["test_rmse", "additivity"]].round(2)

# %% [markdown]
# ## The trade-off
#
# A point is a strength, the mean of its seeds; thin lines reach to the worst and the
# best seed. *Additivity* is the share of the contributions' variance that one curve
# per column explains. Down is better, to the right is easier to read.

# %%
ax = sweep.plot()
ax.axhline(best_sum, color="grey", linestyle="--", linewidth=1)
ax.axhline(best_of_all, color="grey", linestyle=":", linewidth=1)
for height, name in {best_sum: "best sum of curves", best_of_all: "the truth"}.items():
    ax.annotate(name, (0.01, height + 0.01), xycoords=("axes fraction", "data"))
ax.figure.set_dpi(80)
ax.figure

# %% [markdown]
# On the left, models beat anything that a sum of curves can do. Then the penalty
# forbids context step by step, and at the right end the model is all but a sum of
# curves, and about as good as the best one. `pick` takes the best validation score
# among what is additive enough:

# %%
picks = {"best": sweep.pick(), "best above 0.95": sweep.pick(additivity=0.95)}
for name, pick in picks.items():
    print(f"{name:15} {pick.settings}", end="  ")
    print(f"rmse {pick.test:.2f}  additivity {pick.additivity:.2f}")

# %% [markdown]
# ## What the dial does to the curves
#
# Three of the 27 models, and what each says of `x0` on fresh rows. Shaded: eight of
# ten rows. Dashed: the context range, which no row can leave. Black: the true curve.

# %%
columns = dict(zip(fresh.feature_names, fresh.x.T, strict=True))
grid = np.linspace(0, 1)
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3), dpi=80)
for ax, strength in zip(axes, [0.0, 3.0, 100.0], strict=True):
    row = np.flatnonzero(sweep.table["expert_variance"] == strength)[0]
    shape = explain_table(sweep.model(row), columns).shapes[0]
    naejax.explain.plot_shape(shape, ax)
    ax.plot(grid, data.shapes[0](grid), "k", lw=1)
    ax.set(xlabel=f"x0, penalty {strength:g}", ylabel="contribution", ylim=(-7, 4))
figure.tight_layout()

# %% [markdown]
# Look at the left panel: without a penalty the *mean* curve is less clear, too, since
# the model may move effects between columns. In the middle the score is as good and
# the curve is nearly the true one: a penalty is worth having even where the score
# needs none. Far too much of it flattens curves in the end;
# [`experiments/README.md`](../experiments/README.md) measures that on nine functions.
#
# ## Which part of the model does it?
#
# An ablation over the gate, the part that picks experts: `context` sees the whole
# row, `equal` gives the picked experts equal weights, `own` sees its own column only,
# `none` is one network per column (a neural additive model). Another gate is another
# program, so each compiles on its own.

# %%
gates = naejax.sweep(
    x,
    data.y,
    grid={"gate": ["context", "equal", "own", "none"]},
    seeds=2,
    settings=replace(settings, expert_variance=0.1),
    test=(x_test, fresh.y),
    progress=False,
)
means = gates.to_frame().groupby("gate", sort=False).mean()
means[["test_rmse", "additivity"]].round(2)

# %% [markdown]
# `own` and `none` are additive by construction and stay near the best sum of curves.
# Two seeds say little about small differences: more seeds cost little here, so take
# more.
#
# The command line does the same for a CSV file: `naejax sweep --data homes.csv
# --target price --out runs/sweep`. For any module and arrays of your own there is
# `naejax.train.population.fit_population`.
