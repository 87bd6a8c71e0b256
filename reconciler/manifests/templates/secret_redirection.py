"""The rule `template-secret`: a collector must not send its template's secret to another server.

Authors of collectors may use a template without the permission to read its secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from reconciler.manifests.diagnostics import Finding, Path, quoted
from reconciler.manifests.yaml.document_nodes import Node
from reconciler.model.spec import Overridable

_PLACES: tuple[Path, ...] = tuple(("source", *name.split(".")) for name in get_args(Overridable))
_SECRETS: tuple[Path, ...] = (
    ("source", "password"),
    ("source", "oauth2", "clientSecret"),
    ("source", "oauth2", "refreshToken"),
)
_DECIDING: tuple[Path, ...] = (
    ("source", "host"),
    ("source", "provider"),
    ("source", "oauth2", "tokenUrl"),
    ("source", "oauth2", "issuer"),
    ("source", "oauth2", "provider"),
)


def redirected_fields(
    template: Node, own: Node, merged: Node, overridable: Iterable[str], name: str
) -> Iterator[Finding]:
    """Yield the fields by which a collector would redirect the secret of its template `name`.

    A template that names no server leaves the server to its collectors.
    """
    if not any(_from_template(_at(merged, path)) for path in _SECRETS):
        return
    decided = {path[:-1] for path in _DECIDING if _at(template, path) is not None}
    allowed = {("source", *one.split(".")) for one in overridable}
    for path in _PLACES:
        mine, other = _at(own, path), _at(template, path)
        if mine is None or path in allowed or path[:-1] not in decided:
            continue
        if other is None or other.value != mine.value:
            field = ".".join(map(str, path[1:]))
            yield Finding(
                ("spec", *path),
                "template-secret",
                f"the secret is that of the template {quoted(name)}, so {quoted(field)} must be "
                "too: remove it, name a secret of your own, or let the template say `overridable: "
                f"[{field}]`",
            )


def _at(node: Node, path: Path) -> Node | None:
    found: Node | None = node
    for part in path:
        found = found.child(part) if found is not None else None
    return found


def _from_template(node: Node | None) -> bool:
    """Return whether the value, or a part of it, comes from the template."""
    if node is None:
        return False
    if node.position.file is not None:
        return True
    children = node.children.values() if isinstance(node.children, dict) else node.children
    return any(_from_template(child) for child in children)
