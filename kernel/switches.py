"""Variables of a file that nobody sets but its boot options, static keys above all, as LLVM IR has them."""

import re
from collections.abc import Iterator

OPTION = re.compile(r'^@[\w.]+ = .*?\{ ptr @([\w.]+), ptr @([\w.]+), i32 (\d+).*section "poolproof_options"', re.M)
"""Of __setup() and early_param(), as kernel/shim/arch/file.h has them: the name, the function, and whether it is early."""

PARAMETER = re.compile(r"^@__param_[\w.]+ = .*ptr @param_ops_(\w+), i16 (\d+), .*\{ ptr @([\w.]+) \}", re.M)
"""Of module_param() and core_param(): the type, who may write it later, and the variable."""

NUMBERS = ("bool", "int", "uint")
"""Types of parameters that are set to 1."""


def set_by_options(text: str) -> tuple[dict[str, bool], dict[str, int]]:
    """The functions that a file's boot options call, and whether with a value: what is behind the name of __setup("name=") or
    early_param("name"); and the variables that they set to a number themselves."""
    with_value = set(re.findall(r'^@([\w.]+) = .*? c"[^"]*=\\00"', text, re.M))
    functions = {function: early != "0" or name in with_value for name, function, early in OPTION.findall(text)}
    fixed = {name: 1 for kind, mode, name in PARAMETER.findall(text) if kind in NUMBERS and not int(mode) & 0o222}
    return functions, fixed


def only_set_by_options(text: str) -> set[str]:
    """The objects that a file's own code does nothing with but to read them, if it is no boot option's function."""
    functions, fixed = set_by_options(text)
    if not functions and not fixed:
        return set()
    for name in functions:
        text = re.sub(rf"^define [^\n]*@{re.escape(name)}\(.*?^\}}", "", text, flags=re.M | re.S)
    text = OPTION.sub("", text)
    known, used = set(re.findall(r"^@([\w.]+) = [a-z_ ]*?\bglobal ", text, re.M)), set(uses(text, fixed))
    return set() if used & {*functions} else known - used


def uses(text: str, fixed: dict[str, int]) -> Iterator[str]:
    """What is mentioned otherwise than to be read."""
    for line in text.splitlines():
        mentioned = (
            re.findall(r"@([\w.]+)", line) if "@" in line and " = load " not in line and "#dbg_" not in line else []
        )
        parameter = PARAMETER.match(line)
        yield from mentioned[line.startswith("@") :] if parameter is None or parameter[3] not in fixed else ()
