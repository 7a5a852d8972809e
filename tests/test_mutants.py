"""Every seeded bug is noticed, by the engines that its entry names."""

import re
from pathlib import Path

import pytest

from model.claims import CLAIMS
from proofs.catalogue import OBLIGATIONS
from proofs.explore import Verdict
from tests.mutants import MUTANTS, Mutant, plant, run

PROVED = [mutant for mutant in MUTANTS if mutant.proofs]
HUNTED = [mutant for mutant in MUTANTS if mutant.hunted]


@pytest.mark.parametrize("mutant", PROVED, ids=lambda mutant: mutant.name)
def test_the_prover_refutes(mutant: Mutant, tmp_path: Path) -> None:
    plant(mutant, tmp_path)
    proved = [o for o in OBLIGATIONS.values() if o.revision == mutant.revision and o.expected is Verdict.PROVED]
    status, output = run(tmp_path, "proofs", "--jobs", "1", *(o.name for o in proved if o.claim.name in mutant.proofs))
    assert status == 1, output
    for claim in mutant.proofs:
        assert re.search(rf"{claim}/{mutant.revision}/\S* is REFUTED, PROVED was expected", output), output


@pytest.mark.parametrize("mutant", HUNTED, ids=lambda mutant: mutant.name)
def test_the_machine_notices(mutant: Mutant, tmp_path: Path) -> None:
    plant(mutant, tmp_path)
    status, output = run(
        tmp_path, "pytest", "-x", "-q", "tests/test_machine.py", "-k", f"nothing_in and {mutant.revision}"
    )
    assert status == 1, output
    noticed = set(re.findall(r"BrokenClaim: (\w+):", output))
    assert noticed & set(mutant.hunted), output


def test_every_claim_is_named_by_a_mutant() -> None:
    assert {claim for mutant in MUTANTS for claim in (*mutant.proofs, *mutant.hunted)} == set(CLAIMS)


def test_every_mutant_names_claims_that_exist() -> None:
    for mutant in MUTANTS:
        assert mutant.proofs or mutant.hunted
        assert set(mutant.proofs) | set(mutant.hunted) <= set(CLAIMS)
