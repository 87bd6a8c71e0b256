"""The variables of the form's templates."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from reconciler.control.manifest_service import ManifestService, ProposedChange
from reconciler.manifests.editing.new_manifests import manifest_text
from reconciler.web.page.check_words import sentence_words
from reconciler.web.page.collector_form import CollectorForm
from reconciler.web.page.form_fields import (
    DEFAULT_MAILBOX,
    DETECT,
    FORWARD_TO,
    INTERVAL,
    LIMIT,
    LOGIN,
    MODE,
    NAME,
    PASSWORD,
    SERVER,
    TITLE,
    TYPE,
    WHOM,
    Data,
    Values,
    at,
    has_login_secret,
    in_order,
    under_more,
    with_password,
)
from reconciler.web.page.form_labels import label, schema_text
from reconciler.web.page.form_problems import FormProblem, problems_of
from reconciler.web.page.forms_sent_once import new_form_id
from reconciler.web.page.login_provider import advice_for
from reconciler.web.page.offered_names import offered_names
from reconciler.web.page.page_translation import Language
from reconciler.web.page.problem_words import WordedProblem, problem_words
from reconciler.web.page.schema_fields import SchemaField, value_text


def form_context(
    form: CollectorForm,
    manifests: ManifestService,
    language: Language,
    *,
    show_problems: bool = False,
) -> dict[str, Any]:
    """Return the variables of the form itself. Problems are shown once somebody has clicked a
    button."""
    leaves = {leaf.name: leaf for leaf in form.fields.leaves()}
    problems = _problems(form) if show_problems else []
    found = problem_words(problems, leaves, language, str(manifests.directory))
    by_field: dict[str, list[WordedProblem]] = {}
    for one in found:
        by_field.setdefault(one.field, []).append(one)
    more = list(_more(form))
    inside = {leaf.name for group in more for leaf in group.leaves()}
    source = at(form.present, ("spec", "source")) or {}
    return {
        "form": form,
        "once": new_form_id(),
        "names": _names(language),
        "modes": _modes(language),
        "values": form.values,
        "leaves": leaves,
        "linked": {*_names(language), PASSWORD} | inside,
        "more": more,
        "offered": offered_names(manifests, form.values, form.present, language),
        "more_open": bool(inside & by_field.keys()),
        "is_used": lambda group: _is_used(group, form.values, by_field),
        "problems": found,
        "by_field": by_field,
        "advice": advice_for(form.values, language),
        "has_password": has_login_secret(form.present),
        "has_oauth2": "oauth2" in source,
        "label": lambda field: label(field, language),
        "schema_text": lambda text: schema_text(text, language),
        "sentence_words": lambda text: sentence_words(text, language),
        "default_text": lambda field: value_text(field.default, field.shape),
        "derived_from": str(at(form.present, ("spec", "from")) or ""),
    }


def _is_used(group: SchemaField, values: Values, wrong: Collection[str]) -> bool:
    """Return whether a group of fields is shown unfolded."""
    is_chosen = values.get(WHOM) == DETECT and group.name == "spec.recipient.detect"
    return is_chosen or any(values.get(leaf.name) or leaf.name in wrong for leaf in group.leaves())


def _problems(form: CollectorForm) -> list[FormProblem]:
    return problems_of(form.problems, form.diagnostics, form.fields)


def _names(language: Language) -> dict[str, str]:
    """Return what the fields outside of "More" are called."""
    text = language.gettext
    return {
        TITLE: text("Title"),
        SERVER: text("Server"),
        TYPE: text("Server type"),
        LOGIN: text("Login"),
        PASSWORD: text("Password"),
        DEFAULT_MAILBOX: text("Default mailbox"),
        FORWARD_TO: text("Forward to"),
        MODE: language.pgettext("field", "Collect"),
        INTERVAL: text("Interval"),
        LIMIT: text("Collect at most"),
    }


def _modes(language: Language) -> list[tuple[str, str]]:
    text = language.gettext
    return [
        ("all-delete", text("all messages, delete them from the server")),
        (
            "new-delete",
            text("only messages not collected before, delete them from the server"),
        ),
        ("new-keep", text("only messages not collected before, leave them on the server")),
    ]


def _more(form: CollectorForm) -> Iterator[SchemaField]:
    """Yield the groups under "More". The name of a collector that exists does not change."""
    for group in under_more(form.fields):
        if form.is_new:
            yield group
        else:
            fields = tuple(one for one in group.fields if one.name != NAME)
            yield SchemaField(group.keys, "group", group.title, group.description, fields=fields)


def preview_context(
    form: CollectorForm, proposed: ProposedChange | None, again: int, language: Language
) -> dict[str, Any]:
    """Return what the preview shows: the lines of the manifest, and what it means for the mail.
    `again` messages are remembered as collected."""
    text = proposed.draft.after.text if proposed and proposed.draft.after else _text(form)
    if form.is_new and not form.data:
        text = ""  # nobody typed anything yet
    before = form.text or None
    steps = proposed.plan.get("steps", ()) if proposed else ()
    name = form.name or str(at(form.data, ("metadata", "name")) or "")
    return {
        "file": f"{name or '…'}.yaml" if form.is_new else form.path,
        "lines": list(_marked(before, text)),
        "unchanged": not form.is_new and before == text,
        "consequences": [
            *_counted(form, again, language),
            *(
                language.gettext(sentence)
                for step in steps
                if step["name"] == name
                for sentence in step["consequences"]
            ),
        ],
        "number_of_problems": len(_problems(form)),
    }


def _text(form: CollectorForm) -> str:
    data: Data = form.data or form.present
    if form.typed_password:
        data = with_password(data, f"../secrets/{form.name or '…'}")
    return manifest_text(in_order(data, form.fields))


def _counted(form: CollectorForm, again: int, language: Language) -> Iterator[str]:
    mode = form.values.get(MODE)
    if not again or mode == form.loaded.get(MODE):
        return
    if mode == "all-delete":
        text = language.ngettext(
            "%(number)s message will be collected again, if it is still on the server.",
            "%(number)s messages will be collected again, as far as they are still on the server.",
            again,
        )
        yield text % {"number": language.number(again)}
    elif mode == "new-delete" and form.loaded.get(MODE) == "new-keep":
        text = language.ngettext(
            "%(number)s message that was collected before will be deleted from the server.",
            "%(number)s messages that were collected before will be deleted from the server.",
            again,
        )
        yield text % {"number": language.number(again)}


def _marked(before: str | None, after: str) -> Iterator[Mapping[str, str]]:
    """Yield the lines after a change, and those that it removes, each with its mark."""
    new = after.splitlines()
    if before is None:
        yield from ({"mark": "", "text": line} for line in new)
        return
    old = before.splitlines()
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if tag == "equal":
            yield from ({"mark": "", "text": line} for line in new[j1:j2])
            continue
        yield from ({"mark": "removed", "text": line} for line in old[i1:i2])
        yield from ({"mark": "added", "text": line} for line in new[j1:j2])
