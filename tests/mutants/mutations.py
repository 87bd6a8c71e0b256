"""Small changes of a module's source: each is one edit of its text, found in its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

from msgspec import Struct

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_LARGE = 20
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Mutation(Struct, frozen=True):
    """Replace the octets from `start` to `end` of the module at `path` by `new`."""

    path: str
    function: str
    """Qualified name of the innermost function around the change, "" at the top of the module."""
    line: int
    what: str
    start: int
    end: int
    new: str
    change: str
    """The changed lines before and after, each on one line."""

    @property
    def place(self) -> str:
        return f"{self.path}:{self.function}"

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    def diff(self, source: bytes) -> str:
        before = source.decode().splitlines()
        after = self.applied(source).decode().splitlines()
        return "\n".join(list(unified_diff(before, after, lineterm="", n=1))[2:])


def mutations(root: Path, path: str) -> list[Mutation]:
    """Return every change of the module at `root` / `path`, in the order of its lines."""
    return list(_Mutator(path, (root / path).read_bytes()).all())


class _Mutator:
    """Walks the syntax tree of one module. Left out: docstrings, annotations, assertions, log
    lines, imports, the texts of errors, of which only the words would change, and `frozen=True` of
    a class, which type checking holds.

    A number becomes one more. A large constant of a module, as the octets of a buffer, becomes 0:
    nobody sees one more of it."""

    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        self._tree = ast.parse(source)
        lines = source.splitlines(keepends=True)
        self._constants: set[ast.AST] = set()
        """What large constants of the module consist of."""
        for statement in self._tree.body:
            if _is_constant(statement):
                self._constants.update(ast.walk(statement))
        self._offsets = [0]
        for line in lines:
            self._offsets.append(self._offsets[-1] + len(line))

    def all(self) -> Iterator[Mutation]:
        found = {(one.start, one.end, one.new): one for one in self._walk(self._tree, ())}
        yield from sorted(found.values(), key=lambda one: (one.start, one.end, one.new))

    def _walk(self, node: ast.AST, names: tuple[str, ...]) -> Iterator[Mutation]:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert) or _is_log(node):
            return
        yield from self._of(node, names)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift):
            yield from self._walk(node.left, names)
            return
        inner = names
        if isinstance(node, ast.ClassDef):
            inner = (*names, node.name)
        elif isinstance(node, _FUNCTIONS):
            inner = (*names, node.name, "<locals>")
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_params", "decorator_list") or (
                field == "keywords" and isinstance(node, ast.ClassDef)
            ):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_docstring(child):
                    yield from self._walk(child, inner)

    def _of(self, node: ast.AST, names: tuple[str, ...]) -> Iterator[Mutation]:
        if isinstance(node, ast.stmt):
            yield from self._of_statement(node, names)
        else:
            yield from self._of_expression(node, names)
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield self._negated(node.test, names)

    def _of_statement(self, node: ast.stmt, names: tuple[str, ...]) -> Iterator[Mutation]:
        match node:
            case (
                ast.Expr()
                | ast.AugAssign()
                | ast.Raise()
                | ast.Continue()
                | ast.Break()
                | ast.Return(value=None)
                | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
            ):
                yield self._replace(node, "pass", names, "a statement dropped")

    def _of_expression(self, node: ast.AST, names: tuple[str, ...]) -> Iterator[Mutation]:
        match node:
            case ast.comprehension():
                for condition in node.ifs:
                    yield self._negated(condition, names)
            case ast.Compare(ops=[op], left=left, comparators=[right]):
                new = f"{self._text(left)} {_COMPARISONS[type(op)]} {self._text(right)}"
                yield self._replace(node, f"({new})", names, "another comparison")
            case ast.BoolOp():
                yield from self._joined(node, names)
            case ast.UnaryOp(op=ast.Not()):
                yield self._replace(node, f"({self._text(node.operand)})", names, "a not dropped")
            case ast.Constant(value=bool() as truth):
                yield self._replace(node, str(not truth), names, "another truth value")
            case ast.Constant(value=int() | float() as number):
                large = number >= _LARGE or self._is_shifted(node)
                new = "0" if large and node in self._constants else f"({number} + 1)"
                yield self._replace(node, new, names, "another number")

    def _is_shifted(self, node: ast.AST) -> bool:
        return any(
            isinstance(one, ast.BinOp) and isinstance(one.op, ast.LShift) and one.left is node
            for one in self._constants
        )

    def _joined(self, node: ast.BoolOp, names: tuple[str, ...]) -> Iterator[Mutation]:
        """`or` for `and`, and the other way round; then each operand dropped."""
        texts = [f"({self._text(value)})" for value in node.values]
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield self._replace(node, f"({f' {other} '.join(texts)})", names, f"{word} → {other}")
        for number in range(len(texts)):
            left = texts[:number] + texts[number + 1 :]
            yield self._replace(node, f"({f' {word} '.join(left)})", names, "an operand dropped")

    def _negated(self, node: ast.expr, names: tuple[str, ...]) -> Mutation:
        return self._replace(node, f"(not ({self._text(node)}))", names, "a condition negated")

    def _replace(self, node: ast.AST, new: str, names: tuple[str, ...], what: str) -> Mutation:
        start, end = self._span(node)
        function = ".".join(names[:-1] if names and names[-1] == "<locals>" else ())
        line = int(getattr(node, "lineno", 0))
        first = self._source.rfind(b"\n", 0, start) + 1
        last = self._source.find(b"\n", end)
        before, after = self._source[first:start].decode(), self._source[end:last].decode()
        old = self._source[start:end].decode()
        change = " ".join(f"{before}{old}{after} → {before}{new}{after}".split())
        return Mutation(self._path, function, line, what, start, end, new, change)

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._offsets[node.lineno - 1] + node.col_offset,
            self._offsets[node.end_lineno - 1] + node.end_col_offset,
        )


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and all(
        isinstance(name, ast.Name) and name.id.isupper()
        for target in node.targets
        for name in (target.elts if isinstance(target, ast.Tuple) else [target])
    )


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_log(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and isinstance(node.value.func.value, ast.Name)
        and node.value.func.value.id == "log"
    )
