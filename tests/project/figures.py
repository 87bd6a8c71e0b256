"""Print figures of the package: `python -m tests.project.figures`.

They are no numbers to reach. They show whether files and functions stay short, and whether imports
lead one way.
"""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tests.project.import_graph import MODULES, circles, imports, package_files

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions and methods of a module, those inside functions too."""
    yield from (node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS))


def private_functions(tree: ast.AST) -> list[tuple[int, int]]:
    """Return of each private function of a module in how many places it is named, and its lines."""
    named = Counter(
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
    )
    return [
        (named[one.name], _length(one))
        for one in functions(tree)
        if one.name.startswith("_") and not one.name.startswith("__")
    ]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _arrows(graph: Mapping[str, set[str]], depth: int | None) -> int:
    """Return the number of different imports between modules, or between folders of this depth."""
    pairs = {
        (_above(module, depth), _above(other, depth))
        for module, others in graph.items()
        for other in others
    }
    return sum(one != another for one, another in pairs)


def _above(module: str, depth: int | None) -> str:
    if depth is None:
        return module
    parts = module.split(".")
    is_package = any(other.startswith(module + ".") for other in MODULES)
    return ".".join((parts if is_package else parts[:-1] or parts)[: depth + 1])


def _spread(values: Sequence[int]) -> str:
    return (
        f"median {statistics.median(values):.0f}, p90 {statistics.quantiles(values, n=10)[8]:.0f}"
    )


def main() -> None:
    """Print the figures."""
    texts = [path.read_text(encoding="utf-8") for path in package_files()]
    files = [len(text.splitlines()) for text in texts if text]
    lengths = [_length(one) for tree in MODULES.values() for one in functions(tree)]
    private = [one for tree in MODULES.values() for one in private_functions(tree)]
    once = [count for places, count in private if places == 1]
    comments = sum(
        token.type == tokenize.COMMENT
        for text in texts
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
    )
    graph = imports()
    folders = {_above(module, 9) for module in graph}
    floors = {_above(module, 1) for module in graph} - {"reconciler"}
    print(f"files {len(files)}: {_spread(files)} lines; over 400: {sum(n > 400 for n in files)}")
    print(f"functions {len(lengths)}: {_spread(lengths)} lines")
    print(
        f"private functions {len(private)}: named in one place {len(once) / len(private):.0%}, "
        f"of these with three lines at most {sum(count <= 3 for count in once)}"
    )
    print(f"comments: {comments / sum(files) * 100:.1f} per 100 lines")
    print(
        f"floors {len(floors)}, folders {len(folders)}; arrows between modules "
        f"{_arrows(graph, None):,}, folders {_arrows(graph, 9)}, floors {_arrows(graph, 1)}; "
        f"circles {len(circles(graph))}"
    )


if __name__ == "__main__":
    main()
