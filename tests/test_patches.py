"""Patches in every form in which they reach a reviewer."""

import gzip
import subprocess
from pathlib import Path

import pytest

from kernel.build import Source
from kernel.commits import tree_of
from kernel.compiler import BuildError
from kernel.patches import FILE, applied, of_commits, read_patches

DIFF = f"""--- a/{FILE}
+++ b/{FILE}
@@ -1 +1 @@
-int {{old}};
+int {{new}};
"""


def mail(subject: str, body: str, start: str = "From 0123 Mon Sep 17 00:00:00 2001\n") -> str:
    return f"{start}From: A Developer <a@example.org>\nSubject: {subject}\n\n{body}\n"


def change(old: str, new: str) -> str:
    return DIFF.format(old=old, new=new)


THREAD = (
    mail("[PATCH 0/2] dmapool: a series", "what it is about")
    + mail("[PATCH 2/2] dmapool: the second", change("b", "x"))
    + mail("[PATCH 1/2] dmapool: the first", change("a", "b"))
    + mail("Re: [PATCH 2/2] dmapool: the second", "better:\n" + change("b", "y"))
    + mail("[PATCH v2 1/2] dmapool: the first", change("a", "b"))
    + mail("[PATCH v2 2/2] dmapool: the second, mended", change("b", "c"))
    + mail("Re: [PATCH v2 2/2] dmapool: the second, mended", "\n".join(f"> {line}" for line in DIFF.splitlines()))
)


def test_of_a_thread_the_newest_version_is_taken_without_replies(tmp_path: Path) -> None:
    file = tmp_path / "thread.mbox.gz"
    file.write_bytes(gzip.compress(THREAD.encode()))
    patches = read_patches(file)
    assert [(patch.version, patch.number, patch.subject) for patch in patches] == [
        (2, 1, "dmapool: the first"),
        (2, 2, "dmapool: the second, mended"),
    ]
    before = tmp_path / "dmapool.c"
    before.write_text("int a;\n")
    stages = list(applied(patches, Source(before, None), tmp_path / "stages"))
    assert [source.file.read_text() for _, source in stages] == ["int b;\n", "int c;\n"]


@pytest.mark.parametrize(
    ("content", "subject"),
    [
        (mail("[PATCH] dmapool: one mail", change("a", "b"), start=""), "dmapool: one mail"),
        (f"diff --git a/{FILE} b/{FILE}\n{change('a', 'b')}", "change.patch"),
        (f"<html><pre>\nFrom: A &lt;a@b&gt;\nSubject: [PATCH] one\n\n{change('a', 'b')}-- \n<b>reply</b></pre>", "one"),
        (change("a", "b").replace("\n", "\r\n"), "change.patch"),
    ],
)
def test_one_mail_and_a_bare_diff_are_a_patch_each(content: str, subject: str, tmp_path: Path) -> None:
    file = tmp_path / "change.patch"
    file.write_bytes(content.encode())
    (patch,) = read_patches(file)
    assert patch.subject == subject
    before = tmp_path / "dmapool.c"
    before.write_text("int a;\n")
    ((_, source),) = applied([patch], Source(before, None), tmp_path / "stages")
    assert source.file.read_text() == "int b;\n"


def test_commits_of_a_tree_are_patches(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "mm").mkdir(parents=True)

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=tree, check=True, capture_output=True)

    git("init", "-q")
    for name in ("a", "b", "c"):
        (tree / FILE).write_text(f"int {name};\n")
        git("add", ".")
        git("commit", "-qm", f"dmapool: {name}")
    base, patches = of_commits(tree, "HEAD~2..HEAD")
    assert base.file.read_text() == "int a;\n"
    assert [patch.subject for patch in patches] == ["dmapool: b", "dmapool: c"]
    git("format-patch", "-q", "-o", "mails", "HEAD~2..HEAD")
    assert [patch.subject for patch in read_patches(tree / "mails")] == ["dmapool: b", "dmapool: c"]
    with pytest.raises(BuildError, match="it is applied already"):
        list(applied(patches, Source(tree / FILE, None), tmp_path / "twice"))
    assert (tree_of(f"{tree}@HEAD~1") / FILE).read_text() == "int b;\n"
    for commits, why in (
        ("HEAD~9..HEAD", "there is no commit .HEAD~9"),
        ("HEAD..HEAD", f"no commit of HEAD..HEAD changes {FILE}"),
    ):
        with pytest.raises(BuildError, match=why):
            of_commits(tree, commits)


def test_a_mail_that_ends_within_a_patch_is_told_from_a_wrong_base(tmp_path: Path) -> None:
    (tmp_path / "whole.c").write_text("int a;\n")
    (tmp_path / "cut.diff").write_text(change("a", "b").partition("+int")[0])
    with pytest.raises(BuildError, match="corrupt patch at line 5; the mail has been cut off or changed"):
        list(applied(read_patches(tmp_path / "cut.diff"), Source(tmp_path / "whole.c", None), tmp_path))


def test_a_patch_of_a_header_changes_what_is_compiled(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    header, file = tree / "include" / "linux" / "dmapool.h", tree / FILE
    for one in (header, file, tree / "lib" / "string.c"):
        one.parent.mkdir(parents=True)
        one.write_text("int a;\n")
    texts = [change("a", "b"), change("a", "b").replace(FILE, "include/linux/dmapool.h")]
    (tmp_path / "two.mbox").write_text(
        "".join(mail(f"[PATCH {n}/3] dmapool: {n}", text) for n, text in enumerate(texts, 1))
    )
    before = Source(file, tree)
    (_, first), (_, second) = applied(read_patches(tmp_path / "two.mbox"), before, tmp_path / "stages")
    assert before.compiles_like(before)
    assert not first.compiles_like(before)
    assert second.file.read_text() == first.file.read_text()
    assert not second.compiles_like(first)
    assert (second.whole_tree() / "include" / "linux" / "dmapool.h").read_text() == "int b;\n"


def test_a_header_that_is_not_quite_what_the_patch_was_written_for_is_changed_where_that_is_clear(
    tmp_path: Path,
) -> None:
    header = "include/linux/dmapool.h"
    hunk = f"--- a/{header}\n+++ b/{header}\n@@ -1,3 +1,4 @@\n int a;\n+int new;\n int b;\n\n-- \n2.30\n"
    (tmp_path / "one.mbox").write_text(mail("[PATCH] dmapool: one", change("a", "b") + hunk))
    tree = tmp_path / "tree"
    for one in (tree / header, tree / FILE, tree / "lib" / "string.c"):
        one.parent.mkdir(parents=True)
        one.write_text("int a;\n")
    for text, now, how in (
        ("int a;\nint other;\n", "int a;\nint new;\nint other;\n", "changed all the same"),
        ("int b;\n\n", "int new;\nint b;\n\n", "changed all the same"),
        ("int other;\n", "int other;\n", "left as it is"),
        ("int a;\nint a;\n", "int a;\nint a;\n", "left as it is"),
    ):
        (tree / header).write_text(text)
        stages = tmp_path / f"stages of {len(list(tmp_path.iterdir()))}"
        ((patch, source),) = applied(read_patches(tmp_path / "one.mbox"), Source(tree / FILE, tree), stages)
        assert patch.unlike == f"{header} is not what the patch was written for, and is {how}"
        assert source.file.read_text() == "int b;\n"
        assert (source.file.parents[1] / header).read_text() == now


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>", "this is a web page, without one mail that patches mm/dmapool.c; a mailbox, a mail"),
        (b"\x1f\x8b\x08\x00broken", "it cannot be decompressed"),
        (b"", "no mail with a patch is in it"),
        (mail("Re: [PATCH] dmapool: a reply", change("a", "b")).encode(), "no mail with a patch is in it"),
        (change("a", "b").replace("dmapool", "slab").encode(), f"no patch of it changes {FILE}"),
    ],
)
def test_what_is_no_patch_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "patch"
    file.write_bytes(content)
    with pytest.raises(BuildError, match=why):
        read_patches(file)
