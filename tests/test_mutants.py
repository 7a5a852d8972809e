"""Every seeded bug is noticed, by the engines that its entry names; see `make mutants` for what that took.

CrossHair's part is in `tests/test_contracts.py`.
"""

from pathlib import Path

import pytest

from bugs.hunted import MUTANTS, Mutant
from command.bugs import machine, plant, prover, run
from command.replay import main
from model.claims import CLAIMS

PROVED = [mutant for mutant in MUTANTS if mutant.proofs]
HUNTED = [mutant for mutant in MUTANTS if mutant.hunted]


@pytest.mark.parametrize("mutant", PROVED, ids=lambda mutant: mutant.name)
def test_the_prover_refutes(mutant: Mutant, tmp_path: Path) -> None:
    plant(mutant, tmp_path)
    notice = prover(mutant, tmp_path)
    assert set(notice.claims) == set(mutant.proofs), notice.output


@pytest.mark.parametrize("mutant", HUNTED, ids=lambda mutant: mutant.name)
def test_the_machine_notices(mutant: Mutant, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(mutant, tmp_path)
    notice = machine(mutant, tmp_path)
    assert set(notice.claims) & set(mutant.hunted), notice.output

    # Whatever was drawn, misuse and what ran meanwhile included: the trace alone shows the same.
    (claim,) = notice.claims
    (found,) = (tmp_path / "reports" / "traces").glob("*.json")
    status, replayed = run(tmp_path, "command.replay", str(found), "--on", mutant.revision)
    assert f"{mutant.revision} breaks {claim}:" in replayed, notice.output + replayed
    assert status == 1
    main([str(found), "--on", mutant.revision])
    assert f"breaks {claim}:" not in capsys.readouterr().out


def test_every_claim_is_named_by_a_mutant() -> None:
    named = {claim for mutant in MUTANTS for claim in (*mutant.proofs, *mutant.hunted)}
    assert named == {*CLAIMS} - {"locking_rules_are_kept"}  # which Python cannot break: see tests/test_kernel_rules.py


def test_every_mutant_names_claims_that_exist() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        named = {*mutant.proofs, *mutant.hunted, *(contract.partition("/")[0] for contract in mutant.contracts)}
        assert named
        assert named <= set(CLAIMS)
