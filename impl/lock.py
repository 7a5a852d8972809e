"""`pool->lock`, the spinlock of a pool (`spin_lock_irqsave`, `spin_unlock_irqrestore`)."""


class LockingError(Exception):
    """A lock is taken while it is taken, dropped or needed while it is not, or somebody may sleep while it is taken."""

    claim = "locking_rules_are_kept"


class Lock:
    """A lock only says whether it is taken, since nothing runs at once here; it raises LockingError for a wrong order."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = False

    def take(self) -> None:
        if self.taken:
            raise LockingError("pool->lock is taken twice: a deadlock")
        self.taken = True

    def drop(self) -> None:
        self.needed()
        self.taken = False

    def needed(self) -> None:
        """What follows changes what callers share (`lockdep_assert_held`)."""
        if not self.taken:
            raise LockingError("pool->lock is not taken")

    def might_sleep(self) -> None:
        if self.taken:
            raise LockingError("dma_alloc_coherent may sleep, and pool->lock is taken")

    __enter__ = take

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and not self.taken:
            self.needed()
        self.taken = False
