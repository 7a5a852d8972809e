"""A patch series, as developers mail it, applied to a kernel's mm/dmapool.c: a version of the file for each patch."""

import mailbox
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from pathlib import Path

from kernel.build import BuildError, Source

FILE = "mm/dmapool.c"


@dataclass(frozen=True)
class Patch:
    """A mail with a diff: its subject, without what is in brackets, and its number in the series, 0 if it has none."""

    subject: str
    number: int
    text: str

    @property
    def touches_the_pool(self) -> bool:
        return re.search(rf"^\+\+\+ \S+/{re.escape(FILE)}", self.text, re.M) is not None


def read_mbox(path: Path) -> list[Patch]:
    """The patches of a file of mails, in the order of their numbers; a cover letter is none. Raises BuildError."""
    if not path.is_file():
        raise BuildError(f"{path}: there is no such file; a series is expected as developers mail it, in an mbox")
    patches = []
    for mail in mailbox.mbox(path, create=False):
        subject = " ".join(str(make_header(decode_header(str(mail["subject"] or "")))).split())
        texts = [part for part in mail.walk() if not part.is_multipart()]
        text = "\n".join(
            bytes(part.get_payload(decode=True)).decode(part.get_content_charset() or "utf-8", errors="replace")
            for part in texts
        ).replace("\r\n", "\n")
        if re.search(r"^--- \S+.*\n\+\+\+ \S+", text, re.M):
            number = re.search(r"\[[^]]*?(\d+)/\d+[^]]*\]", subject)
            named = re.sub(r"^(\s*(\[[^]]*\]|Re:))*\s*", "", subject) or "without a subject"
            patches.append(Patch(named, int(number[1]) if number else 0, text))
    if not patches:
        raise BuildError(
            f"{path}: no mail with a patch is in it; it has to be an mbox, as `git format-patch --stdout` writes"
        )
    if not any(patch.touches_the_pool for patch in patches):
        raise BuildError(f"{path}: no patch of it changes {FILE}")
    return sorted(patches, key=lambda patch: patch.number)


def applied(patches: list[Patch], before: Source, folder: Path) -> Iterator[tuple[Patch, Source]]:
    """The file as each patch leaves it, each in a folder of its own. Raises BuildError for a patch that does not apply."""
    if shutil.which("git") is None:
        raise BuildError("there is no git, which applies patches: install it")
    source = before
    for number, patch in enumerate(patches, 1):
        place = folder / f"{number:02}"
        file = place / FILE
        file.parent.mkdir(parents=True)
        shutil.copyfile(source.file, file)
        if patch.touches_the_pool:
            command = ["git", "apply", f"--include={FILE}", "-"]
            done = subprocess.run(
                command,
                cwd=place,
                input=patch.text,
                capture_output=True,
                text=True,
                check=False,
                env={"GIT_CEILING_DIRECTORIES": str(folder), "PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C"},
            )
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["git gives no reason"])[0]
                earlier = f", changed by the {number - 1} patches before it" if number > 1 else ""
                raise BuildError(f"“{patch.subject}” does not apply to {before.file}{earlier}: {said}")
        source = Source(file, before.tree)
        yield patch, source
