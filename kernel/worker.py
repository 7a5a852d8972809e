"""Processes that run a kernel's file: each runs one program of `kernel.build`, or a kernel of `kernel.real`.

Each shares its memory with this process.

A process serves one pool at a time, its owner. A fault ends it; the next pool starts another one.
"""

import atexit
import contextlib
import ctypes
import mmap
import os
import re
import resource
import socket
import struct
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ARENA = 2**30
"""Bytes of coherent memory; as in kernel/shim/shim.h."""

SCRATCH = 2**28
"""Bytes of shared memory behind it: pages that an operation gives back, and batches."""

TEXT = 2**20
"""Bytes of a program whose basic blocks are counted, in shared memory behind that; as in kernel/shim/shim.h."""

SECONDS = 10
"""Of a processor, that an operation may take, should the count of basic blocks not end it before."""

SECONDS_OF_A_BATCH = 120
"""Of some hundred thousand operations, each of which may look through a long list."""

SECONDS_TO_END = 60
"""That a process may take to end once it has closed its connection."""

MOST_WORKERS = 4
"""Processes; who makes one more pool takes away the oldest."""


KERNEL = "linux"
"""The name of a program that is a whole kernel, which boots; kernel/real/ builds it."""

COMMAND_LINE = ("mem=256M", "loglevel=5", "stderr=1", "printk.time=0", "no_hash_pointers", "kasan.fault=panic")
"""What a kernel boots with: warnings and worse are messages, with addresses as they are; what KASAN reports ends it."""

LIBC = ctypes.CDLL(None)


def processor() -> int:
    """The processor that this process runs on, or a number that none has."""
    number: int = LIBC.sched_getcpu() if hasattr(LIBC, "sched_getcpu") else -1
    return number if 0 <= number < 2**20 else 2**20


class KernelFault(Exception):
    """What the kernel's code did that ends the run: a signal, BUG, a write next to a page."""


class Worker:
    """A process that runs one program, and the memory that it shares with this one."""

    def __init__(self, program: Path, with_options: bool) -> None:
        self.program, self.with_options = program, with_options
        self.file = os.memfd_create("poolproof")
        os.ftruncate(self.file, ARENA + SCRATCH + 4 * TEXT)
        self.memory = memoryview(mmap.mmap(self.file, ARENA + SCRATCH + 4 * TEXT))
        self.scratch, self.counted = self.memory[ARENA : ARENA + SCRATCH], self.memory[ARENA + SCRATCH :]
        self.errors: Any = tempfile.TemporaryFile()  # noqa: SIM115
        self.process: subprocess.Popen[bytes] | None = None
        self.owner: object = None
        self.answer = bytearray(2**17)

    def start(self) -> None:
        if self.process is not None:
            return
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            self.errors.truncate(0)
            command = self.command(there.fileno())
            sanitizers = {
                "ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:detect_leaks=0"
            }
            self.process = subprocess.Popen(
                command,
                pass_fds=(there.fileno(), self.file),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                env=os.environ | sanitizers,
            )
        self.channel = here
        self.wait_for(SECONDS)
        self.send, self.receive = here.send, here.recv_into

    def command(self, channel: int) -> list[str]:
        if self.program.name != KERNEL:
            return [str(self.program), str(channel), str(self.file), *["options"] * self.with_options]
        self.files = tempfile.TemporaryDirectory()  # where the kernel lays a file with the number of its process
        return [str(self.program), f"poolproof={channel},{self.file}", f"uml_dir={self.files.name}/", *COMMAND_LINE]

    def wait_for(self, seconds: int) -> None:
        """Have an answer be late after so long."""
        self.seconds = seconds
        if self.process is not None:
            self.channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", seconds, 0))

    def stop(self) -> int:
        """End the process; returns how it ended."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        self.channel.close()
        process.kill()
        return process.wait()

    def receive_late(self) -> int:
        """The size of an answer that is late, since the machine is busy; 0 if none comes, since the process has ended.

        Raises TimeoutError if it runs for as many seconds of the processor as it was given, or waits for something.
        """
        begun = ends = self.processor_seconds()
        while ends is not None and begun is not None and ends - begun < self.seconds:
            with contextlib.suppress(BlockingIOError):
                return self.receive(self.answer)
            ends = self.processor_seconds()
        self.stop()
        raise TimeoutError(f"no answer within {self.seconds} seconds")

    def processor_seconds(self) -> float | None:
        """The time that the process has had a processor; None if it wants none."""
        state, seconds = self.used()
        return seconds if state in "RD" else None

    def used(self) -> tuple[str, float]:
        """The state of the process, and the time that it has had a processor."""
        if self.process is None:
            return "", 0
        state, *numbers = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return state, (int(numbers[10]) + int(numbers[11])) / os.sysconf("SC_CLK_TCK")

    def take_times_run(self) -> Counter[tuple[Path, int]]:
        """How often each basic block of the program was run since this was last called, by the address of code in it."""
        start, nbytes = struct.unpack_from("@QQ", self.counted)
        counts, end = self.counted.cast("I"), min(nbytes, TEXT)  # 0 if none was started
        times = {(self.program, start + at): counts[at] for at in range(4, end) if counts[at]}
        self.counted[16 : 4 * end] = bytes(max(0, 4 * end - 16))
        return Counter(times)

    def died(self) -> Exception:
        """The process has ended without a word, as a sanitizer ends it."""
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(SECONDS_TO_END)
        status = self.stop()
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").splitlines()
        reports = [line for line in said if re.search("ERROR: |runtime error: |panic", line)]
        return KernelFault(reports[0] if reports else f"its process ended with status {status}")


WORKERS: list[Worker] = []
"""Of this process, the one that was used last at the end."""


TIMES_RUN: Counter[tuple[Path, int]] = Counter()
"""Of the programs that no worker of this process runs any more: how often each basic block was."""


def take_times_run() -> Counter[tuple[Path, int]]:
    """How often this process has had each basic block of a program run, by an address in it, since this was last called."""
    times = sum((worker.take_times_run() for worker in WORKERS), Counter(TIMES_RUN))
    TIMES_RUN.clear()
    return times


def seconds_used() -> float:
    """The time that this process, and those that it has started, have had a processor: a kernel that boots counts as well."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(worker.used()[1] for worker in WORKERS)


def forget_workers() -> None:
    """A forked process has nothing to do with the workers of the one that it came from."""
    for worker in WORKERS:
        if worker.process is not None:
            worker.channel.close()
            worker.process.returncode = 0  # not its child
            worker.process = None
    WORKERS.clear()
    TIMES_RUN.clear()


def stop_workers() -> None:
    """End every process; the next pool starts one again."""
    for worker in WORKERS:
        worker.stop()


os.register_at_fork(after_in_child=forget_workers)
atexit.register(stop_workers)


def worker_of(program: Path, owner: object, with_options: bool = False) -> Worker:
    """A worker for a new pool, whose memory is given to it; with the program's own boot options, if `with_options` says so. A
    kernel is booted once, and serves one pool after the other."""
    idle = [worker for worker in WORKERS if (worker.program, worker.with_options) == (program, with_options)]
    runs = program.name == KERNEL and bool(idle)
    if len(WORKERS) < MOST_WORKERS and not runs and all(worker.owner is not None for worker in idle):
        worker = Worker(program, with_options)
    else:
        worker = (idle or WORKERS)[0]
        WORKERS.remove(worker)
        if worker not in idle:
            worker.stop()
            TIMES_RUN.update(worker.take_times_run())
            worker.program, worker.with_options = program, with_options
    WORKERS.append(worker)
    worker.owner = owner
    worker.start()
    return worker
