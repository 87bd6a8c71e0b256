"""The page's static files, from memory.

Their addresses hold a digest of all of them, so browsers can keep them for ever. A module that
imports another one gets it in the same version.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib.resources import files

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from reconciler.web.entity_tags import conditional, tag_of

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class StaticFile(Struct, frozen=True):
    """A file as it is sent. `packed` is its content in gzip (RFC 1952). `tag` and `packed_tag` are
    their ETags, each with its quotation marks."""

    content: bytes
    packed: bytes
    media_type: str
    tag: str
    packed_tag: str


@functools.cache
def static_files() -> dict[str, StaticFile]:
    """Return every static file by its name."""
    found = {}
    for file in (files("reconciler.web.page") / "static").iterdir():
        kind = file.name[file.name.rfind(".") :]
        if kind in _TYPES:
            content = file.read_bytes()
            tag = tag_of(content)
            found[file.name] = StaticFile(
                content,
                gzip.compress(content, mtime=0),
                f"{_TYPES[kind]}; charset=utf-8",
                f'"{tag}"',
                f'"{tag}-gzip"',
            )
    return found


@functools.cache
def _digest() -> str:
    files_by_name = sorted(static_files().items())
    whole = b"".join(hashlib.sha256(file.content).digest() for _, file in files_by_name)
    return hashlib.sha256(whole).hexdigest()[:12]


def address(name: str) -> str:
    """Return the path that a static file is served at. Raises KeyError."""
    _ = static_files()[name]
    return f"/static/{_digest()}/{name}"


async def serve_static(request: Request) -> Response:
    """Answer for one static file; an old digest gets the present content, uncached."""
    file = static_files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(404, "there is no such file")
    current = request.path_params["digest"] == _digest()
    headers = {
        "Content-Type": file.media_type,
        "Cache-Control": "public, max-age=31536000, immutable" if current else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        packed = {**headers, "Content-Encoding": "gzip", "ETag": file.packed_tag}
        return conditional(request, Response(file.packed, headers=packed))
    plain = Response(file.content, headers={**headers, "ETag": file.tag})
    return conditional(request, plain)
