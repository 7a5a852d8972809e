"""What the prover says of the whole catalogue, found once for all test files and all of pytest's workers."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Result, Settings, prove
from tests.running import alone

REFUTED = [o.name for o in OBLIGATIONS.values() if o.expected is Verdict.REFUTED]


class Proved(NamedTuple):
    """The results by obligation, as in the prover's JSON, and a folder with the refutations as SMT-LIB 2."""

    results: dict[str, dict[str, Any]]
    smt2: Path

    def result(self, name: str) -> Result:
        """A result as an object, without the names of files."""
        fields = {key: value for key, value in self.results[name].items() if key != "as_expected"}
        return Result(**{**fields, "smt2": ""})


def prove_all(folder: Path) -> Proved:
    """Prove the catalogue into a folder, unless that has been done. What an earlier run has found is taken from the cache."""
    names = {"refuted": REFUTED, "proved": [name for name in OBLIGATIONS if name not in REFUTED]}
    results: list[dict[str, Any]] = []
    for part, named in names.items():
        file = folder / f"{part}.json"
        if not file.exists():
            written = folder / f"{part}.json.part"
            smt2 = ["--smt2", folder / "smt2"] if part == "refuted" else []
            status, out, err = alone("prove", *named, "--json", written, *smt2)
            assert status == 0, out + err
            written.rename(file)
        results += json.loads(file.read_text())
    return Proved({result["obligation"]: result for result in results}, folder / "smt2")


def prove_one(name: str) -> Result:
    """What the prover says of an obligation about impl/, whatever an earlier run has found."""
    return prove(OBLIGATIONS[name], Settings())
