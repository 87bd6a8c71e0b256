"""The state of a collector's form between two requests: its values, the user's changes, and the
change of the manifest."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from reconciler.control.control_service import ControlService
from reconciler.control.manifest_drafts import CreateManifest, ManifestChange, ReplaceManifest
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.editing.document_changes import plain_data
from reconciler.manifests.yaml.document_nodes import UnusableDocument
from reconciler.model.errors import CollectorError
from reconciler.web.page.collector_naming import name_from
from reconciler.web.page.form_fields import (
    LOGIN,
    MODE,
    PASSWORD,
    SERVER,
    TEMPLATE,
    TITLE,
    TYPE,
    Data,
    Values,
    as_sent,
    at,
    in_order,
    password_file,
    put,
    read_form,
    shown_values,
    with_password,
)
from reconciler.web.page.form_problems import missing_fields
from reconciler.web.page.login_provider import with_known_server
from reconciler.web.page.page_translation import Language
from reconciler.web.page.schema_fields import SchemaField, collector_fields
from reconciler.web.page.tidy_entries import tidy

_NEW: Data = {"apiVersion": "mailcollector/v1", "kind": "MailCollector", "metadata": {}, "spec": {}}
FIRST_TYPE = "imap"
"""The server type that a new form shows."""


class FormOutdated(CollectorError):
    """A form does not send the text of the manifest that it was loaded from."""

    reason = "FormOutdated"


class CollectorForm(Struct):
    """A form. `name` is that of the collector; "" of a new one. `base` is the manifest's text as it
    was when the form was loaded, and `etag` identifies that; `present` is the manifest as it is
    now. `loaded` are the values of `base`, `values` those to be shown. `problems` are by field."""

    fields: SchemaField
    name: str
    etag: str
    base: str
    present: Data
    loaded: Values
    values: Values
    data: Data = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    path: str = ""
    now: str = ""
    """The ETag of `present`."""
    text: str = ""
    """The text of `present`."""

    @property
    def is_new(self) -> bool:
        return not self.name

    @property
    def outdated(self) -> bool:
        """Whether somebody else changed the manifest since the form was loaded."""
        return self.etag != self.now

    @property
    def typed_password(self) -> str:
        return self.values.get(PASSWORD, "")

    @property
    def password_file(self) -> str:
        """Where the present manifest says that the password is; "" for elsewhere."""
        return password_file(self.present)

    @property
    def mode_changed(self) -> bool:
        """Whether somebody chose another way to collect than the manifest has."""
        return self.values.get(MODE) != self.loaded.get(MODE)

    def change(self, file: str | None = None) -> ManifestChange:
        """Return the change of the manifest that the form makes. `file` is where the password that
        was typed is kept; by default, where it would be."""
        data = self.data
        if self.typed_password:
            name = str(at(data, ("metadata", "name")) or "")
            kept = self.password_file
            beside = f"../secrets/{name or 'unnamed'}"
            data = with_password(data, file or (kept if kept.startswith(beside) else beside))
        return (
            CreateManifest(in_order(data, self.fields))
            if self.is_new
            else ReplaceManifest(self.name, data)
        )


def blank_form(values: Mapping[str, str] | None = None) -> CollectorForm:
    """Return a form of a new collector, with these values filled in."""
    fields = collector_fields()
    loaded = shown_values(fields, _NEW, {})
    shown = loaded | {TYPE: FIRST_TYPE} | dict(values or {})
    return CollectorForm(fields, "", "", "", _NEW, loaded, shown)


async def loaded_form(control: ControlService, name: str) -> CollectorForm:
    """Return the form of a declared collector. Raises what `ManifestService.declared` raises."""
    found, fields = await control.manifests.declared(name), collector_fields()
    data = dict(found.data)
    loaded = shown_values(fields, data, _inherited(control, name, data))
    return CollectorForm(
        fields,
        name,
        found.etag,
        found.text,
        data,
        loaded,
        dict(loaded),
        data=data,
        path=str(found.path),
        now=found.etag,
        text=found.text,
    )


async def sent_form(
    control: ControlService, sent: Mapping[str, str], language: Language
) -> CollectorForm:
    """Return the form that somebody sent, read on top of the manifest as it is now. Raises
    FormOutdated, and what `ManifestService.declared` raises."""
    name = sent.get("editing", "")
    form = await loaded_form(control, name) if name else blank_form()
    if name:
        form.etag, form.base = sent.get("etag", ""), sent.get("base", "").replace("\r\n", "\n")
        base = _base_data(form.base)
        form.loaded = shown_values(form.fields, base, _inherited(control, name, base))
    values = as_sent({key: text for key, text in sent.items() if _is_field(key)})
    values = tidy(values, form.loaded, form.fields)
    return read_again(control, form, with_known_server(values, language))


def read_again(control: ControlService, form: CollectorForm, values: Values) -> CollectorForm:
    """Put these values into the form, and read them into its data."""
    form.values = form.loaded | values
    sent = values
    if form.is_new and values.get(TEMPLATE) and not values.get(SERVER):
        sent = {key: text for key, text in values.items() if key != TYPE}
    found = read_form(form.fields, sent, form.loaded, form.present)
    if form.is_new and not at(found.data, ("metadata", "name")):
        title = values.get(TITLE) or values.get(LOGIN, "")
        put(found.data, ("metadata", "name"), name_from(title, control.names()) or None)
    form.data = found.data
    form.problems = found.problems | {
        field: problem
        for field, problem in missing_fields(found.data, values).items()
        if field not in found.problems
    }
    return form


def _is_field(key: str) -> bool:
    return key not in {"editing", "etag", "base", "csrf", "once"}


def _base_data(text: str) -> Data:
    try:
        found = plain_data(text)
    except UnusableDocument as error:
        raise FormOutdated("load the form again: the manifest that it sends is none") from error
    if not isinstance(found, dict):
        raise FormOutdated("load the form again: it sends no manifest")
    return found


def _inherited(control: ControlService, name: str, data: Data) -> Data:
    """Return the values that a collector has from its template, and what goes for it then."""
    if not at(data, tuple(TEMPLATE.split("."))):
        return {}
    found = control.find(name)
    return {"spec": dict(found.spec)} if found else {}
