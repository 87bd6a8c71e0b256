"""The policy file: which files, programs, variables and hosts manifests may name.

The administrator writes it; authors of manifests must not be able to. The rules here check the text
of manifests. `wire.confined_files`, `wire.connection` and `secrets` check again what is opened and
connected to.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path as File
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints, ValidationError

from reconciler.manifests.checks import provider_hints
from reconciler.manifests.checks.field_values import Fields
from reconciler.manifests.diagnostics import Finding, Path, did_you_mean, dotted, quoted
from reconciler.manifests.manifest_files import Unreadable, displayed, read
from reconciler.manifests.yaml import document_reader
from reconciler.manifests.yaml.document_nodes import Document
from reconciler.model import domains
from reconciler.model.errors import PolicyRefused
from reconciler.model.known_providers import OAUTH2
from reconciler.model.manifest_policy import Allowed, Role, allowed, is_beneath
from reconciler.model.scalar_types import (
    VARIABLE,
    Items,
    Line,
)
from reconciler.model.spec import (
    ManifestModel,
)

_SOURCE = ("spec", "source")
_SECRETS = (
    (*_SOURCE, "password"),
    (*_SOURCE, "oauth2", "clientSecret"),
    (*_SOURCE, "oauth2", "refreshToken"),
    ("spec", "smtp", "password"),
)
_CA_FILES = (
    (*_SOURCE, "caFile"),
    (*_SOURCE, "oauth2", "caFile"),
    ("spec", "smtp", "caFile"),
    ("spec", "lmtp", "caFile"),
)
_HOSTS: tuple[tuple[Role, tuple[str, ...]], ...] = (
    ("sources", (*_SOURCE, "host")),
    ("destinations", ("spec", "lmtp", "host")),
    ("destinations", ("spec", "smtp", "host")),
)

_PATTERN = re.compile(r"[A-Za-z0-9_*?-]{1,63}")
"""A label in a pattern of host names; `*` and `?` are wildcards."""
Root = Annotated[str, StringConstraints(pattern=r"^/[^\u0000-\u001f\u007f]*$", max_length=4096)]
Program = Root
Prefix = Annotated[str, StringConstraints(pattern=VARIABLE, max_length=256)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\*?$", max_length=256)]


class Secrets(ManifestModel):
    """Where secrets may come from. What is left out is not allowed."""

    files: Items[Root] = ()
    """Directories that files of secrets may stand in, links followed."""
    env: Prefix | None = None
    """What the names of variables must begin with."""
    commands: Items[Program] = ()
    """Programs that may be run for a secret, each by its whole path."""
    environment: Items[Variable] = ()
    """Variables that these programs get beside the usual ones; `*` at the end is any ending."""


def _host_pattern(text: str) -> str:
    """Return a pattern of hosts in the form that is compared with names: with A-labels.

    Raises ValueError for a pattern that can never match.
    """
    with suppress(ValueError):
        return str(ipaddress.ip_network(text, strict=False))
    labels = [
        label if label.isascii() or "*" in label else domains.to_ascii(label)
        for label in text.removesuffix(".").split(".")
    ]
    if not all(_PATTERN.fullmatch(label) for label in labels):
        raise ValueError(
            f"{quoted(text)} is no name, address or network, such as *.example.org, 192.0.2.1 or "
            "10.0.0.0/8; it has no scheme, no port and no space"
        )
    return ".".join(labels)


Host = Annotated[Line, AfterValidator(_host_pattern)]


class Hosts(ManifestModel):
    """What may be connected to: names such as "*.example.org", addresses, networks such as
    "10.0.0.0/8". A name leads to no private address, unless its network is here too. What is left
    out is not allowed; everything is ["*", "0.0.0.0/0", "::/0"]."""

    sources: Items[Host] = ()
    """Mail servers that mail is collected from."""
    destinations: Items[Host] = ()
    """LMTP and SMTP servers."""
    tokens: Items[Host] = ()
    """Servers that give out access tokens."""


class Policy(ManifestModel):
    """What manifests may name. What is left out is not allowed."""

    api_version: Literal["mailcollector/v1"]
    kind: Literal["Policy"]
    secrets: Secrets = Secrets()
    """Where secrets may come from."""
    ca_files: Items[Root] = ()
    """Directories that CA files may stand in."""
    sockets: Items[Root] = ()
    """Directories that LMTP sockets may stand in."""
    maildirs: Items[Root] = ()
    """Directories that Maildirs may stand in."""
    hosts: Hosts = Hosts()
    """What may be connected to."""


def load(path: File) -> Allowed:
    """Read a policy file. Raises PolicyRefused with the position of each error."""
    name = displayed(path)
    try:
        documents, unusable = document_reader.read(read(path))
    except Unreadable as error:
        raise PolicyRefused(f"the policy {name} cannot be read: {error}") from error
    if unusable or len(documents) != 1:
        where = (
            f":{unusable.position.line}:{unusable.position.column}: {unusable.message}"
            if unusable
            else (": it must hold one document")
        )
        raise PolicyRefused(f"{name}{where}")
    found = documents[0]
    for position, finding in found.findings:
        raise PolicyRefused(f"{name}:{position.line}:{position.column}: {finding.message}")
    try:
        policy = Policy.model_validate(found.root.value)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)
        raise PolicyRefused(
            "; ".join(
                f"{name}:{_problem_text(found, one['type'], one['loc'], one['msg'])}"
                for one in wrong
            )
        ) from None
    secrets, hosts = policy.secrets, policy.hosts
    return Allowed(
        os.path.realpath(path),
        secrets.files,
        policy.ca_files,
        policy.sockets,
        policy.maildirs,
        secrets.commands,
        secrets.env,
        secrets.environment,
        hosts.sources,
        hosts.destinations,
        hosts.tokens,
    )


def _problem_text(found: Document, kind: str, at: Path, message: str) -> str:
    at, unknown = _without_value(found, at), kind == "extra_forbidden"
    place = found.place(at, key=unknown)
    if unknown:
        model: Any = {"secrets": Secrets, "hosts": Hosts}.get(dotted(at[:-1]), Policy)
        known = [field.alias for field in model.model_fields.values()]
        message = f"no such field: {did_you_mean(at[-1], known)}"
    where = dotted(at[:-1] if unknown else at) or "the policy"
    return f"{place.line}:{place.column}: {where}: {message.removeprefix('Value error, ')}"


def _without_value(found: Document, at: Path) -> Path:
    """Return the path of the first key without a value in the mapping at `at`, or `at` itself."""
    node = found.at(at)
    empty = (
        [key for key, value in node.value.items() if value is None]
        if node and isinstance(node.value, dict)
        else []
    )
    return (*at, empty[0]) if empty else at


def check(fields: Fields, directory: str) -> Iterator[Finding]:
    """Yield a finding for each part of a manifest that the policy forbids. The manifest's relative
    paths start at `directory`."""
    policy = allowed()
    if not policy.file:
        return
    yield from _paths(fields, directory, policy)
    for path in _SECRETS:
        argv, variable = fields.texts(*path, "command"), fields.text(*path, "env")
        if argv and not policy.program(argv):
            others = _listed(policy.programs, "name one of", "it allows no programs")
            yield Finding(
                (*path, "command"),
                "policy-command",
                f"the policy does not allow to run {quoted(argv[0])} for a secret: {others}",
            )
        if variable is not None and not policy.variable(variable):
            yield Finding(
                (*path, "env"),
                "policy-env",
                f"the policy does not allow the variable {quoted(variable)}: "
                + (
                    f"take one whose name begins with {quoted(policy.env_prefix)}"
                    if policy.env_prefix
                    else "it allows none"
                ),
            )
    for role, place in _HOSTS:
        yield from _host(policy, role, fields.text(*place), place)
    if fields.text(*_SOURCE, "host") is None:
        yield from _host(policy, "sources", provider_hints.host(fields), (*_SOURCE, "provider"))
    for key, url in _token_urls(fields):
        yield from _host(policy, "tokens", _host_of(url), (*_SOURCE, "oauth2", key))


def _token_urls(fields: Fields) -> Iterator[tuple[str, str]]:
    """Yield each token or issuer URL with the key that it comes from."""
    for key in ("tokenUrl", "issuer"):
        if (url := fields.text(*_SOURCE, "oauth2", key)) is not None:
            yield key, url
    preset = OAUTH2.get(fields.text(*_SOURCE, "oauth2", "provider") or "")
    if preset is not None and fields.text(*_SOURCE, "oauth2", "tokenUrl") is None:
        yield "provider", preset.token


def _paths(fields: Fields, directory: str, policy: Allowed) -> Iterator[Finding]:
    named = (
        *((path, policy.ca_files, "policy-ca-file") for path in _CA_FILES),
        *(((*path, "file"), policy.secret_files, "policy-secret-file") for path in _SECRETS),
        (("spec", "lmtp", "socket"), policy.sockets, "policy-socket"),
        (("spec", "maildir", "path"), policy.maildirs, "policy-maildir"),
    )
    for path, roots, rule in named:
        text = fields.text(*path)
        # keeps `..`
        if text is not None and not is_beneath(os.path.join(directory, text), roots):  # noqa: PTH118
            yield Finding(
                path,
                rule,
                f"the policy does not allow {quoted(text)} here: "
                f"{_listed(roots, 'it may stand in', 'it allows no place')}",
            )


def _host(
    policy: Allowed, role: Role, host: str | None, path: tuple[str, ...]
) -> Iterator[Finding]:
    if host is None:
        return
    try:
        name = domains.host_to_ascii(host)
    except ValueError:
        return  # another rule reports it
    if not policy.host(role, name):
        yield Finding(
            path,
            "policy-host",
            f"the policy does not allow to connect to {quoted(host)}: "
            f"{_listed(policy.hosts(role), 'it allows', 'it allows no hosts here')}",
        )


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _listed(allowed_ones: tuple[str, ...] | None, these: str, none: str) -> str:
    return f"{these} {', '.join(allowed_ones[:10])}" if allowed_ones else none


def schema() -> str:
    """Return the JSON Schema of policy files."""
    from pydantic.json_schema import model_json_schema  # noqa: PLC0415  # only to print it

    from reconciler.manifests.schema_export.draft7 import Draft7  # noqa: PLC0415

    made = model_json_schema(Policy, ref_template="#/definitions/{model}", schema_generator=Draft7)
    definitions = made.pop("$defs")
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "mailcollector policy",
        **made,
        "definitions": definitions,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (File(__file__).parents[2] / "schemas" / "mailcollector-policy.v1.json").write_text(
        schema(), encoding="utf-8"
    )
