"""Changes of functions, made in a process that has imported the program and collected its tests.

A change inside functions alters their code only. So the code of the functions is replaced in a fork
of that process, and nothing is imported again. What is decided at import, as a default argument or
a table, needs a process that imports the changed program: `forking` does that, and it tries again
what no test noticed here, for a table may be made by the changed function."""

from __future__ import annotations

import gc
import inspect
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

Change = tuple[FunctionType, CodeType]


class Functions:
    """The functions of the program that this process has imported."""

    def __init__(self, root: Path) -> None:
        self._by_place: defaultdict[tuple[str, str, int], list[FunctionType]] = defaultdict(list)
        gc.unfreeze()  # what is frozen is not listed
        for found in gc.get_objects():
            if isinstance(found, FunctionType):
                code = found.__code__
                if code.co_filename.startswith(f"{root}/"):
                    self._by_place[_place(code)].append(found)

    def changes(self, path: str, before: str, after: str) -> list[Change] | None:
        """Return the functions whose code differs in two sources of the module at `path`, and the
        new code of each; None where more than that differs, or a function cannot be found."""
        codes = list(_differing(*(compile(text, path, "exec") for text in (before, after))))
        found: list[Change] = []
        for old, new in codes:
            functions = self._by_place[_place(old)] if old else []
            if not new or not functions:
                return None
            found += [(function, new) for function in functions]
        return found or None


def _place(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _differing(
    before: CodeType, after: CodeType
) -> Iterator[tuple[CodeType | None, CodeType | None]]:
    """Return the outermost functions that differ, before and after; a pair of None where the code
    around them differs, which runs at import."""
    if before == after:
        return
    if before.co_flags & inspect.CO_OPTIMIZED:
        yield (before, after) if before.co_freevars == after.co_freevars else (None, None)
        return
    inner_before, inner_after = _inner(before), _inner(after)
    if _own(before) != _own(after) or len(inner_before) != len(inner_after):
        yield None, None
        return
    for one, other in zip(inner_before, inner_after, strict=True):
        yield from _differing(one, other)


def _inner(code: CodeType) -> list[CodeType]:
    return [one for one in code.co_consts if isinstance(one, CodeType)]


def _own(code: CodeType) -> tuple[object, ...]:
    constants = [(type(one), one) for one in code.co_consts if not isinstance(one, CodeType)]
    return code.co_code, code.co_names, constants
