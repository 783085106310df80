# %% [markdown]
# # A model of a table that you can read
#
# `naejax.NAERegressor` is used like any scikit-learn estimator. Its prediction is a
# sum:
#
# > prediction = bias + one contribution per column
#
# so that you can see what every column added to every row. This notebook goes from
# two tables to pictures and to a report in one file. It takes about a minute.
#
# On Colab, the next cell installs naejax. Nothing here needs a GPU; to use one, pick
# it under *Runtime > Change runtime type* and write `[cuda12]` (for a TPU `[tpu]`)
# behind the name of the wheel. JAX finds it; nothing changes in the code.

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
# ## Fit
#
# The diabetes table of scikit-learn: 442 patients, ten measurements, and how far the
# disease went in a year. We keep a quarter of the patients for testing, and let a
# linear model and gradient boosting compete.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

import naejax

x, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
x = x.rename(columns={"s1": "cholesterol", "s2": "ldl", "s3": "hdl", "s4": "ratio"})
x = x.rename(columns={"s5": "triglycerides", "s6": "glucose"})
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)

model = naejax.NAERegressor(calibration_fraction=0.2).fit(x_train, y_train)

rivals = [LinearRegression(), HistGradientBoostingRegressor(random_state=0)]
for each in [model, *(rival.fit(x_train, y_train) for rival in rivals)]:
    print(f"{type(each).__name__:30} R2 {each.score(x_test, y_test):.2f}")

# %% [markdown]
# On a table this small straight lines are hard to beat, and boosting, which is more
# flexible, does worse. naejax looks at the number of rows and keeps its model simple.
# If a linear model is as good on your table, you may well prefer it.
#
# ## What the model learnt
#
# Each panel is one column, the most important first. The line is what the column adds
# to the prediction, on average; grey bars say where the patients are. The *other*
# columns may change what a column adds: eight of ten patients lie in the blue band,
# and none can leave the dashed lines, the **context range**. Here the band is thin:
# the model is nearly a plain sum of curves.

# %%
explanation = model.explain(x_test)
figure = explanation.plot(max_panels=6)
figure.set_dpi(70)
figure

# %% [markdown]
# ## One patient
#
# The same sum for a single row: from the mean score, column by column, to the
# prediction.

# %%
figure = explanation.plot_row(0)
figure.set_dpi(70)
figure

# %% [markdown]
# It is a sum, not an approximation of one. As a table:

# %%
parts = explanation.to_frame()
total = parts.filter(like="contribution:").sum(axis=1) + parts["bias"]
print("largest difference from the prediction:", abs(total - parts["prediction"]).max())
parts.iloc[:3, :6].round(1)

# %% [markdown]
# ## How sure is it?
#
# A context range is **not** an uncertainty: it says how far the other columns can
# move a contribution, not how wrong the model may be. For that,
# `calibration_fraction` above held back a fifth of the rows, and `predict_interval`
# turns their errors into intervals that hold 90 % of new values (conformal
# prediction; on average over tables like this one).

# %%
low, high = model.predict_interval(x_test, alpha=0.1).T
inside = np.mean((low <= y_test) & (y_test <= high))
print(f"{inside:.0%} of the test patients are inside")
print(f"an interval is {high[0] - low[0]:.0f} wide")

# %% [markdown]
# The target goes from 25 to 346, so that is more than half of its range: these ten
# measurements do not tell much about a single patient, and the interval says so.
#
# ## When one curve per column is not enough
#
# A second table, made up, so that we know the truth: the energy that homes need in a
# month. Cold weather costs, but in homes with a heat pump far less; and heat pumps
# cool in summer. There is text, and one reading in ten is missing: no preparation is
# needed.

# %%
rng = np.random.default_rng(0)
n = 3000
heating = rng.choice(["gas", "electric", "heat pump"], n)
homes = pd.DataFrame(
    {
        "outdoor": rng.uniform(-10, 35, n),
        "heating": heating,
        "area": rng.uniform(40, 200, n),
        "people": rng.integers(1, 6, n),
        "floor": rng.integers(0, 9, n),
    }
)
slope = pd.Series(heating).map({"gas": 0.0, "electric": 25.0, "heat pump": 8.0})
cold, hot = (18 - homes["outdoor"]).clip(0), (homes["outdoor"] - 22).clip(0)
energy = 100 + 60 * homes["people"] + homes["area"] + slope * cold
energy += 12 * hot * (heating == "heat pump") + rng.normal(0, 20, n)
homes.loc[rng.random(n) < 0.1, "outdoor"] = np.nan
homes.head(3)

# %%
h_train, h_test, e_train, e_test = train_test_split(homes, energy, random_state=0)
additive = naejax.NAERegressor(gate="none").fit(h_train, e_train)
context = naejax.NAERegressor(expert_variance=3.0).fit(h_train, e_train)
for name, each in {"one curve per column": additive, "with context": context}.items():
    print(f"{name:22} R2 {each.score(h_test, e_test):.3f}")

# %% [markdown]
# One curve per column cannot say that the cold costs some homes more than others. The
# penalty `expert_variance` sets how much context may say: 0 leaves it free, large
# values forbid it (the next notebook turns it). Small tables get a large one by
# default, so we asked for less. Now the band of `outdoor` is wide in the cold:

# %%
seen = context.explain(h_test)
figure = seen.plot(max_panels=4)
figure.set_dpi(70)
figure

# %% [markdown]
# Who makes the band? A point is a home, its height what `outdoor` adds in that home:

# %%
figure, ax = plt.subplots(figsize=(6, 3), dpi=80)
adds = seen.to_frame()["contribution:outdoor"].to_numpy()
for kind in ("electric", "heat pump", "gas"):
    rows = (h_test["heating"] == kind).to_numpy()
    ax.scatter(h_test["outdoor"][rows], adds[rows], s=5, label=kind)
ax.set(xlabel="outdoor", ylabel="added to the energy")
ax.legend()
figure.tight_layout()

# %% [markdown]
# Three curves, nearly as we made them: gas pays next to nothing for the cold, and
# heat pumps pay for the heat, too. Where `outdoor` is missing, nothing tells how cold
# it was, and the error is large; elsewhere it is little more than the noise we put in
# (16 on average):

# %%
error = np.abs(context.predict(h_test) - e_test)
is_missing = h_test["outdoor"].isna()
print(f"mean error: outdoor known {error[~is_missing].mean():.0f}", end=", ")
print(f"missing {error[is_missing].mean():.0f}")

# %% [markdown]
# ## Adding up is not being true
#
# Here is the same model with a smaller penalty, and the mean size of what each column
# adds:

# %%
freer = naejax.NAERegressor(expert_variance=0.1).fit(h_train, e_train)
models = {"penalty 3": context, "penalty 0.1": freer}
sizes = {name: m.explain(h_test).importance[:, 0] for name, m in models.items()}
sizes = pd.DataFrame(sizes, index=seen.names)
sizes.loc["R2"] = [m.score(h_test, e_test) for m in models.values()]
sizes.round(2)

# %% [markdown]
# The scores are the same, but the freer model books part of the cold's cost on
# `floor`, which in truth does nothing. Its parts add up to the prediction all the
# same. How columns that act together share an effect is the model's choice, not a
# fact about the world: take the largest penalty whose score you can afford. The next
# notebook shows how to find it.

# %% [markdown]
# ## The report, and the model as a file
#
# One HTML page, for people who do not write Python: scores, cautions, shapes, rules
# in words, single rows. It needs no network. The model is saved without pickle.

# %%
out = Path("out")
out.mkdir(exist_ok=True)
naejax.report(context, h_test, e_test, out / "homes.html", title="Energy of homes")
naejax.save(out / "homes.safetensors", context)
again = naejax.load(out / "homes.safetensors")
assert np.array_equal(again.predict(h_test), context.predict(h_test))
sorted(path.name for path in out.iterdir())
