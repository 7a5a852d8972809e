"""Where in the C something happens: the function and the line of an address in a program, and the field of an object."""

import re
import subprocess
from collections import Counter
from functools import lru_cache
from pathlib import Path

from kernel.compiler import BuildError
from kernel.headers import SHIM
from kernel.worker import take_times_run

COPY = "dmapool.c"
"""The file beside the program that runs it: a program outlives the folder that its file was in."""


@lru_cache(maxsize=256)
def site_of(program: Path, pc: int) -> tuple[str, str]:
    """The function, and the file with the line, of an address in a program; "" where addr2line is not there to tell."""
    if not pc:
        return "", ""
    command = ["addr2line", "-f", "-i", "-e", str(program), f"{pc - 1:#x}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "", ""
    said = re.sub(r" \(discriminator \d+\)", "", done.stdout).splitlines()
    own = file_of(program)  # of which GCC names some lines as if they were of wrapped.c
    # The function and the line, then those that it is inlined in.
    places = [
        (function, re.sub(r".*/wrapped\.c(?=:)", lambda _: own, line))
        for function, line in zip(said[::2], said[1::2], strict=False)
    ]
    in_headers = [place for place in places if "/include/" in place[1] or place[1].startswith(f"{SHIM}/")]
    function, line = next((place for place in places if place not in in_headers), ("??", ""))
    return ("", "") if function == "??" else (function.partition("_poolproof")[0], line)


def file_of(program: Path) -> str:
    """The dmapool.c that a program runs, which is included in wrapped.c."""
    try:
        return (program.parent / "wrapped.c").read_text().rpartition('#include "')[2].rstrip().rstrip('"')
    except OSError:
        return ""


def place_of(program: Path, pc: int) -> str:
    """The line of an address, as `dmapool.c:123`."""
    return site_of(program, pc)[1].rpartition("/")[2]


def line_of(program: Path, pc: int) -> str:
    """The function and the line of an address, as `pool_find_page (dmapool.c:123)`."""
    function = site_of(program, pc)[0]
    return f"{function} ({place_of(program, pc)})" if function else ""


def with_fields(program: Path, pc: int, words: str) -> str:
    """What is said of bytes of an object, with the name of the field, as far as the program's debugging information has it."""
    about = re.search(r"(\d+) bytes at offset (\d+) of an object of (\d+) bytes of kmalloc", words)
    if about is None:
        return words
    file, _, line = site_of(program, pc)[1].rpartition(":")
    try:
        text = (program.parent / COPY if file == file_of(program) else Path(file)).read_text(errors="replace")
    except OSError:
        return words
    offset, nbytes = int(about[2]), int(about[3])
    found = dict[str, bool]()  # what it may be called, and whether that is sure
    for name, size, members in sorted(structs_of(program), key=lambda struct: -struct[1]):
        if size and nbytes % size == 0 and re.search(rf"\bstruct\s+{name}\s*\{{", text):
            below = [member for at, member in members if at <= offset % size]
            if below:
                written = re.search(rf"\w+(?:->|\.){below[-1]}\b", text.splitlines()[int(line) - 1])
                called = written[0] if written else f"{below[-1]} of a struct {name}"
                found[called] = written is not None or nbytes == size
    sure = [called for called, is_sure in found.items() if is_sure]
    if sure or len(found) == 1:  # or else it may be an array of any of several
        return words.replace(about[0], sure[0] if sure else next(iter(found)))
    return words


@lru_cache(maxsize=16)
def structs_of(program: Path) -> list[tuple[str, int, list[tuple[int, str]]]]:
    """The structs that a program's dmapool.c knows: the name, the bytes, and each member's offset and name, ascending."""
    command = ["readelf", "--debug-dump=info", str(program.parent / "file.o")]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return []
    structs: list[tuple[str, int, list[tuple[int, str]]]] = []
    for entry in re.split(r"^ <", said, flags=re.M):
        depth, kind = entry.partition(">")[0], re.search(r"\(DW_TAG_(\w+)\)", entry)
        named = re.search(r"DW_AT_name +: (?:\(.*?\): )?(\w+)", entry)
        number = re.search(r"DW_AT_(?:byte_size|data_member_location) *: (\d+)", entry)
        if kind and kind[1] == "structure_type" and depth == "1":
            structs.append((named[1] if named else "", int(number[1]) if number else 0, []))
        elif kind and kind[1] == "member" and depth == "2" and structs and named and number:
            structs[-1][2].append((int(number[1]), named[1]))
    return structs


def lines_run(file: Path) -> Counter[int]:
    """How often each line of the file was run in this process since this was last called: of a line with several basic
    blocks, the one that was run most often. Raises BuildError where addr2line is missing."""
    programs: dict[Path, dict[int, int]] = {}
    for (program, pc), times in take_times_run().items():
        programs.setdefault(program, {})[pc] = times
    lines: Counter[int] = Counter()
    for program, counts in programs.items():
        try:
            command = ["addr2line", "-a", "-i", "-e", str(program)]
            asked = "".join(f"{pc - 1:#x}\n" for pc in counts)
            said = subprocess.run(command, input=asked, capture_output=True, text=True, check=False).stdout
        except OSError:
            raise BuildError("addr2line is missing, which tells the lines that were run: install binutils") from None
        own = file_of(program) or str(file)  # the same text may have been built first where another file is
        of_program: dict[int, int] = {}
        places = re.split(r"^0x[0-9a-f]+\n", said, flags=re.M)[1:]  # of each address, with those that it is inlined in
        for place, times in zip(places, counts.values(), strict=True):
            for line in re.findall(rf"^{re.escape(own)}:(\d+)", place, re.M):
                of_program[int(line)] = max(times, of_program.get(int(line), 0))
        lines.update(of_program)
    return lines
