"""Which cases of a test run when: always, as slow tests, before a release only."""

import pytest


def first_quick(cases, quick=1, slow=1000):
    """The first cases as they are, as many marked slow as said, the rest exhaustive."""
    cases = list(cases)
    marks = [()] * quick + [pytest.mark.slow] * slow
    marks += [pytest.mark.exhaustive] * len(cases)
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=mark)
        for case, mark in zip(cases, marks, strict=False)
    ]


def sampled(cases, chosen, tier="slow"):
    """The chosen cases in a tier of slow tests, the others of the grid exhaustive."""
    cases = list(cases)
    assert set(chosen) < set(cases)
    return [
        pytest.param(
            *case, marks=getattr(pytest.mark, tier if case in chosen else "exhaustive")
        )
        for case in cases
    ]
