"""How the promises of `model` are kept fast: the DMA pool of the 2022 patch series, and what it replaced.

Imports the standard library only, so that it shares no mistake with the oracle in `model`.
"""
