"""Patches, as developers mail them or git writes them, applied to a kernel's mm/dmapool.c: a version of the file for each.

Headers that a patch changes are changed as well, also where these are not quite those that it was written for; other files
are not looked at.
"""

import gzip
import html
import mailbox
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path

from kernel.build import Source
from kernel.commits import git, said_by, tree_of
from kernel.compiler import BuildError
from kernel.headers import is_whole

FILE = "mm/dmapool.c"
DIFF = re.compile(r"^--- \S+.*\n\+\+\+ \S+", re.M)
FILES = (f"--include={FILE}", "--include=include/*")
"""What `git apply` is to change."""

OTHER_BASE = "name what it was written for as the base"
"""What to do if a patch does not apply."""

SEND_AGAIN = "the mail has been cut off or changed: save it as it was sent"
"""The same, if it is no whole patch; git counts its lines, not those of the mail."""

FORMS = "a mailbox, a mail, or a diff of git is expected, perhaps compressed with gzip"


@dataclass(frozen=True)
class Patch:
    """A mail with a diff: its subject, without what is in brackets, and, as these say, its number in the series, 0 if it has
    none, and the version of the series."""

    subject: str
    number: int
    version: int
    text: str
    unlike: str = ""
    """What is otherwise in the headers that it was applied to than in those it was written for, and what came of that."""

    @property
    def touches_the_pool(self) -> bool:
        return re.search(rf"^\+\+\+ \S+/{re.escape(FILE)}", self.text, re.M) is not None

    @property
    def headers(self) -> set[str]:
        """The files of include/ that it changes, removes or adds."""
        return set(re.findall(r"^(?:---|\+\+\+) [^\s/]+/(include/\S+)", self.text, re.M))

    def hunks_of(self, file: str) -> list[list[str]]:
        """The lines of each hunk that changes a file."""
        hunks, left = list[list[str]](), 0  # of the file before and after, the lines of a hunk that are to come
        found = re.search(rf"^\+\+\+ [^\s/]+/{re.escape(file)}\b.*\n", self.text, re.M)
        for line in self.text[found.end() :].split("\n") if found else []:
            head = re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line)
            if left > 0 and not line.startswith("\\"):
                hunks[-1].append(f"{line or ' '}\n")
                left -= 1 if line[:1] in ("+", "-") else 2
            elif left <= 0 and head:
                hunks, left = [*hunks, []], int(head[1] or 1) + int(head[2] or 1)
            elif left <= 0:
                break
        return hunks


def read_patches(path: Path) -> list[Patch]:
    """The patches of a file, or of a folder's `*.patch`, in the order of their numbers. Cover letters and replies are none; of
    several versions of a series, the newest one's are taken. Raises BuildError."""
    files = sorted(path.glob("*.patch")) if path.is_dir() else [path]
    if not all(file.is_file() for file in files) or not files:
        raise BuildError(f"{path}: there is no such file{', nor a *.patch in it' * path.is_dir()}; {FORMS}")
    return newest_of([patch for file in files for patch in patches_in(file.read_bytes(), file)], path)


def patches_in(content: bytes, path: Path) -> list[Patch]:
    """The patches of a file with this content. Raises BuildError, also where there are none."""
    try:
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError) as error:
        raise BuildError(f"{path}: it cannot be decompressed: {error}") from error
    if content.lstrip()[:1] == b"<" and (content := of_a_web_page(content)) == b"":
        raise BuildError(f"{path}: this is a web page, without one mail that patches {FILE}; {FORMS}")
    found = [patch for mail in mails(content) if (patch := patch_of(mail)) is not None]
    is_mail = re.match(rb"From |[\w-]+: ", content)
    if not is_mail and DIFF.search(text := content.decode(errors="replace").replace("\r\n", "\n")):
        found = [Patch(path.name, 0, 1, text)]
    if not found:
        raise BuildError(f"{path}: no mail with a patch is in it; {FORMS}")
    return found


def of_a_web_page(content: bytes) -> bytes:
    """The mail of a page that shows one with a patch of the file, as text; nothing of another page."""
    text = html.unescape(re.sub(r"<[^>]*>", "", content.decode(errors="replace")))
    mail = re.search(r"^(?:From|Subject): .*", text, re.M | re.S)
    return mail[0].encode() if mail and len(re.findall(rf"^\+\+\+ \S+/{re.escape(FILE)}", mail[0], re.M)) == 1 else b""


def newest_of(found: list[Patch], path: Path) -> list[Patch]:
    """Of several versions of a series, the newest, in the order of the patches' numbers. Raises BuildError."""
    newest = max(patch.version for patch in found)
    patches = {
        patch.number or patch.subject: patch for patch in found if patch.version == newest
    }  # of a resent one, the last
    if not any(patch.touches_the_pool for patch in patches.values()):
        raise BuildError(f"{path}: no patch of it changes {FILE}")
    return sorted(patches.values(), key=lambda patch: patch.number)


def mails(content: bytes) -> list[Message]:
    """Of a mailbox, or the only one."""
    if not content.startswith(b"From "):
        return [message_from_bytes(content)]
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return list(mailbox.mbox(file.name, create=False))


def patch_of(mail: Message) -> Patch | None:
    """The patch that a mail brings; None for a reply, and for one without a diff."""
    subject = " ".join(str(make_header(decode_header(str(mail["subject"] or "")))).split())
    parts = [part for part in mail.walk() if not part.is_multipart()]
    text = "\n".join(
        bytes(part.get_payload(decode=True)).decode(part.get_content_charset() or "utf-8", errors="replace")
        for part in parts
    ).replace("\r\n", "\n")
    if not subject or subject.lower().startswith("re:") or not DIFF.search(text):
        return None
    number, version = re.search(r"\[[^]]*?(\d+)/\d+[^]]*\]", subject), re.search(r"\[[^]]*?\bv(\d+)\b", subject, re.I)
    named = re.sub(r"^(\s*\[[^]]*\])*\s*", "", subject) or "without a subject"
    return Patch(named, int(number[1]) if number else 0, int(version[1]) if version else 1, text)


def applied(patches: list[Patch], before: Source, folder: Path) -> Iterator[tuple[Patch, Source]]:
    """The file as each patch leaves it, each in a folder of its own. Raises BuildError for a patch that does not apply."""
    source = before
    for number, patch in enumerate(patches, 1):
        place = folder.absolute() / f"{number:02}"
        file = place / FILE
        file.parent.mkdir(parents=True)
        shutil.copyfile(source.file, file)
        tree = within_a_tree(place, source.tree, patch.headers)
        if patch.touches_the_pool or patch.headers:
            done = git("apply", *FILES, "-", within=place, given=patch.text.encode())
            if (
                done.returncode
                and not git("apply", f"--include={FILE}", "-", within=place, given=patch.text.encode()).returncode
            ):
                patch = replace(patch, unlike="; ".join(put_beside(patch, place)))
            elif done.returncode:
                earlier = f", changed by the {number - 1} patches before it" if number > 1 else ""
                last = patches[-1].text.encode()
                there = not git("apply", "-R", "--check", *FILES, "-", within=place, given=last).returncode
                said = said_by(done)
                what_to_do = SEND_AGAIN if "corrupt patch" in said else OTHER_BASE
                why = "it is applied already" if there else f"{said}; {what_to_do}"
                raise BuildError(f"“{patch.subject}” does not apply to {before.file}{earlier}: {why}")
            if patch.touches_the_pool and file.read_bytes() == source.file.read_bytes():
                raise BuildError(f"“{patch.subject}” changes nothing in {before.file}: git has skipped it")
        unlike = f" ({patch.unlike})" if patch.unlike else ""
        source = Source(file, tree, f"“{patch.subject}”{unlike}, {FILE}", before.real)
        yield patch, source


def put_beside(patch: Patch, place: Path) -> Iterator[str]:
    """Change headers that are not quite those the patch was written for: each hunk goes where what it changes stands once with
    the lines before it, or with those after it. Yields what is to be said of each header; where one does not fit, it stays."""
    for header in sorted(patch.headers):
        file, done = place / header, file_with(patch.hunks_of(header), place / header)
        if done is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(done)
        how = "is left as it is" if done is None else "is changed all the same"
        yield f"{header} is not what the patch was written for, and {how}"


def file_with(hunks: list[list[str]], file: Path) -> str | None:
    """A file's text with a diff's hunks; None if one of them has no place there, or several."""
    text = file.read_text() if file.is_file() else ""
    for hunk in hunks:
        changed = [number for number, line in enumerate(hunk) if line[:1] in "+-"]
        for lines in (hunk, hunk[: changed[-1] + 1], hunk[changed[0] :]):
            old, new = ("".join(line[1:] for line in lines if line[:1] in kept) for kept in (" -", " +"))
            if text.count(old) == 1 or (not text and not old):
                text = text.replace(old, new)
                break
        else:
            return None
    return text


def within_a_tree(place: Path, tree: Path | None, changed: set[str]) -> Path | None:
    """The folder of a patched file as a kernel tree of its own, by links to what the file is compiled with; what is going to be
    changed of it is copied."""
    if tree is None:
        return None
    for name in ("include", "lib", "Makefile"):
        if (tree / name).exists():
            link(
                tree / name,
                place / name,
                [Path(*Path(file).parts[1:]) for file in changed if file.startswith(f"{name}/")],
            )
    return place


def link(there: Path, here: Path, changed: list[Path]) -> None:
    """Make a file or a folder appear here, of which the changed files are copies."""
    if not changed:
        here.symlink_to(there.resolve())
    elif changed == [Path()]:
        shutil.copyfile(there, here)
    else:
        here.mkdir()
        below = {path.parts[0] for path in changed}
        for name in sorted(below | {entry.name for entry in there.iterdir()} if there.is_dir() else below):
            inside = [Path(*path.parts[1:]) for path in changed if path.parts[0] == name]
            if (there / name).exists() or any(path.parts for path in inside):
                link(there / name, here / name, inside)


def of_commits(tree: Path, commits: str) -> tuple[Source, list[Patch]]:
    """Of a range of commits of a git tree, `BASE..TIP`: the source before, and the patches to it. Raises BuildError."""
    laid = tree_of(f"{tree}@{commits.partition('..')[0]}")
    done = git("format-patch", "--stdout", commits, "--", FILE, "include", within=tree)
    if done.returncode:
        raise BuildError(f"{tree}: git cannot read {commits}: {said_by(done)}")
    if not done.stdout:
        raise BuildError(f"{tree}: no commit of {commits} changes {FILE}")
    source = Source(laid / FILE, laid if is_whole(laid) else tree)
    return source, newest_of(patches_in(done.stdout, tree), tree)
