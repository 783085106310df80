"""Exact errors of feature and group attributions on two polynomials over {0, 1}^d.

Command: python experiments/sop_theory.py [--publish | --out FOLDER] [--quick]
Time: about 10 seconds on two cores.
Score: the best attribution per feature errs by C(d, d // 2) - 1 in total on the
monomial and by 2^(d / 3 + 1) on the binomial from d = 6 on; one group per monomial: 0.

With x = (1, ..., 1), x_S = x outside of which features are 0, the total over all 2^d
subsets S of

    insertion error  |f(x_S) - f(0) - sum of alpha_i over i in S|
    deletion error   |f(x) - f(x without S) - sum of alpha_i over i in S|

and for groups G_i with coefficients c_i in place of the sum: insertion adds the c_i of
groups inside S, deletion those of groups that meet S. The monomial is the product of
all features; the binomial prod(A, B) + prod(B, C) for three equal parts A, B, C.
"""

from math import comb

import jax
import jax.numpy as jnp
import numpy as np
from publish import at_least_one, deliver, make_parser, table
from scipy.optimize import linprog

from naejax.explain.figure import new_figure

# A subset, and a monomial too, is a whole number whose bit i stands for feature i. An
# array over subsets has 2^d entries, in the order of those numbers.


def monomial(d):
    """The product of all d features: its list of monomials."""
    return [2**d - 1]


def binomial(d):
    """Two products that share the middle third of the d features."""
    n = d // 3
    return [2 ** (2 * n) - 1, (2 ** (2 * n) - 1) << n]


def polynomial_values(monomials, d):
    """f(x_S) at every subset, (2^d,)."""
    subsets = np.arange(2**d)
    return sum((subsets & m == m).astype(float) for m in monomials)


def insertion(values):
    """What inserting S adds to f(0), (2^d,)."""
    return values - values[0]


def deletion(values):
    """What deleting S takes from f(x), (2^d,): the complement of S is 2^d - 1 - S."""
    return values[-1] - values[::-1]


def subset_sums(alpha):
    """Sum of ``alpha`` over every subset, (2^d,), by doubling once per feature."""
    sums = np.zeros(1)
    for a in alpha:
        sums = np.concatenate([sums, sums + a])
    return sums


def feature_error(target, alpha):
    """Total error of an attribution per feature."""
    return np.abs(target - subset_sums(alpha)).sum()


def group_error(target, groups, coefficients, kind):
    """Total error of an attribution per group."""
    subsets = np.arange(target.size)
    predicted = np.zeros(target.size)
    for group, c in zip(groups, coefficients, strict=True):
        common = subsets & group
        predicted += c * (common == group if kind == "insertion" else common != 0)
    return np.abs(target - predicted).sum()


def split(values, i):
    """Values at the subsets without and with feature i, in the same order."""
    pairs = values.reshape(-1, 2, 2**i)
    return pairs[:, 0].ravel(), pairs[:, 1].ravel()


def shapley(values, d):
    """Shapley values: the mean over all orders of what a feature adds."""
    sizes = subset_sums(np.ones(d - 1)).astype(int)
    weights = np.array([1 / (d * comb(d - 1, k)) for k in range(d)])[sizes]
    parts = (split(values, i) for i in range(d))
    return np.array([weights @ (with_i - without) for without, with_i in parts])


def lime(values, d, width=0.25):
    """Slopes of the weighted least squares fit b + sum of alpha_i over i in S.

    All subsets count, with the kernel of LIME's code: ``exp(-D^2 / (2 width^2))``,
    where ``D = 1 - sqrt(|S| / d)`` is the cosine distance of S from x. No ridge.
    """
    sizes = subset_sums(np.ones(d))
    weights = np.exp(-((1 - np.sqrt(sizes / d)) ** 2) / (2 * width**2))
    gram = np.empty((d + 1, d + 1))
    gram[0, 0] = weights.sum()
    for i in range(d):
        with_i = split(weights, i)[1]
        gram[0, i + 1] = gram[i + 1, 0] = gram[i + 1, i + 1] = with_i.sum()
        for j in range(i):
            both = split(with_i, j)[1].sum()
            gram[i + 1, j + 1] = gram[j + 1, i + 1] = both
    products = weights * values
    moments = [products.sum(), *(split(products, i)[1].sum() for i in range(d))]
    return np.linalg.solve(gram, moments)[1:]


def integrated_gradients(monomials, d):
    """Gradients averaged from 0 to x; d nodes of Gauss and Legendre are exact."""
    members = [np.flatnonzero([m >> i & 1 for i in range(d)]) for m in monomials]

    def polynomial(x):
        return sum(jnp.prod(x[index]) for index in members)

    nodes, weights = np.polynomial.legendre.leggauss(d)
    with jax.enable_x64(True):
        points = np.outer((nodes + 1) / 2, np.ones(d))
        gradients = np.asarray(jax.jit(jax.vmap(jax.grad(polynomial)))(points))
    return weights / 2 @ gradients


def best_alpha(target, blocks):
    """The attribution per feature of least total error, by linear programming.

    A block holds features that may be exchanged without changing the target. The error
    is convex, so the mean of a best attribution over such exchanges is a best one too:
    one unknown per block suffices, and one equation per tuple of counts. With one
    block per feature this is the problem in full.

    Args:
        target: what S inserts or deletes, (2^d,).
        blocks: sizes of the blocks, which lie one after the other.

    Returns:
        The attribution, (d,).
    """
    edges = np.cumsum([0, *blocks])
    code, base, counts = np.zeros(target.size), 1, []
    for start, size in zip(edges[:-1], blocks, strict=True):
        ones = np.zeros(edges[-1])
        ones[start : start + size] = 1
        counts.append(subset_sums(ones))
        code += base * counts[-1]
        base *= size + 1
    _, first, multiplicity = np.unique(code, return_index=True, return_counts=True)
    matrix = np.stack(counts, 1)[first]
    slack = np.eye(first.size)
    solution = linprog(
        np.concatenate([np.zeros(len(blocks)), multiplicity]),
        A_ub=np.block([[-matrix, -slack], [matrix, -slack]]),
        b_ub=np.concatenate([-target[first], target[first]]),
        bounds=[(None, None)] * len(blocks) + [(0, None)] * first.size,
    )
    if not solution.success:
        raise RuntimeError(solution.message)
    return np.repeat(solution.x[: len(blocks)], blocks)


CASES = {
    "monomial, deletion": {
        "monomials": monomial,
        "target": deletion,
        "blocks": lambda d: [d],
        "sizes": lambda largest: range(2, largest + 1),
        "closed form": lambda d: comb(d, d // 2) - 1,
    },
    "binomial, insertion": {
        "monomials": binomial,
        "target": insertion,
        "blocks": lambda d: [d // 3] * 3,
        "sizes": lambda largest: range(3, largest + 1, 3),
        "closed form": lambda d: 2 if d == 3 else 2 ** (d // 3 + 1),
    },
}


def errors(name, d):
    """Total error of every attribution for one polynomial of d features."""
    case = CASES[name]
    monomials = case["monomials"](d)
    values = polynomial_values(monomials, d)
    target = case["target"](values)
    attributions = {
        "Shapley": shapley(values, d),
        "LIME": lime(values, d),
        "integrated gradients": integrated_gradients(monomials, d),
        "best per feature": best_alpha(target, case["blocks"](d)),
    }
    result = {k: feature_error(target, alpha) for k, alpha in attributions.items()}
    kind = case["target"].__name__
    ones = np.ones(len(monomials))
    return result | {"groups": group_error(target, monomials, ones, kind)}


def log_fit(sizes, totals):
    """Slope and intercept of the natural logarithm of the total against d."""
    return np.polyfit(list(sizes), np.log(totals), 1)


def draw(tables):
    """Total errors against d; the axis is logarithmic from 1 on and holds 0."""
    # Colours of Okabe and Ito, told apart by markers too.
    styles = {
        "Shapley": {"color": "#0072B2", "marker": "o", "linewidth": 4, "alpha": 0.5},
        "integrated gradients": {"color": "#CC79A7", "marker": "x", "linestyle": "--"},
        "LIME": {"color": "#E69F00", "marker": "s"},
        "best per feature": {"color": "#000000", "marker": "^"},
        "groups": {"color": "#D55E00", "marker": "D"},
    }
    figure = new_figure(figsize=(9, 3.6), dpi=80)
    axes = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for ax, (name, rows) in zip(axes, tables.items(), strict=True):
        for label, style in styles.items():
            totals = [row[label] for row in rows.values()]
            ax.plot(list(rows), totals, label=label, markersize=5, **style)
        ax.set_yscale("symlog", linthresh=1)
        ax.set(title=name, xlabel="features d")
        ax.set_xticks(list(rows)[:: 1 + len(rows) // 10])
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("total error over all subsets")
    axes[0].legend(frameon=False)
    return figure


def errors_table(name, rows):
    """A line for every number of features, and what the best ones grow like."""
    closed_form = CASES[name]["closed form"]
    lines = [
        [d, *(f"{number:,.1f}" for number in row.values()), f"{closed_form(d):,}"]
        for d, row in rows.items()
    ]
    labels = next(iter(rows.values()))
    slope, intercept = log_fit(rows, [row["best per feature"] for row in rows.values()])
    return (
        f"{name[0].upper()}{name[1:]}; the best per feature err by about "
        f"exp({slope:.3f} d {intercept:+.3f}):\n\n"
        f"{table(['d', *labels, 'best, closed form'], lines)}"
    )


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--largest", type=at_least_one, default=20, help="d, from 3")
    options = parser.parse_args()
    largest = 9 if options.quick else max(options.largest, 3)
    tables = {
        name: {d: errors(name, d) for d in case["sizes"](largest)}
        for name, case in CASES.items()
    }
    text = "\n\n".join(errors_table(name, rows) for name, rows in tables.items())
    deliver(options, "sop_theory", text, {"sop_theory": draw(tables)})


if __name__ == "__main__":
    main()
