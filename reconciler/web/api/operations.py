"""Operations of the API. The routes, the checks of roles and the OpenAPI document are made from
one table of them, so these cannot differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.web.access.roles import Role, require_role
from reconciler.web.entity_tags import conditional

Handler = Callable[[Request], Awaitable[Response]]


class Parameter(Struct, frozen=True):
    """A query parameter. `schema` is its JSON Schema; `repeats`: it may stand several times."""

    name: str
    text: str
    schema: Mapping[str, Any]
    repeats: bool = False


FLAG: Mapping[str, Any] = {"type": "boolean", "default": False}
DRY_RUN = Parameter("dryRun", "Answer what would be done, and change nothing.", FLAG)


class Operation(Struct, frozen=True):
    """One method of one path.

    `role`: the role that it needs; None is open to everybody. `query`: its parameters. `body`,
    `answer`: the pydantic model or JSON Schema of the request and of the answer; None: no content.
    `status`: that of success; `also`: answers of success with another status; `errors`: the
    statuses of its problems. `media_type` is that of the answer, `body_types` those of the body;
    `text_types` are those in which the answer is text, where a request prefers them. `headers`:
    those that it reads, as parameters of OpenAPI.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    role: Role | None = Role.VIEW
    query: tuple[Parameter, ...] = ()
    body: Any = None
    answer: Any = None
    status: int = 200
    errors: tuple[int, ...] = ()
    media_type: str = "application/json"
    text_types: tuple[str, ...] = ()
    body_types: tuple[str, ...] = ("application/json",)
    headers: tuple[Mapping[str, Any], ...] = ()
    also: Mapping[int, Any] = {}


def routes(operations: Iterable[Operation]) -> list[Route]:
    """Return the routes of these operations, in their order."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(path, _dispatch(methods), methods=sorted(methods))
        for path, methods in by_path.items()
    ]


def _dispatch(methods: Mapping[str, Operation]) -> Handler:
    async def serve(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation = methods[method]
        if operation.role is not None:
            require_role(request, operation.role)
        if method != "GET" and DRY_RUN not in operation.query and flag(request, DRY_RUN.name):
            raise HTTPException(400, "this cannot be tried with dryRun: it would be done")
        answer = await operation.handler(request)
        if method == "GET" and operation.role is not None:
            return conditional(request, answer)
        return answer

    return serve


def flag(request: Request, name: str) -> bool:
    """Return a query parameter that is true or false; it is false by default. Raises HTTPException
    400."""
    text = request.query_params.get(name, "false")
    if text not in {"true", "false"}:
        raise HTTPException(400, f"{name} is true or false")
    return text == "true"
