"""`python ~/poolproof SUBCOMMAND …`: what `python -m command` does, from any folder, to which paths are relative."""

from runpy import run_module

if __name__ == "__main__":
    run_module("command", run_name="__main__", alter_sys=True)
