"""Transformers in float64 numpy, from the equations, and parameters for them."""

import jax
import numpy as np
from scipy.special import erf


def random_variables(model, *inputs, seed=0):
    """Variables of a model, drawn without compiling its initialisers."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        values = rng.normal(0, 0.5, leaf.shape)
        values = 1 + values / 4 if path[-1].key == "scale" else values
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def dense(p, x):
    return x @ p["kernel"] + p["bias"]


def norm(p, x, epsilon):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + epsilon)
    return p["scale"] * x + p["bias"]


def attention(p, x, heads, weights):
    """One head after the other; weights (L,) say how much each position counts."""
    width = x.shape[-1] // heads
    query, key, value = np.split(dense(p["qkv"], x), 3, axis=-1)
    results = []
    for head in range(heads):
        at = slice(head * width, (head + 1) * width)
        logits = query[:, at] @ key[:, at].T / np.sqrt(width)
        a = weights * np.exp(logits)
        results.append(a / a.sum(-1, keepdims=True) @ value[:, at])
    return dense(p["out"], np.concatenate(results, axis=-1))


def network(p, x):
    h = dense(p["inner"], x)
    return dense(p["outer"], h * (1 + erf(h / np.sqrt(2))) / 2)


def blocks(model, p, h, weights, norm_first):
    """States (L, D) before the first block and after every one."""
    states = [h]
    for i in range(model.depth):
        q = p[f"block_{i}"]
        norms = [lambda x, n=q[f"norm_{j}"]: norm(n, x, model.epsilon) for j in (0, 1)]
        if norm_first:
            h = h + attention(q["attention"], norms[0](h), model.heads, weights)
            h = h + network(q["mlp"], norms[1](h))
        else:
            h = norms[0](h + attention(q["attention"], h, model.heads, weights))
            h = norms[1](h + network(q["mlp"], h))
        states.append(h)
    return states


def vit(model, variables, image, mask=None):
    """Scores and states of one image; mask (h, w) says which patches are seen."""
    p = jax.tree.map(np.float64, variables["params"])
    h, w, _ = p["positions"].shape
    patches = []
    for i in range(h):
        for j in range(w):
            s = model.patch
            pixels = image[i * s : (i + 1) * s, j * s : (j + 1) * s].ravel()
            patches.append(dense(p["patches"]["dense"], pixels) + p["positions"][i, j])
    first = (p["class_token"] + p["class_position"])[0]
    weights = np.ones(h * w) if mask is None else mask.ravel()
    weights = np.concatenate([[1], weights])
    states = blocks(model, p, np.concatenate([first, patches]), weights, True)
    return dense(p["classifier"], norm(p["norm"], states[-1][0], model.epsilon)), states


def bert(model, variables, tokens, types, present, kept=None):
    """Scores and states of one text."""
    p = jax.tree.map(np.float64, variables["params"])
    words = p["words"]["embedding"]
    kept = np.ones(len(tokens)) if kept is None else kept
    h = kept[:, None] * words[tokens] + (1 - kept[:, None]) * words[model.removed]
    h = h + p["types"]["embedding"][types] + p["positions"]["embedding"][: len(tokens)]
    states = blocks(model, p, norm(p["norm"], h, model.epsilon), present, False)
    return dense(p["classifier"], np.tanh(dense(p["pooler"], states[-1][0]))), states
