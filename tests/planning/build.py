"""Declarations for tables, built from as little as a test has to say."""

from __future__ import annotations

from typing import Any

from reconciler.model.spec import Destination, MailCollector
from reconciler.planning.observed_manifests import (
    BrokenManifest,
    Declaration,
    Key,
    ObservedManifests,
    declare,
)

BASE = "/etc/collectors"


def collector(name: str, file: str = "", line: int = 1, **spec: Any) -> Declaration:
    """A valid collector; `spec` replaces whole fields. Its file is named after it."""
    fields: dict[str, Any] = {
        "source": {
            "protocol": "imap",
            "host": "imap.example",
            "username": name,
            "password": {"file": "secret"},
        },
        "recipient": {"forwardTo": f"{name}@local.example"},
        **spec,
    }
    metadata = {"name": name, "labels": fields.pop("labels", {})}
    manifest = MailCollector.model_validate(
        {
            "apiVersion": "mailcollector/v1",
            "kind": "MailCollector",
            "metadata": metadata,
            "spec": fields,
        }
    )
    return declare(manifest, file or f"{BASE}/{name}.yaml", line, BASE)


def destination(name: str, file: str = "", **spec: Any) -> Declaration:
    fields = spec or {"maildir": {"path": "mail/{local}"}}
    manifest = Destination.model_validate(
        {
            "apiVersion": "mailcollector/v1",
            "kind": "Destination",
            "metadata": {"name": name},
            "spec": fields,
        }
    )
    return declare(manifest, file or f"{BASE}/{name}.yaml", 1, BASE)


def broken(name: str, kind: str = "MailCollector") -> BrokenManifest:
    file = f"{BASE}/{name}.yaml"
    return BrokenManifest(kind, name, file, 1, f"{file}:3:1: mend this")


def remembered(*declarations: Declaration) -> dict[Key, Declaration]:
    return {found.key: found for found in declarations}


def observed(*declarations: Declaration, **more: Any) -> ObservedManifests:
    return ObservedManifests(declarations, **more)
