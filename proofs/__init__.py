"""Proofs about the code of `impl`, for all inputs: each obligation runs that code with symbolic numbers.

`python -m proofs` proves the catalogue; `obligation` says what an obligation is, `symbolic` what a symbolic number is.
"""

from proofs import sources  # noqa: F401  # first, since it has to be there before what it watches is loaded
