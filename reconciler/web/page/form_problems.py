"""Problems of a form, each at the field where it is fixed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from reconciler.control.password_files import may_be_password
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.web.page.form_fields import (
    DEFAULT_MAILBOX,
    DETECT,
    FORWARD_TO,
    LOCAL_DOMAIN,
    LOGIN,
    NAME,
    PASSWORD,
    PROVIDER,
    REMOTE_DOMAINS,
    SERVER,
    TITLE,
    WHOM,
    Data,
    Values,
    at,
    has_login_secret,
)
from reconciler.web.page.schema_fields import SchemaField

NO_TITLE = "Type a title: the collector's name is made from it."
NO_SERVER = "Name the server: its address or domain name."
NO_LOGIN = "Type the login."
NO_PASSWORD = "Type the password, or say under “More” where it is kept."  # noqa: S105  # a message
BAD_PASSWORD = "A password is one line of printable characters."  # noqa: S105  # a message
NO_NAME = "Type a title with a letter or a digit, or a name under “More”."
NAME_TAKEN = "A collector or a file of this name is there already: take another name."
NO_MAILBOX = "Type the mailbox that the mail goes to."
NO_LOCAL_DOMAIN = "Type the default mailbox, or the local domain under “More”."
NO_REMOTE_DOMAIN = "Type the domain whose addresses count."
_MISSING = re.compile(r"^`([\w-]+)`")
_INDEX = re.compile(r"\[[^\[\]]*\]")


class FormProblem(Struct, frozen=True):
    """A problem. `field` is the name of the field where it is shown; "" for none. `place` is the
    manifest's file and line, and `rule` the rule, where a rule found it."""

    message: str
    field: str = ""
    place: str = ""
    rule: str = ""


def missing_fields(data: Data, sent: Values) -> dict[str, str]:
    """Return the needed fields that neither the form nor a template sets, and a password that
    cannot be kept, by their names."""
    password = sent.get(PASSWORD, "")
    found = {PASSWORD: BAD_PASSWORD} if password and not may_be_password(password) else {}
    if at(data, ("spec", "from")):
        return found
    if not at(data, ("metadata", "name")):
        found[TITLE] = NO_NAME if sent.get(TITLE) else NO_TITLE
    if not at(data, tuple(SERVER.split("."))) and not at(data, tuple(PROVIDER.split("."))):
        found[SERVER] = NO_SERVER
    if not at(data, tuple(LOGIN.split("."))):
        found[LOGIN] = NO_LOGIN
    if not sent.get(PASSWORD) and not has_login_secret(data):
        found[PASSWORD] = NO_PASSWORD
    return found | _missing_recipient(data, sent)


def _missing_recipient(data: Data, sent: Values) -> dict[str, str]:
    if sent.get(WHOM) != DETECT:
        return {} if at(data, tuple(FORWARD_TO.split("."))) else {FORWARD_TO: NO_MAILBOX}
    found = {}
    if not at(data, tuple(LOCAL_DOMAIN.split("."))):
        found[DEFAULT_MAILBOX] = NO_LOCAL_DOMAIN
    if not at(data, tuple(REMOTE_DOMAINS.split("."))):
        found[REMOTE_DOMAINS] = NO_REMOTE_DOMAIN
    return found


def problems_of(
    own: Mapping[str, str], diagnostics: Iterable[Diagnostic], fields: SchemaField
) -> list[FormProblem]:
    """Return what the form itself found, and then what the rules of manifests found elsewhere."""
    names = [leaf.name for leaf in fields.leaves()]
    found = [FormProblem(message, field) for field, message in own.items()]
    for one in diagnostics:
        name = _field_of(one, names)
        if name not in own and not (own and _is_covered(one, own)):
            found.append(FormProblem(one.message, name, f"{one.file}:{one.line}", one.rule))
    return found


def _is_covered(one: Diagnostic, own: Mapping[str, str]) -> bool:
    """Return whether the form reports this problem already: a group is incomplete because a
    field in it is empty."""
    return one.rule in {"missing-key", "exactly-one"} and any(
        field.startswith(_INDEX.sub("", one.path)) or field in {PASSWORD, TITLE} for field in own
    )


def _field_of(one: Diagnostic, names: Sequence[str]) -> str:
    """Return the field that a diagnostic is about; "" where it is about none."""
    path = _INDEX.sub("", one.path)
    if one.rule == "missing-key" and (key := _MISSING.match(one.message)):
        path = f"{path}.{key[1]}"
    if path == "metadata.name":
        return NAME
    if path == "spec.source.password":
        return PASSWORD
    if path not in names and (below := _first_below(path, names)):
        return below
    while path and path not in names:
        if path == "spec.recipient":
            return FORWARD_TO
        path = path.rpartition(".")[0]
    return path


def _first_below(path: str, names: Iterable[str]) -> str:
    """Return the first field of a group, where it is a small one."""
    is_small = path.count(".") > 1
    return next((name for name in names if is_small and name.startswith(f"{path}.")), "")
