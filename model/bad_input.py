"""Bad input: what a command answers with one line on standard error, and with exit status 2."""


class BadInput(Exception):
    """What the user asks for cannot be done. The message is one line: what is wrong, and what to do about it."""
