"""`python -m command SUBCOMMAND …`: everything that poolproof does, under one name."""

import difflib
import sys
from importlib import import_module

from command.output import exit_with

COMMANDS = ("demo", "prove", "audit", "crosshair", "fuzz", "replay", "compare", "report", "bugs", "claims")


def main(arguments: list[str] | None = None) -> int:
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0)[0]
        print(f"poolproof: no subcommand {name!r}; did you mean {near!r}? {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    status: int = import_module(f"command.{name}").main(rest)
    return status


if __name__ == "__main__":
    exit_with(main)
