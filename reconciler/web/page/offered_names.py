"""The names that a form offers where a value names another manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from reconciler.control.manifest_service import ManifestService
from reconciler.manifests.manifest_summary import ManifestSummary
from reconciler.web.page.form_fields import DESTINATION, TEMPLATE, Data, Values, at
from reconciler.web.page.page_translation import Language

KINDS = {DESTINATION: "Destination", TEMPLATE: "Template"}
"""The kind of manifest that the value of a field names."""


class OfferedName(Struct, frozen=True):
    """A choice: a name, and the words for it. An empty name means no value."""

    name: str
    words: str


def offered_names(
    manifests: ManifestService, values: Values, data: Data, language: Language
) -> Mapping[str, Sequence[OfferedName]]:
    """Return the choices by the names of fields. The form's present value is among them, declared
    or not."""
    found = {field: manifests.others(kind) for field, kind in KINDS.items()}
    none = {
        DESTINATION: _without_destination(found[DESTINATION], data, language),
        TEMPLATE: language.gettext("None"),
    }
    return {
        field: [OfferedName("", none[field]), *_named(named, values.get(field, ""), language)]
        for field, named in found.items()
    }


def _named(
    named: Sequence[ManifestSummary], present: str, language: Language
) -> Iterator[OfferedName]:
    names = list(dict.fromkeys(one.name for one in named))
    yield from (OfferedName(name, name) for name in names)
    if present and present not in names:
        yield OfferedName(present, language.gettext("%(name)s (not declared)") % {"name": present})


def _without_destination(named: Sequence[ManifestSummary], data: Data, language: Language) -> str:
    """Return where the mail goes of a collector that names no Destination."""
    if at(data, tuple(TEMPLATE.split("."))):
        return language.gettext("As the template says")
    default = next((one.name for one in named if one.default), "")
    if default:
        return language.gettext("Default: %(value)s") % {"value": default}
    if named:
        return language.gettext("None is marked as default: choose one")
    return language.gettext("Maildirs in the state directory")
