"""How hard to hunt: Hypothesis' profiles. `HYPOTHESIS_PROFILE` names one; where CI is set, it is `ci`, and otherwise `dev`.

A hunt begins with the directed runs of `hunt.directed`; a profile says how much is drawn afterwards. `directed` draws one run.
`dev` draws the same inputs every time, or those of HYPOTHESIS_SEED. `ci` draws new ones for every commit, and the same ones for
the same commit; `nightly` those of a seed that is chosen for each night. Both try first what has failed before: it is kept in
`.hypothesis/examples`, or, where `HYPOTHESIS_REDIS` has the address of a Redis server, in there, for a fleet of machines.
What a seed draws does not depend on which modules are loaded (`fix_constants`).
"""

import os
import subprocess
from collections.abc import Iterable
from urllib.parse import urlsplit

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import InvalidArgument
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from kernel.once import ROOT
from model.bad_input import BadInput

NAMES = ("directed", "dev", "ci", "nightly")
"""The profiles to hunt with."""

UNSHRUNK, SHORT, BRIEF = "unshrunk", "short", "brief"
OF_HUNTS = (*NAMES, UNSHRUNK, SHORT, BRIEF)
"""Those, and the ones with which seeded bugs are hunted: nothing is made smaller; `short` draws 40 runs, `brief` one."""

SECONDS_FOR_REDIS = 2
"""To connect or to answer; an address may say otherwise, as in `redis://HOST?socket_timeout=9`."""


CONSTANTS = Constants(integers={2**power + nearby for power in range(2, 17) for nearby in (-1, 0, 1)})
"""Numbers that Hypothesis draws more often than others: the edges of sizes, of pages and of boundaries."""


class UnavailableError(BadInput):
    """A profile or a database that is asked for cannot be had; says why, and how to get it."""


def database() -> ExampleDatabase:
    """Where failing inputs are kept. Raises UnavailableError where Redis is asked for, and it cannot be had."""
    address = os.environ.get("HYPOTHESIS_REDIS")
    if not address:
        return DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples")
    try:
        import redis  # here, since few want it
        from hypothesis.extra.redis import RedisExampleDatabase
    except ModuleNotFoundError:
        raise UnavailableError("HYPOTHESIS_REDIS needs the package redis: run `make setup`") from None
    timeouts = {"socket_connect_timeout": SECONDS_FOR_REDIS, "socket_timeout": SECONDS_FOR_REDIS}
    try:
        server = redis.Redis.from_url(address, **timeouts)
        server.ping()  # or else a hunt would only learn of it when it finds something
    except ValueError:  # its message may hold a part of a password
        raise UnavailableError("HYPOTHESIS_REDIS is no address; one is redis://HOST:6379/0") from None
    except redis.RedisError as error:
        raise UnavailableError(no_answer(error)) from None
    return RedisExampleDatabase(server, key_prefix=b"poolproof:")


def redis_errors() -> tuple[type[Exception], ...]:
    """What a hunt raises if its Redis server is lost; nothing where none is asked for."""
    if not os.environ.get("HYPOTHESIS_REDIS"):
        return ()
    import redis

    return (redis.RedisError,)


def no_answer(error: Exception) -> str:
    where = urlsplit(os.environ["HYPOTHESIS_REDIS"]).netloc.rpartition("@")[2]  # without a password
    return f"no Redis server for HYPOTHESIS_REDIS at {where}: {' '.join(str(error).split())}"


def register() -> None:
    """Make the profiles known to Hypothesis, and load the one that is asked for. Raises UnavailableError if it can't be had."""
    fix_constants()
    # Only nights are long enough to steer by `target()`: where failing inputs are kept, it takes most of the time.
    untargeted = [phase for phase in Phase if phase is not Phase.target]
    # Based on Hypothesis' own, since the profile that is loaded would be the basis otherwise.
    basis = settings(
        settings.get_profile("default"), deadline=None, suppress_health_check=list(HealthCheck), phases=untargeted
    )
    settings.register_profile(
        "dev",
        basis,
        max_examples=100,
        stateful_step_count=50,
        derandomize=not os.environ.get("HYPOTHESIS_SEED"),
        database=None,
    )
    settings.register_profile("directed", settings.get_profile("dev"), max_examples=1)
    settings.register_profile(
        "ci", basis, max_examples=1_000, stateful_step_count=50, derandomize=False, database=database()
    )
    settings.register_profile(
        "nightly", settings.get_profile("ci"), max_examples=5_000, stateful_step_count=100, phases=list(Phase)
    )
    # A seeded bug has to be noticed, not understood: no shrinking, and nothing is kept.
    settings.register_profile(UNSHRUNK, settings.get_profile("ci"), database=None, phases=[Phase.generate])
    settings.register_profile(SHORT, settings.get_profile(UNSHRUNK), max_examples=40)
    settings.register_profile(BRIEF, settings.get_profile(UNSHRUNK), max_examples=1)
    chosen(name())
    settings.load_profile(name())


def fix_constants(numbers: Iterable[int] = ()) -> None:
    """Have Hypothesis draw the numbers of `CONSTANTS`, and these, more often, instead of those in the source of each module
    that is loaded.

    Otherwise what a seed draws would depend on which modules happen to be loaded, and so on which tests run. Hypothesis has
    no option for it; raises RuntimeError where a version of it keeps the numbers elsewhere.
    """
    constants = Constants(integers={*CONSTANTS.integers, *numbers})
    providers._get_local_constants = lambda: constants
    providers.CONSTANTS_CACHE.cache.clear()
    if providers.HypothesisProvider(None)._local_constants is not constants:
        raise RuntimeError("this version of Hypothesis collects constants in another way: mend profiles.fix_constants")


def chosen(profile: str) -> settings:
    """The settings of a profile that is registered. Raises UnavailableError if there is none."""
    try:
        return settings.get_profile(profile)
    except InvalidArgument:
        raise UnavailableError(f"there is no profile {profile!r}; there are {', '.join(NAMES)}") from None


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
