"""NAE and its additive case, in the shape of the other methods.

The neural additive model of Siems et al. (NeurIPS 2023, arXiv 2305.11475) adds their
mean |correlation| of contributions to the loss. Theirs switches it on after 5 % of the
steps; here it is on from the first.
"""

from baselines.training import Method, squared
from naejax import NAE, penalties


def nae(expert_variance, num_experts=8, hidden=(64, 64)):
    """NAE with two active experts; its note is the mean width of a context range."""
    model = NAE(num_experts=num_experts, top_k=2, hidden=hidden)

    def width(params, x):
        experts = model.apply(params, x).experts
        return (experts.max(axis=2) - experts.min(axis=2)).mean()

    method = _method(model, {"expert_variance": expert_variance})
    return method._replace(note=width, note_name="sd, range of a column")


def nam(concurvity=0.0, hidden=(64, 64)):
    """One network per column."""
    return _method(
        NAE(num_experts=1, gate="none", hidden=hidden), {"concurvity": concurvity}
    )


def _method(model, strengths):
    """A model of naejax whose loss has some penalties."""

    def loss(params, x, y, key):
        output = model.apply(params, x, train=True, rngs={"dropout": key})
        terms = (
            strength * getattr(penalties, name)(output)
            for name, strength in strengths.items()
            if strength
        )
        return squared(output.prediction[:, 0], y) + sum(terms)

    def predict(params, x):
        return model.apply(params, x).prediction[:, 0]

    return Method(model.init, (loss,), predict)
