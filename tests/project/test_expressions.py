"""Every regular expression of the program takes time that grows with the text, and no faster.

What it reads is written by strangers, and a match holds the interpreter's lock. All of them are
found: compiled ones in modules, classes, closures and containers, and those that stand in a call.
Each is given texts made from its own parts, repeated, in three sizes; CPU time of this thread alone
is compared.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import reconciler

SMALL, LARGE, WHOLE = 2 << 10, 16 << 10, 1 << 20
_METHODS = (
    "compile",
    "search",
    "match",
    "fullmatch",
    "split",
    "findall",
    "finditer",
    "sub",
    "subn",
)
_SEARCHING = "search|finditer|findall|sub|subn|split"
# what only the person reads who wrote it, on a command line or in a file given to a verb
_TYPED = {
    "reconciler.cli.jsonpath",
    "reconciler.manifests.foreign.getmail",
}
_TEXTS = 60
"""For one expression; some have hundreds of branches."""
_BUILT = {"reconciler.destinations.maildir.mailbox_paths"}
"""Where one is put together while the program runs: of a manifest's own path, for names of
directories."""
Expression = re.Pattern[Any]


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if ".migrations." not in found.name:
            yield importlib.import_module(found.name)


def compiled(holder: object, seen: set[int]) -> Iterator[Expression]:
    """Patterns in it, however deep."""
    if id(holder) in seen:
        return
    seen.add(id(holder))
    if isinstance(holder, re.Pattern):
        yield holder
        return
    inside: Iterable[object] = ()
    if isinstance(holder, dict):
        inside = [*holder.keys(), *holder.values()]
    elif isinstance(holder, (list, tuple, set, frozenset)):
        inside = holder
    elif isinstance(holder, type) and holder.__module__.startswith("reconciler"):
        inside = vars(holder).values()
    elif isinstance(holder, FunctionType) and holder.__module__.startswith("reconciler"):
        inside = [
            *(holder.__defaults__ or ()),
            *(cell.cell_contents for cell in holder.__closure__ or () if "empty" not in repr(cell)),
        ]
    elif type(holder).__module__.startswith("reconciler") and hasattr(holder, "__struct_fields__"):
        inside = [getattr(holder, field) for field in holder.__struct_fields__]
    for one in inside:
        yield from compiled(one, seen)


def _of_re(call: ast.Call) -> bool:
    """Such as re.sub(…)."""
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
        and function.attr in _METHODS
        and bool(call.args)
    )


def inline(source: str) -> Iterator[tuple[Expression, bool]]:
    """In calls such as re.sub(pattern, …), where the pattern is written there; and whether it is
    searched for."""
    tree = ast.parse(source)
    only_matched = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"match", "fullmatch"}
    }
    for node in ast.walk(tree):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _of_re(node)
        ):
            continue
        pattern = node.args[0]
        if isinstance(pattern, ast.Constant):
            flags = [
                word
                for argument in [*node.args[1:], *(keyword.value for keyword in node.keywords)]
                for name in ast.walk(argument)
                if isinstance(name, ast.Attribute)
                and isinstance(word := getattr(re, name.attr, None), re.RegexFlag)
            ]
            searched = node.func.attr not in {"match", "fullmatch"} and id(node) not in only_matched
            yield re.compile(pattern.value, sum(flags, re.NOFLAG)), searched


@cache
def expressions() -> dict[str, tuple[Expression, bool]]:
    """All of them, by where the first place is that has it, and whether it is searched for, not
    only matched at one place: that is known of those with a name."""
    patterns: dict[str, tuple[Expression, bool]] = {}
    seen: set[int] = set()
    everything = [(module, Path(module.__file__ or "").read_text()) for module in modules()]
    for module, source in everything:
        for name, value in vars(module).items():
            named = isinstance(value, re.Pattern)
            searched = (
                not named or re.search(rf"\b{name}\s*\.(?:{_SEARCHING})\b", source) is not None
            )
            for pattern in compiled(value, seen):
                patterns[f"{module.__name__}: {pattern.pattern!r}"] = pattern, searched
        for pattern, searched in inline(source):
            patterns.setdefault(f"{module.__name__}: {pattern.pattern!r}", (pattern, searched))
    return {name: found for name, found in patterns.items() if name.partition(":")[0] not in _TYPED}


# Texts


def _parsed(pattern: Expression) -> Any:
    from re import _parser  # type: ignore[attr-defined]  # noqa: PLC0415  # there is no public one

    return _parser.parse(pattern.pattern, pattern.flags)


def _named(parsed: Iterable[Any]) -> list[tuple[str, Any]]:
    return [(str(kind), value) for kind, value in parsed]


def _letter(codes: Iterable[Any]) -> str:
    """One that a set matches."""
    negated, first = False, None
    excluded: set[int] = set()
    for kind, value in _named(codes):
        if kind == "NEGATE":
            negated = True
        elif kind == "LITERAL":
            first = first or chr(value)
            excluded.add(value)
        elif kind == "RANGE":
            first = first or chr(value[0])
            excluded |= set(range(value[0], min(value[1], 300) + 1))
        elif kind == "CATEGORY":
            letter = {"DIGIT": "1", "SPACE": " ", "WORD": "a"}.get(
                str(value).rpartition("_")[2], "a"
            )
            first = first or ("-" if "NOT" in str(value) else letter)
            excluded |= set(map(ord, " \t\n\r")) if "SPACE" in str(value) else set()
    if not negated:
        return first or "a"
    return next(letter for letter in "ax1-.!~\x01" if ord(letter) not in excluded)


def sample(parsed: Any) -> str:
    """A text that the expression matches, more or less, each repetition once."""
    text = ""
    for kind, value in _named(parsed):
        if kind == "LITERAL":
            text += chr(value)
        elif kind == "NOT_LITERAL":
            text += "a" if value != ord("a") else "b"
        elif kind == "ANY":
            text += "a"
        elif kind == "IN":
            text += _letter(value)
        elif kind == "SUBPATTERN":
            text += sample(value[3])
        elif kind == "BRANCH":
            text += sample(value[1][0])
        elif kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            text += sample(value[2]) * max(1, min(value[0], 40))
        elif kind == "ATOMIC_GROUP":
            text += sample(value)
    return text


def pumps(parsed: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """What comes before a part that may be repeated, and that part: each repetition, and each
    branch of it."""
    for kind, value in _named(parsed):
        if kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            yield before, sample(value[2])
            for inner, part in pumps(value[2]):
                yield before + inner, part
                yield before, inner + part
        elif kind == "SUBPATTERN":
            yield from pumps(value[3], before)
        elif kind == "ATOMIC_GROUP":
            yield from pumps(value, before)
        elif kind == "BRANCH":
            for branch in value[1]:
                yield from pumps(branch, before)
                yield before, sample(branch)
        elif kind in {"ASSERT", "ASSERT_NOT"}:
            yield from pumps(value[1], before)
        before += sample([(kind, value)])


def texts(pattern: Expression) -> list[tuple[str, str]]:
    """What stands first, and what is repeated behind it."""
    parsed = _parsed(pattern)
    found = [(before, part) for before, part in pumps(parsed) if part]
    found += [("", before + part) for before, part in found] + [
        ("", before) for before, _ in found if before
    ]
    whole = sample(parsed)
    found += [("", whole)] if whole else []
    found += [("", whole[:1]), ("", whole[:-1])] if len(whole) > 1 else []
    return list(dict.fromkeys(found))[:_TEXTS]


def hostile(pattern: Expression, before: str, part: str, size: int) -> Any:
    text = (before + part * (size // len(part) + 1))[:size] + "\x00\n!"
    return text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text


def seconds(pattern: Expression, text: Any, use: Callable[[Expression, Any], object]) -> float:
    began = time.thread_time()
    use(pattern, text)
    return time.thread_time() - began


def exhausted(pattern: Expression, text: Any) -> None:
    for _ in pattern.finditer(text):
        pass


def matched(pattern: Expression, text: Any) -> None:
    pattern.match(text)
    pattern.fullmatch(text)


USES = (matched, exhausted)


def superlinear(
    pattern: Expression, before: str, part: str, use: Callable[[Expression, Any], object]
) -> str:
    """Eight times the text may take eight times as long, or twice that on a busy machine; quadratic
    is 64 times."""
    for size in (16, 24, 32, 256, 512, 2048):
        if (took := seconds(pattern, hostile(pattern, before, part, size), use)) > 0.3:
            return f"{took:.1f} s for {size} letters"
    small, large = hostile(pattern, before, part, SMALL), hostile(pattern, before, part, LARGE)
    first, second = seconds(pattern, small, use), seconds(pattern, large, use)
    if (
        second > 24 * max(first, 2e-4) and second < 1
    ):  # once more, should the machine have been busy
        first = min(seconds(pattern, small, use) for _ in range(3))
        second = min(seconds(pattern, large, use) for _ in range(2))
    slow = second > 24 * max(first, 2e-4)
    return (
        f"{first * 1e3:.2f} ms for {SMALL} letters, {second * 1e3:.2f} ms for {LARGE}"
        if slow
        else ""
    )


def test_they_are_found() -> None:
    names = expressions()
    assert len(names) > 80
    assert any("imap.fetch_responses" in name for name in names)


@pytest.mark.parametrize("name", sorted(expressions()))
def test_an_expression_is_linear(name: str) -> None:
    pattern, searched = expressions()[name]
    for before, part in texts(pattern):
        for use in USES[: 1 + searched]:
            assert not (found := superlinear(pattern, before, part, use)), (
                f"{before!r}, then {part!r}…: {found}"
            )


def slowest_of(name: str) -> tuple[float, str]:
    """At 1 MiB."""
    pattern, searched = expressions()[name]
    return max(
        (
            (seconds(pattern, hostile(pattern, before, part, WHOLE), USES[searched]), name)
            for before, part in texts(pattern)
        ),
        default=(0.0, name),
    )


def slowest() -> tuple[float, str]:
    """Of all; for the record (`python -m tests.project.test_expressions`)."""
    with ProcessPoolExecutor() as processes:
        return max(processes.map(slowest_of, expressions()))


@pytest.mark.parametrize(
    ("bad", "worst"),
    [
        (r"(a+)+b", "exponential"),
        (r"\[([A-Z]+)[^\]]*\]", "quadratic"),
        (r"a*a*b", "quadratic"),
        (r"\s+$", "quadratic"),
        (r"x.*y.*z", "quadratic"),
    ],
)
def test_a_bad_expression_would_be_noticed(bad: str, worst: str) -> None:
    pattern = re.compile(bad)
    assert any(
        superlinear(pattern, before, part, use) for before, part in texts(pattern) for use in USES
    ), worst


def test_none_is_put_together_from_what_somebody_wrote() -> None:
    """An expression that is not written down cannot be tested here: its parts have to be of our own
    making."""
    built: list[str] = []
    for module in modules():
        tree = ast.parse(Path(module.__file__ or "").read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for node in (inner for function in functions for inner in ast.walk(function)):
            if (
                isinstance(node, ast.Call)
                and _of_re(node)
                and any(isinstance(inner, (ast.Call, ast.Name)) for inner in ast.walk(node.args[0]))
            ):
                built += [f"{module.__name__}: {ast.unparse(node.args[0])}"]
    assert {name.partition(":")[0] for name in built} <= _BUILT


if __name__ == "__main__":
    began = time.monotonic()
    worst, where = slowest()
    print(
        f"{len(expressions())} expressions; the slowest takes {worst:.2f} s for 1 MiB ({where}); "
        f"measured in {time.monotonic() - began:.0f} s"
    )
