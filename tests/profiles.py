"""How hard to hunt: Hypothesis' profiles. `HYPOTHESIS_PROFILE` names one; where CI is set, it is `ci`, and otherwise `dev`.

`dev` draws the same inputs every time. `ci` draws new ones for every commit, and the same ones for the same commit;
`nightly` those of a seed that is chosen for each night. Both try first what has failed before: it is kept in
`.hypothesis/examples`, or, where `HYPOTHESIS_REDIS` has the address of a Redis server, in there, for a fleet of machines.
"""

import os
import subprocess
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

ROOT = Path(__file__).parent.parent


def database() -> ExampleDatabase:
    """Where failing inputs are kept. Raises ModuleNotFoundError where Redis is asked for, and its package is missing."""
    address = os.environ.get("HYPOTHESIS_REDIS")
    if not address:
        return DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples")
    import redis  # here, since few want it
    from hypothesis.extra.redis import RedisExampleDatabase

    return RedisExampleDatabase(redis.Redis.from_url(address), key_prefix=b"poolproof:")


def register() -> None:
    """Make the profiles known to Hypothesis, and load the one that is asked for."""
    # Only nights are long enough to steer by `target()`: where failing inputs are kept, it takes most of the time.
    untargeted = [phase for phase in Phase if phase is not Phase.target]
    basis = settings(
        settings.get_profile("default"), deadline=None, suppress_health_check=list(HealthCheck), phases=untargeted
    )
    settings.register_profile("dev", basis, max_examples=200, stateful_step_count=50, derandomize=True, database=None)
    settings.register_profile(
        "ci", basis, max_examples=600, stateful_step_count=50, derandomize=False, database=database()
    )
    settings.register_profile(
        "nightly", settings.get_profile("ci"), max_examples=5_000, stateful_step_count=100, phases=list(Phase)
    )
    # A mutant has to be noticed, not understood: no shrinking, and nothing is kept.
    settings.register_profile("mutants", settings.get_profile("ci"), database=None, phases=[Phase.generate])
    settings.load_profile(name())


def name() -> str:
    return os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")


def seed() -> int:
    """What random inputs are drawn from: HYPOTHESIS_SEED, or else the commit, or else 0."""
    if asked := os.environ.get("HYPOTHESIS_SEED"):
        return int(asked)
    commit = subprocess.run(
        ["git", "rev-parse", "--short=8", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return int(commit.stdout[:8], 16) if commit.returncode == 0 else 0
