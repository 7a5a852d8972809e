"""Proofs about the code of `impl`, for all inputs: each obligation runs that code with symbolic numbers.

`python -m command prove` proves the catalogue; `obligation` says what an obligation is, `symbolic` what a symbolic number is.
"""
