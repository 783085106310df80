# %% [markdown]
# # Wrap your own network, see the parts it uses
#
# Sum-of-Parts takes a trained network, a *backbone*, and shows it an image in groups
# of patches, one group at a time. The prediction is a weighted sum of the scores of
# the groups:
#
# > prediction = sum over groups of weight x score of the group
#
# so the groups are not a guess at what mattered: they are all that the prediction was
# made of. This notebook trains a small Flax network, wraps it, and draws the groups.
# It takes about a minute on two cores.
#
# On Colab, the next cell installs naejax. Here a GPU helps: pick one under *Runtime >
# Change runtime type* and write `[cuda12]` behind the name of the wheel (for a TPU
# `[tpu]`). JAX finds it; nothing changes in the code.

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
# ## Images whose parts are known
#
# Each image holds two shapes that decide its class (a square or a disc, and a
# triangle or a cross), and a third that does not. Since the images are drawn, we know
# the pixels that matter, and can check what the groups show. They cover less than a
# fifth of an image.

# %%
import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import naejax
from naejax.explain import metrics
from naejax.models.masking import PatchMasked

data = naejax.data.load_images("shapes", rows=4000)
train, test = data.training, data.test
figure, axes = plt.subplots(1, 6, figsize=(9, 1.8), dpi=80)
for ax, x, label in zip(axes, test.x, test.target, strict=False):
    ax.imshow(np.clip(0.5 + x / 2, 0, 1))
    ax.set_title(data.classes[label], fontsize=8)
    ax.set_axis_off()
print(f"pixels that matter: {test.parts.mean():.0%}")

# %% [markdown]
# ## Your network
#
# Any Flax module will do. It returns its scores; to be wrapped well, also the vector
# that its last layer sees (`pooled`) and an inner map that knows where things are
# (`features`).


# %%
class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        for width in (16, 32, 32):
            before = x
            x = nn.relu(nn.Conv(width, (3, 3))(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        pooled = nn.relu(nn.Dense(64)(x.reshape(len(x), -1)))
        scores = nn.Dense(4, name="classifier")(pooled)
        return naejax.BackboneOutput(scores, pooled, features=before)


# %% [markdown]
# It will see images with most patches removed (set to 0), so it must know such
# images: `PatchMasked` trains it on whole images and on masked ones. **A network that
# never saw a masked image answers nonsense on groups**; if yours is already trained,
# train it a little further like this.

# %%
masked = PatchMasked(Network(), grid=(8, 8))
trained = naejax.fit(
    masked,
    jax.jit(masked.init)(jax.random.key(0), train.x[:1]),
    (train.x, train.target),
    loss="softmax_cross_entropy",
    optimizer=4e-3,
    epochs=10,
    batch_size=32,
    progress=False,
)
params = trained.variables["params"]["model"]


def accuracy(scores):
    return f"{np.mean(np.argmax(scores, axis=1) == test.target):.1%}"


scores = naejax.predict(masked, trained.variables, test.x).prediction
print("network, test accuracy", accuracy(scores))

# %% [markdown]
# ## Wrap it
#
# `encoder="copy"`: a trainable copy of your network finds the groups, while the
# network itself stays frozen and scores them. Each group keeps a quarter of the
# patches of a 16 x 16 grid; there are eight.

# %%
backbone = naejax.backbones.from_linen(
    Network(), {"params": params}, class_weights=params["classifier"]["kernel"].T
)
model = naejax.SumOfParts(
    backbone,
    num_outputs=4,
    num_groups=8,
    keep=0.25,
    heads=4,
    encoder="copy",
    grid=(16, 16),
    blur=5,
    generator_scale=0.05,
    selector_scale=0.3,
)
start = jax.jit(model.init)(jax.random.key(0), train.x[:1])
result = naejax.fit(
    model,
    start,
    (train.x, train.target),
    loss="softmax_cross_entropy",
    optimizer=2e-3,
    epochs=2,
    batch_size=32,
    progress=False,
)
output = naejax.predict(model, result.variables, test.x)
print("network      ", accuracy(scores))
print("Sum-of-Parts ", accuracy(output.prediction))

# %% [markdown]
# A few points of accuracy are the price: no group sees the whole image.
#
# ## The groups
#
# A row is an image. Yellow: the pixels that matter. Then the groups in use, by how
# much they add; the rest of the image is pale, and the network did not see it. At the
# right, the sum.

# %%
figure = naejax.explain.plot_groups(
    test.x,
    output,
    classes=data.classes,
    y=test.target,
    parts=test.parts,
    examples=range(4),
    max_groups=4,
)
figure.set_dpi(70)
figure

# %% [markdown]
# It is exact, and you can check: show your network the pixels of one group, and it
# gives the score of that group.

# %%
image, group = 0, output.contributions[0].max(axis=1).argmax()
shown = test.x[image] * output.masks[image, group][..., None]
score = Network().apply({"params": params}, shown[None]).scores[0]
print("your network on that group:", np.round(score, 3))
print("score of the group:        ", np.round(output.group_scores[image, group], 3))
total = output.contributions.sum(axis=1)
print("prediction - sum:", float(abs(output.prediction - total).max()))

# %% [markdown]
# ## Do they find what matters?
#
# Of the pixels that the used groups keep, the share that lies on the deciding shapes:
# before and after training the groups. Groups picked blindly would have 18 %; and since
# a group keeps 25 % of the pixels, more than about 70 % cannot be.

# %%
for name, variables in {"before": start, "after": result.variables}.items():
    seen = naejax.predict(model, variables, test.x)
    union = naejax.explain.union_mask(seen)
    share = float(jnp.mean(metrics.object_ratio(union, test.parts)))
    print(f"{name:7} {share:.0%} of the pixels shown are on the shapes")

# %% [markdown]
# ## Where it is wrong
#
# Wrong answers are worth a look: a group may miss one of the two shapes, or cut off the
# corners of a square, so that what the network sees could as well be a disc.

# %%
wrong = np.flatnonzero(output.prediction.argmax(axis=1) != test.target)
figure = naejax.explain.plot_groups(
    test.x,
    output,
    classes=data.classes,
    y=test.target,
    parts=test.parts,
    examples=wrong[:2],
    max_groups=4,
)
figure.set_dpi(70)
figure

# %% [markdown]
# What a group shows is what the network *saw*, not why it answered so: inside a group
# the network is still a black box. And a group need not be what a person would call a
# part.
#
# Your own images: arrays of `(N, H, W, channels)`, where 0 is a neutral value. Your
# own sequences: `(N, L, ...)`. Networks in NNX, plain functions and torch modules
# work too: `naejax.backbones.from_nnx`, `from_function`, `from_torch`. From the
# command line:
# `naejax train --model sop --data images.npz --out runs/images`.
