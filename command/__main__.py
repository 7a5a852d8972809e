"""`python -m command SUBCOMMAND …`: everything that poolproof does, under one name. `command.line` has the exit statuses.

What takes time to import is imported after Ctrl-C has been given its meaning.
"""

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1
"""Of prctl(2): which signal this process gets when its parent ends."""

INTERRUPTED, READER_LEFT = 130, 141
"""Exit statuses: 128 and the number of SIGINT, of SIGPIPE."""


def end_on_interrupt() -> None:
    """Have Ctrl-C end this process at once, and the end of this process, whatever its cause, its workers.

    Nothing is raised for that: an exception in the midst of a fork would leave a worker that nobody knows of, and one in a
    finaliser would be lost. A worker leaves Ctrl-C to this process: it could be inside a solver, which takes an interrupt for
    a question that it gave up.
    """
    here = forking = os.getpid()
    kernel = ctypes.CDLL(None)

    def interrupted(_: int, __: FrameType | None) -> None:
        if os.getpid() == here:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one finds it ending
            for worker in multiprocessing.active_children():
                worker.terminate()
            os.write(2, b"\npoolproof: interrupted\n")
            atexit._run_exitfuncs()  # temporary folders are removed
            os._exit(INTERRUPTED)

    def before_fork() -> None:
        nonlocal forking
        forking = os.getpid()

    def in_worker() -> None:
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != forking:  # which has ended before it was asked to tell
            os._exit(INTERRUPTED)

    os.register_at_fork(before=before_fork, after_in_child=in_worker)
    signal.signal(signal.SIGINT, interrupted)


if __name__ == "__main__":
    end_on_interrupt()
    from command.main import main

    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain once more
        status = READER_LEFT
    sys.exit(status)
