"""Hypothesis profiles. `test` draws the same inputs on every machine; `fuzz` new ones on every run."""

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "test",
    max_examples=400,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "fuzz",
    max_examples=5_000,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
# A mutant has to be noticed, not understood: no shrinking.
settings.register_profile("mutants", settings.get_profile("test"), phases=[Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))
