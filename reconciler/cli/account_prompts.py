"""Ask on a terminal for what `add` needs, read it from a file, and keep the secret."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.model.errors import CollectorError
from reconciler.model.harmless_text import escape

_PASSWORDS = ("password_file", "password_env", "password_command")
_RECIPIENTS = ("forward_to", "detect_from", "detect_to")


class NoManifest(CollectorError):
    """The input declares no collector."""

    reason = "NoManifest"


def ask_missing(name: str, fields: dict[str, Any], *, can_ask: bool) -> str | None:
    """Ask for what is needed and was not given; put it into `fields`. Ask for the password only if
    it is to be kept in a file."""
    secret = None
    if fields.pop("password_stdin"):
        if any(fields[key] for key in _PASSWORDS):
            raise click.UsageError(
                "--password-stdin and another place of the password exclude each other"
            )
        secret = sys.stdin.readline().rstrip("\r\n")
        if not secret:
            raise click.UsageError("--password-stdin: the first line of standard input is empty")
    elif can_ask and not fields["template"]:
        secret = _ask(fields)
    if secret is not None:
        fields["password_file"] = f"../secrets/{name}"
    return secret


def missing_options(fields: Mapping[str, Any]) -> list[str]:
    """Return the options that are needed and missing, if no template provides them."""
    provided = bool(fields["provider"])
    wanted = {
        "--protocol": provided or fields["protocol"],
        "--host": provided or fields["host"],
        "--username": fields["username"],
        "a password (--password-file, --password-env, --password-command or --password-stdin)": any(
            fields[key] for key in _PASSWORDS
        ),
        "a recipient (--forward-to or --detect-from)": any(fields[key] for key in _RECIPIENTS),
    }
    return [option for option, given in wanted.items() if not given]


def _ask(fields: dict[str, Any]) -> str | None:
    if not (fields["protocol"] or fields["provider"]):
        fields["protocol"] = click.prompt(
            "Protocol", default="imap", type=click.Choice(["imap", "pop3"]), err=True
        )
    if not (fields["host"] or fields["provider"]):
        fields["host"] = click.prompt("Server", err=True)
    if not fields["username"]:
        fields["username"] = click.prompt("User name", err=True)
    secret = None
    if not any(fields[key] for key in _PASSWORDS):
        secret = click.prompt(
            "Password (not shown; kept in a file of mode 0600)", hide_input=True, err=True
        )
    if not any(fields[key] for key in _RECIPIENTS):
        default = fields["username"] if "@" in fields["username"] else None
        fields["forward_to"] = click.prompt("Deliver to the mailbox", default=default, err=True)
    return secret


@contextlib.contextmanager
def secret_kept(secret: str | None, directory: Path, name: str) -> Iterator[None]:
    """Keep the secret in its file while the manifest is written; remove it again if that fails."""
    if secret is None:
        yield
        return
    # not needed for --help
    from reconciler.manifests.editing.secret_files import secrets_beside, write_new_secret  # noqa: PLC0415

    found = write_new_secret(Path(os.path.relpath(secrets_beside(directory))), name, secret)
    try:
        yield
    except BaseException:
        found.path.unlink(missing_ok=True)
        raise
    click.echo(escape(f"The password is in {found.path}"))


def manifests_from(content: bytes, name: str | None) -> dict[str, bytes]:
    """Return manifests by their collectors' names, from a manifest or from what `get -o yaml` or
    `-o json` printed, without the status. Raises NoManifest."""
    from reconciler.manifests.yaml import document_reader  # noqa: PLC0415  # not needed for --help

    documents, unusable = document_reader.read(content)
    values = [found.root.value for found in documents]
    shown = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if (
        unusable is None
        and shown
        and all(isinstance(one, dict) and "status" in one for one in shown)
    ):
        found = dict(_composed(one) for one in shown)
    elif name is not None:
        return {name: content}
    else:
        found = {_name(values[0]): content} if len(values) == 1 else {}
    if name is not None and list(found) != [name]:
        raise NoManifest(
            f"what was given declares {', '.join(found) or 'nothing'}, not {name}: nothing was "
            "written"
        )
    if not found or "" in found:
        raise NoManifest("what was given is not one manifest with a name: nothing was written")
    return found


def _name(manifest: Any) -> str:
    metadata = manifest.get("metadata") if isinstance(manifest, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _composed(shown: Mapping[str, Any]) -> tuple[str, bytes]:
    from reconciler.manifests.editing.new_manifests import collector  # noqa: PLC0415

    metadata = shown.get("metadata") or {}
    text = collector(
        _name(shown),
        shown.get("spec") or {},
        labels=metadata.get("labels"),
        annotations=metadata.get("annotations"),
    )
    return _name(shown), text.encode()
