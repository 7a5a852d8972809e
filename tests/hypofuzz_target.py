"""What HypoFuzz hunts in: the state machine on every sound revision, as tests that pytest collects if this file is named.

    HYPOTHESIS_PROFILE=ci hypothesis fuzz --no-dashboard -- tests/hypofuzz_target.py

What it finds, `make fuzz` tries first. The other tests run hunts inside of plain functions, where HypoFuzz does not see them.
"""

from typing import Any

from hypothesis import settings

from tests.fuzz import HUNTED, hunter_of


def case(revision: str) -> Any:
    """The `unittest.TestCase` of a revision's machine, under the profile that is loaded."""
    test_case: Any = hunter_of(revision).TestCase
    test_case.settings = settings()
    return test_case


globals().update({revision: case(revision) for revision in HUNTED})
