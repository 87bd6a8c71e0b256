"""Conditional requests: ETag, If-Match and If-None-Match (RFC 9110, sections 8.8.3 and 13.1)."""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from reconciler.web.problem_details import problem

_SEPARATORS = re.compile(r"[\s,]*")
_MEMBER = re.compile(r'(W/)?"([^"]*)"|([^\s,"]+)')
"""One of a list of entity tags. One without quotation marks is taken for a strong one."""
_OF_304 = ("etag", "cache-control", "content-location", "expires", "vary")
"""The headers of a 304 (section 15.4.5)."""
_LENGTH = 32


class EntityTags(Struct, frozen=True):
    """The tags of If-Match or If-None-Match. `every`: it is `*`."""

    every: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()

    def match_strongly(self, tag: str) -> bool:
        """Return whether If-Match is met by what has this strong tag (section 8.8.3.2)."""
        return self.every or tag in self.strong

    def match_weakly(self, tag: str) -> bool:
        """Return whether If-None-Match names what has this tag."""
        return self.every or tag in self.strong or tag in self.weak


def tags_in(headers: Headers, name: str) -> EntityTags | None:
    """Return the tags of a header; None where a request does not have it."""
    text = ", ".join(headers.getlist(name)).strip()
    if not text:
        return None
    if text == "*":
        return EntityTags(every=True)
    strong: set[str] = set()
    weak: set[str] = set()
    at = 0
    while found := _MEMBER.match(text, _after_separators(text, at)):
        (weak if found[1] else strong).add(found[2] if found[3] is None else found[3])
        at = found.end()
    return EntityTags(strong=frozenset(strong), weak=frozenset(weak))


def _after_separators(text: str, at: int) -> int:
    found = _SEPARATORS.match(text, at)
    return found.end() if found else at


def tag_of(content: bytes) -> str:
    """Return the strong tag of a content, without quotation marks."""
    return hashlib.sha256(content).hexdigest()[:_LENGTH]


def conditional(request: Request, answer: Response) -> Response:
    """Return the answer to a GET or HEAD with its ETag; or 304, or 412, where the request's
    conditions say so. An answer that is no success, or a stream, stays as it is."""
    if answer.status_code != 200 or isinstance(answer, StreamingResponse):
        return answer
    quoted = answer.headers.setdefault("ETag", f'"{tag_of(bytes(answer.body))}"')
    tag = quoted.strip('"')
    wanted = tags_in(request.headers, "if-match")
    if wanted is not None and not wanted.match_strongly(tag):
        return problem(412, "PreconditionFailed", "it is another one by now: see the ETag")
    known = tags_in(request.headers, "if-none-match")
    if known is not None and known.match_weakly(tag):
        kept = {name: answer.headers[name] for name in _OF_304 if name in answer.headers}
        return Response(status_code=304, headers=kept)
    return answer
