"""The API's answer about one collector: its manifest as declared, and all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.control.manifest_drafts import DeclaredManifest
from reconciler.manifests.editing.manifest_editor import EditRefused, NotDeclared
from reconciler.model.status import Description, Status

YAML = "application/yaml"
"""RFC 9512."""
YAML_NAMES = frozenset({YAML, "application/x-yaml", "text/yaml", "text/x-yaml"})
READ_ONLY = frozenset(
    {
        "status",
        "commit",
        "trouble",
        *(field.alias or name for name, field in Description.model_fields.items()),
    }
)
"""Members of the answer that are no part of the manifest."""


class DescribedCollector(Description):
    """The answer as the OpenAPI document describes it. Without a manifest that can be read, its
    members are missing."""

    api_version: str = ""
    kind: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: dict[str, Any] = Field(default_factory=dict)
    status: Status
    commit: str = ""
    trouble: str = ""


async def describe_collector(
    control: ControlService,
    request: Request,
    name: str,
    status: int = 200,
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a collector: its document where the request accepts YAML, else everything. The ETag
    is that of the manifest. `more`: further members."""
    found = await _declared(control, name)
    if found is not None and wants_yaml(request):
        return Response(found.text, status, {**(headers or {}), **etag(found)}, YAML)
    description = await control.describe(name)
    if found is None and wants_yaml(request):
        raise HTTPException(404, f"{name} has no manifest that can be read")
    content: dict[str, Any] = dict(found.data) if found else {}
    known = description.model_dump(mode="json", by_alias=True)
    content |= {"status": known["collector"]["status"], **known, **(more or {})}
    return JSONResponse(content, status, {**(headers or {}), **(etag(found) if found else {})})


async def _declared(control: ControlService, name: str) -> DeclaredManifest | None:
    """Return the manifest; None where there is none now, or none that can be read."""
    try:
        return await control.manifests.declared(name)
    except (NotDeclared, EditRefused):
        return None


def etag(found: DeclaredManifest) -> dict[str, str]:
    """Return the header that identifies this manifest."""
    return {"ETag": f'"{found.etag}"'}


def wants_yaml(request: Request) -> bool:
    """Return whether the request prefers YAML to JSON."""
    accepted = request.headers.get("accept", "").lower()
    first = accepted.partition(",")[0].partition(";")[0].strip()
    return first in YAML_NAMES
