"""`python -m command mpt3sas`: the pools of the series' cover letter. Status 1 if a table differs from the cover letter's."""

import argparse
import sys

from bench.mpt3sas import COVER_LETTER, EXPLANATION, SERIES_CHAIN, table, workload
from command.line import Status
from impl.history import OriginalPool
from impl.pool import Pool
from report.text import show_progress


def add(parser: argparse.ArgumentParser) -> None:
    del parser  # there is nothing to choose


def run(options: argparse.Namespace) -> Status:
    del options
    original, series = workload(OriginalPool), workload(Pool)
    show_progress("")
    print(table("v6.1", original), table("series", series), EXPLANATION, sep="\n\n")
    expected = [SERIES_CHAIN if row.name == "chain" else row for row in COVER_LETTER]
    if original == list(COVER_LETTER) and series == expected:
        return Status.EXPECTED
    print("mpt3sas: the tables differ from the cover letter's, or from what the series makes of it", file=sys.stderr)
    return Status.SURPRISE
