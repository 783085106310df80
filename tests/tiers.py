"""Which cases of a test run when: always, as slow tests, before a release only."""

import pytest


def first_quick(cases, quick=1):
    """The first cases as they are, the others marked slow."""
    cases = list(cases)
    return cases[:quick] + [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow
        )
        for case in cases[quick:]
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
