"""`python -m command review PATCHES --base PATH`: what each patch changes for a driver, what it breaks, and what
is proved of the last one, in at most forty lines of plain text, to paste into a reply.

Status 1 if a patch breaks a claim that nobody announced, or if a proof about the last one has a surprise that the base has not.
"""

import argparse
import os
import re
import shutil
from collections.abc import Collection
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any

from command.files import try_out, usable
from command.line import Status, add_announce, add_jobs, add_profile, add_seed, announced, say_how_to_confirm
from command.report import write
from hunt.compare import OBSERVED, RUNS, Comparison, compare, draw
from hunt.confirm import confirmed, in_a_real_kernel, named, where_it_builds
from hunt.fuzz import Hunt, hunt
from hunt.revisions import KernelFile
from kernel.build import Source, fetched, find
from kernel.compiler import BuildError
from kernel.once import ROOT
from kernel.patches import FILE, OTHER_BASE, Patch, applied, of_commits, read_patches
from model.bad_input import BadInput
from model.claims import CLAIMS
from model.geometry import counted
from model.promises import Promises
from model.revision import KERNEL
from model.trace import Trace, TraceError
from proofs.catalogue import catalogue_of
from proofs.engine.obligation import Result, Settings
from proofs.run import Where, prove_named
from report.prover import causes
from report.runs import findings_of, keep, scene_on, with_real_runs
from report.text import SMALL_PAGES, break_in_words, described, show_progress
from report.verdicts import ADVICE, SHOWN, of_hunt, of_proof, replaying

MOST_LINES = 40

REVIEWS = ROOT / ".poolproof" / "reviews"
"""Where the patched files are, a folder for each series and what it is applied to."""

MOST_CAUSES = 4
"""Of what is not proved otherwise than before, that are told."""

MOST_RUNS = 4, 3, 2, 1
MOST_BREAKS = MOST_RUNS[0]
"""Of a patch, that are shown with their runs; fewer, where there is no room."""

OF_SMALL_PAGES = re.compile(r"\bpages of \d{1,3} bytes")
"""In a run's sentence."""

SEEN = {
    "result": "results",
    "content": "bytes of new blocks",
    "memory": "coherent memory",
    "messages": "messages",
    "row": "rows",
    "end": "faults",
}
"""The kinds of OBSERVED, in a word."""


@dataclass
class Said:
    """Of a patch: how many findings there are, what a driver sees, what is to be said of that, a line each; each claim that
    breaks, with its lines; where the traces of these are; and what differs first in how many pools, with an example."""

    number: int
    subject: str
    findings: int = 0
    sees: str = ""
    lines: list[str] = field(default_factory=list)
    breaks: list[tuple[str, list[str]]] = field(default_factory=list)
    traces: Path = Path()
    differences: list[tuple[str, str]] = field(default_factory=list)

    def text(self, most: int, examples: int) -> list[str]:
        """A line for a quiet patch; at `most` so many runs, and so many `examples` of what differs; if more does, its kinds."""
        shown = self.differences[:examples]
        kinds = ", ".join(kind for kind, _ in self.differences) if shown != self.differences else ""
        sees = f"{self.sees}{f': {kinds}' if kinds else ':' if shown else ''}"
        lines = self.lines + [line for _, run in self.breaks[:most] for line in run]
        if more := dict.fromkeys(name for name, _ in self.breaks[most:]):
            runs = counted(len(self.breaks) - most, "more run")
            lines.append(f"and {runs}, with traces in {self.traces}: {', '.join(more)}")
        lines += [f"- {kind}: {change}" for kind, change in shown]
        return [f"{self.number:>2}. {self.subject}: {sees}", *(f"    {line}" for line in lines)]


@dataclass(frozen=True)
class Looked:
    """What came of a version of the file: how it differs from the version before, and what a hunt found."""

    kernel: KernelFile
    comparison: Comparison
    hunt: Hunt

    @property
    def promises(self) -> Promises:
        return self.kernel.promised[0]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "patches",
        metavar="PATCHES",
        help="a mailbox, a mail, a diff, perhaps with gzip; or BASE..TIP, commits of --base",
    )
    parser.add_argument(
        "--base", metavar="PATH", help="what is patched: a kernel tree (default: the newest fetched one that they fit)"
    )
    parser.add_argument(
        "--promises",
        metavar="FILE",
        help="a TOML file with what is promised, and what is announced; default: PATCHES with .toml, if there is one",
    )
    add_announce(parser)
    parser.add_argument("--out", default="reports/review", metavar="FOLDER", help="default: reports/review")
    add_profile(parser, "dev")
    add_seed(parser, "of what is done")
    add_jobs(parser)


def run(options: argparse.Namespace) -> Status:
    if not options.patches:
        raise BadInput("name a file of patches, or commits as A..B")
    out, meant = Path(options.out), announced(options)
    promises = options.promises or promises_beside(options.patches)
    try_out(None, options.out)
    base, patches = what_to_review(options.patches, options.base)
    patches, stages = patched(base, patches)
    sources = [source for source, _ in stages]
    kernels = [KernelFile(folder_or_file(source), source, promises, tuple(meant)) for source in sources]
    looked = look_at_all(kernels, options)
    results, why_none = prove(kernels[-1].path, options.jobs)
    odd = [result for result in results if not result.as_expected]
    if odd:  # what was so before is no finding
        known, _ = prove(kernels[0].path, options.jobs, {one.obligation for one in odd})
        before = {(one.obligation, one.verdict) for one in known}
        odd = [result for result in odd if (result.obligation, result.verdict) not in before]
    head = [f"base: {base}", f"  {kernels[0].in_words(brief=True)}"]
    newest = f" of version {patches[0].version}, the newest," * (patches[0].version > 1)
    head.append(f"with {len(patches)} patch{'es' * (len(patches) > 1)}{newest} of {options.patches}: {sources[-1]}")
    head += of_proofs(results, odd) if not why_none else [f"Nothing is proved of the result: {why_none}"]
    traces = sources[-1].file.parents[2] / "traces"
    said = [
        of_patch(number, patch, looked[number - 1], looked[number], traces) for number, patch in enumerate(patches, 1)
    ]
    for one, (_, why_before), (source, why) in zip(said, stages, stages[1:], strict=False):
        one.lines += [f"run in {named(source)} from here on: {why}"] if why and not why_before else []
    findings = sum(one.findings for one in said)
    print("\n".join(shortened(head, said, outcome(said, odd, why_none), out / "index.html")))
    kernel = kernels[-1]
    verdicts = with_real_runs(
        [*(of_proof(result, kernel.path) for result in results), *of_hunt(looked[-1].hunt)], kernel
    )
    found = findings_of(verdicts, out / "traces", kernel)
    tallies = {KERNEL: dict(sorted(looked[-1].hunt.tally.events.items()))}
    with usable(options.out):
        write(out, verdicts, found, tallies, options.as_typed, ("prove", "fuzz"), kernel)
    say_how_to_confirm(base, findings or odd)
    if findings or odd:
        return Status.SURPRISE
    return Status.NO_ANSWER if why_none else Status.EXPECTED


def outcome(said: list[Said], odd: list[Result], why_none: str) -> str:
    """What the exit status is about."""
    found = [f"{counted(one.findings, 'finding')} of patch {one.number}" for one in said if one.findings]
    found += [f"{counted(len(odd), 'obligation')} with another verdict than of the base"] if odd else []
    if found:
        return f"Status 1: {', '.join(found)}."
    return "Status 2: no finding, but nothing is proved of the result." if why_none else "Status 0: no finding."


def patched(base: Source, patches: list[Patch]) -> tuple[list[Patch], list[tuple[Source, str]]]:
    """The patches as they were applied; and the file as it is, and as each leaves it, where it builds, and why not in the shim;
    in a folder that stays: what is found can be run again. Raises BuildError."""
    digest = sha256(repr((base.file.resolve(), base.digest(), [patch.text for patch in patches])).encode())
    folder = REVIEWS / digest.hexdigest()[:8]
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier review of these patches
    try:
        done = list(applied(patches, base, folder))
        stages = [where_it_builds(source) for source in (base, *(source for _, source in done))]
        return [patch for patch, _ in done], stages
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if OTHER_BASE in str(error):
            fitting = [f"`BASE={quote(os.path.relpath(tree))}`" for tree in fetched() if fits(patches, find(tree))]
            raise BuildError(f"{error}; of the fetched ones, it fits {' and '.join(fitting) or 'none'}") from None
        raise


def promises_beside(patches: str) -> str | None:
    """The TOML file that is named like a file of patches, if there is one, as thread.toml beside thread.mbox.gz."""
    beside = Path(patches.removesuffix(".gz")).with_suffix(".toml")
    return os.path.relpath(beside) if Path(patches).exists() and beside.is_file() else None


def what_to_review(named: str, base: str | None) -> tuple[Source, list[Patch]]:
    """The file before the patches, and the patches. Raises BadInput."""
    if base is None and not fetched():
        raise BadInput("say what is patched, with --base; `make kernels` fetches kernels")
    source = find(fetched()[0] if base is None else base)
    if ".." in named and not named.startswith((".", "/")) and not Path(named).exists():
        if source.tree is None or source.tree not in source.file.parents:
            raise BadInput(
                f"{base or source.tree}: a git tree of a kernel with its headers is needed for the commits {named}"
            )
        return of_commits(source.tree, named)
    with usable(named, "name the patches"):
        patches = read_patches(Path(named))
    fitting = [source] if base is not None else [one for one in map(find, fetched()) if fits(patches, one)]
    return fitting[0] if fitting else source, patches


def fits(patches: list[Patch], base: Source) -> bool:
    with TemporaryDirectory() as scratch, suppress(BuildError):
        return bool(list(applied(patches, base, Path(scratch))))
    return False


def folder_or_file(source: Source) -> str:
    """As a command takes it."""
    above = source.file.parent.parent
    return os.path.relpath(above if source.file == above / FILE else source.file)


def look_at_all(kernels: list[KernelFile], options: argparse.Namespace) -> list[Looked]:
    """Hunt in each version that is compiled from other code than the one before it, and compare it with that."""
    pairs = [*zip([None, *kernels], kernels, strict=False)]
    changed = [kernel for former, kernel in pairs if former is None or not kernel.source.compiles_like(former.source)]
    tasks: list[Future[Any]]
    with ProcessPoolExecutor(min(options.jobs, len(kernels))) as processes:
        drawing = processes.submit(draw, [kernel.source for kernel in kernels], options.seed, RUNS)
        hunts = {one.path: processes.submit(hunt, KERNEL, options.seed, options.profile, one) for one in changed}
        show_progress("what to compare them with is drawn")
        comparisons = {
            kernel.path: processes.submit(compare, *alike(former.source, kernel.source), drawing.result())
            for former, kernel in pairs
            if former is not None and kernel in changed
        }
        tasks = [*hunts.values(), *comparisons.values()]
        for number, task in enumerate(as_completed(tasks), 1):
            task.result()
            show_progress(f"{number} of {len(tasks)} hunts and comparisons are done")
    show_progress("")
    looked = list[Looked]()
    for kernel in kernels:
        differs = comparisons[kernel.path].result() if kernel.path in comparisons else Comparison()
        looked.append(
            Looked(kernel, differs, hunts[kernel.path].result())
            if kernel.path in hunts
            else replace(looked[-1], comparison=differs)
        )
    return looked


def alike(one: Source, other: Source) -> tuple[Source, Source]:
    """Both in a real kernel, if one of them is."""
    if one.real == other.real:
        return one, other
    both = [source if source.real else in_a_real_kernel(source) for source in (one, other)]
    return both[0] or one, both[1] or other


def prove(kernel: str, jobs: int, only: Collection[str] = ()) -> tuple[list[Result], str]:
    """Everything that is known to prove of a file, or of that these obligations only; or why nothing is."""
    try:
        names = [name for name in catalogue_of(kernel) if not only or name in only]
    except BadInput as not_followed:
        return [], str(not_followed)
    return prove_named(names, Settings(), Where(kernel, None, jobs), show_progress), ""


def of_patch(number: int, patch: Patch, before: Looked, after: Looked, traces: Path) -> Said:
    """What changes, and three lines for each claim that breaks, whose run is kept in a folder for `traces`."""
    comparison, kernel, said = after.comparison, after.kernel, Said(number, patch.subject)
    lines = said.lines
    lines += [patch.unlike] if patch.unlike else []
    said.sees = "the code is the same"
    if comparison.runs:
        sees = "a change in some" if comparison.smallest else "no change in any"
        said.sees = f"a driver sees {sees} of {comparison.runs:,} pools"
    for claim, better, words in after.promises.changes(before.promises):
        meant = better or kernel.is_announced(claim.name)
        said.findings += not meant
        how = "mends" if better else f"changes, as announced, {claim.name}" if meant else f"CHANGES {claim.name}"
        lines.append(f"{how}: {words}")
    known = {cause_of(trace) for trace in before.hunt.found}
    new = {cause_of(trace): trace for trace in reversed(after.hunt.found) if cause_of(trace) not in known}
    new = {cause: trace for cause, trace in new.items() if not breaks_alike(trace, before.kernel, cause)}
    said.traces = traces
    for place, trace in enumerate([*reversed(new.values())]):
        claim = CLAIMS[str(trace.claim)]
        said.findings += not kernel.is_announced(claim.name)
        how = "changes, as announced," if kernel.is_announced(claim.name) else "BREAKS"
        trace_file = keep(trace, f"review-{number:02}-{place + 1}-{claim.name}", traces)
        said.breaks.append((claim.name, run := []))
        if place >= MOST_BREAKS:
            continue
        scene, real = scene_on(trace, KERNEL, kernel), confirmed(trace, kernel)
        run.append(f"{how} {claim.name}: {claim.sentence}")
        real = f" {real[0].upper()}{real[1:]}." if real else ""
        run += [f"  {break_in_words(scene)}{real}"] if scene.broken is not None else []
        run.append(f"  {replaying(trace_file, KERNEL, kernel)}")
    if unseen := sorted(before.hunt.checked.keys() - after.hunt.checked.keys()):
        lines.append(f"not looked at any more: {', '.join(unseen)}")
    one, other = before.kernel.source, kernel.source
    if gone := [name for name in one.exports() if other.defined(name) and name not in other.exports()]:
        said.findings += 1
        lines.append(f"BREAKS modules that call {', '.join(gone)}: defined, and not exported any more")
    if not_run := sorted(set(exported_and_not_run(after)) - set(exported_and_not_run(before))):
        lines.append(f"exported, and not exercised: {', '.join(not_run)}")
    for kind in (kind for kind in OBSERVED if kind in comparison.smallest):
        found = comparison.smallest[kind]
        step = described(found.trace.last_step())
        change = f"{step}: {short(found.before.of[kind])}; now {short(found.after.of[kind])}"
        said.differences.append((f"{SEEN[kind]} in {comparison.differing[kind]:,}", change))
    return said


def breaks_alike(trace: Trace, kernel: KernelFile, cause: str) -> bool:
    """Whether a run breaks the same in another version: a hunt in that may have missed it."""
    with suppress(TraceError):
        broken = scene_on(trace, KERNEL, kernel).broken
        return broken is not None and cause_of(broken.trace) == cause
    return False


def cause_of(trace: Trace) -> str:
    """What tells a break from another one, in whatever line of C it is."""
    claim, where = str(trace.claim), re.search(r", in (\w+) \(", trace.last_step().happened)
    return f"{claim} in {where[1]}" if where else claim


def exported_and_not_run(looked: Looked) -> list[str]:
    """The functions that a file exports, of which a hunt has run no line."""
    names = list[str]()
    for name in looked.kernel.source.exports():
        if (found := looked.kernel.source.defined(name)) and looked.hunt.lines:
            first = found.string.count("\n", 0, found.start()) + 1
            if not any(first <= line <= first + found[0].count("\n") for line in looked.hunt.lines):
                names.append(name)
    return names


def of_proofs(results: list[Result], odd: list[Result]) -> list[str]:
    """What is proved of the last version, and what is otherwise than of the base."""
    proved = [result for result in results if result.verdict == "PROVED" and not result.undermined]
    claims = len({result.claim for result in proved} - {result.claim for result in odd})
    lines = [f"Proved of the result, for all inputs: {claims} claims, in {len(proved)} of {len(results)} obligations"]
    for verdict in ("REFUTED", *ADVICE):
        of_result = [result in odd for result in results if result.verdict == verdict]
        counts = {"new": sum(of_result), "known": of_result.count(False)}
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        lines[0] += f"; {SHOWN.get(verdict, verdict.lower())}: {said}" if said else ""
    undermined = sum(result.verdict == "PROVED" and bool(result.undermined) for result in results)
    lines[0] += f"; {undermined} rest on what is not proved" if undermined else ""
    told = causes(sorted(odd, key=lambda result: result.verdict != "REFUTED"))
    told = [line for line in told if not line.startswith("    ")]  # without the names of the obligations
    more = [f"  … {len(told) - MOST_CAUSES} more causes"] if len(told) > MOST_CAUSES else []
    return [*lines, *told[:MOST_CAUSES], *more]


def short(text: str) -> str:
    return (text if len(text) <= 70 else f"{text[:69]}…") or "nothing"


def shortened(head: list[str], said: list[Said], outcome: str, page: Path) -> list[str]:
    """All of it; or, if that is more than a mail takes, with one example of what differs by each patch, or none, with fewer
    runs, or even without the last patches."""
    last = ["", outcome, f"All of it: {os.path.relpath(page)}"]

    def whole(most: int, examples: int) -> list[str]:
        blank = [""] * (examples == len(SEEN))
        lines = [
            *head,
            *([] if blank else [""]),
            *(line for one in said for line in (*blank, *one.text(most, examples))),
        ]
        small = [f"({SMALL_PAGES})"] if any(OF_SMALL_PAGES.search(line) for line in lines) else []
        return [*lines, *small, *last]

    tried = [*(whole(MOST_BREAKS, examples) for examples in (len(SEEN), 1)), *(whole(most, 0) for most in MOST_RUNS)]
    for lines in tried:
        if len(lines) <= MOST_LINES:
            return lines
    room = MOST_LINES - len(last) - 1
    return [*tried[-1][:room], f"… {len(tried[-1]) - len(last) - room} more lines", *last]
