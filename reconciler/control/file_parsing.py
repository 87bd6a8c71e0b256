"""Files' contents to what they declare; many of them in several processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.manifests.loading import Loaded, ParsedFile, defective, parse
from reconciler.manifests.parallel_parsing import spread
from reconciler.manifests.templates.template_index import Templates
from reconciler.model.manifest_policy import Allowed, allowed, enforce
from reconciler.planning.observed_manifests import Declaration, declare

Parsed = tuple[ParsedFile, tuple[Declaration, ...]]


def parse_all(
    contents: Mapping[str, bytes], templates: Templates, *, allow_inline_secrets: bool
) -> dict[str, Parsed]:
    """By the files' names."""
    found = spread(
        _parse_some, list(contents.items()), (templates, allow_inline_secrets, allowed())
    )
    return dict(zip(contents, found, strict=True))


def _parse_some(
    contents: Sequence[tuple[str, bytes]], common: tuple[Templates, bool, Allowed]
) -> list[Parsed]:
    templates, allow_inline_secrets, policy = common
    enforce(policy)  # another process, perhaps, does not know it
    return [
        _declared(parse(data, name, templates, allow_inline_secrets=allow_inline_secrets))
        for name, data in contents
    ]


def _declared(parsed: ParsedFile) -> Parsed:
    try:
        return parsed, tuple(map(_declaration, parsed.manifests))
    except Exception as defect:  # noqa: BLE001  # as for what `parse` fails to read
        return defective(parsed.file, defect), ()


def _declaration(found: Loaded) -> Declaration:
    return declare(found.manifest, found.file, found.line, found.base)
