"""git: commits of a kernel's tree, laid out as trees of their own, once for all processes."""

import shutil
import subprocess
from pathlib import Path

from kernel.compiler import BuildError
from kernel.once import ROOT, filled_once

COMMITS = ROOT / ".poolproof" / "commits"

PARTS = ("mm/dmapool.c", "include", "lib", "Makefile")
"""Of a tree, what a mm/dmapool.c is compiled with."""


def git(*arguments: str, within: Path, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run git in a folder, which need not be a repository. Raises BuildError if there is no git."""
    if shutil.which("git") is None:
        raise BuildError("there is no git, which knows commits and applies patches: install it")
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C"}
    if arguments[0] == "apply":
        environment["GIT_CEILING_DIRECTORIES"] = str(within.resolve().parent)  # or git would skip what is not its own
    return subprocess.run(
        ["git", *arguments], cwd=within, input=given, capture_output=True, check=False, env=environment
    )


def said_by(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Why git failed, in a line."""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ") if lines else "git gives no reason"


def tree_of(named: str) -> Path:
    """The tree of a commit, `TREE@COMMIT`. Raises BuildError."""
    tree, _, commit = named.rpartition("@")
    folder = Path(tree).expanduser().absolute()
    if not folder.is_dir():
        raise BuildError(f"{tree}: there is no such folder; TREE@COMMIT names a git tree, and a commit of it")
    found = git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", within=folder)
    if found.returncode:
        inside = git("rev-parse", "--git-dir", within=folder)
        raise BuildError(
            f"{tree}: {said_by(inside)}" if inside.returncode else f"{tree}: there is no commit {commit!r}"
        )
    name = found.stdout.decode().strip()

    def lay_out(place: Path) -> None:
        top = Path(git("rev-parse", "--show-toplevel", within=folder).stdout.decode().strip() or folder)
        there = git("ls-tree", "--name-only", name, *PARTS, within=top).stdout.decode().splitlines()
        if PARTS[0] not in there:
            raise BuildError(f"{tree}: commit {commit} of the git tree {top} has no {PARTS[0]}")
        archive = git("archive", name, *there, within=top)
        if archive.returncode:
            raise BuildError(f"{tree}: {said_by(archive)}")
        subprocess.run(["tar", "-x", "-C", str(place)], input=archive.stdout, check=True)

    return filled_once(COMMITS / name[:20], lay_out)
