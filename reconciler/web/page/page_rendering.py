"""Render templates: the environment, what every template may use, and the answer's headers."""

from __future__ import annotations

import functools
import gzip
import re
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from reconciler.model.harmless_text import escape
from reconciler.model.timestamps import timestamp
from reconciler.web.access.roles import Role, principal
from reconciler.web.page.page_notices import notice_of
from reconciler.web.page.page_translation import COOKIE, LANGUAGES, Language, preferred
from reconciler.web.page.static_files import address

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Allows no script, style or picture but our own files. A text that was not escaped then runs
nothing (hazard W1)."""
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FIRST = ("login.html", "list.html", "list_table.html", "list_rows.html", "attention.html")
"""The templates of the first pages that somebody sees."""
_ENGLISH = re.compile(r"\A[^А-я]*[A-Za-z]{2}[^А-я]*\Z")
"""Text in which no letter is Cyrillic."""
_SHORT = 1400
"""The most characters of an answer that is sent without compression: it fits into one packet."""


def prepare() -> None:
    """Load what the list needs, which takes a second at the first page."""
    for code in LANGUAGES:
        for name in _FIRST:
            _environment(code).get_template(name)
        preferred(code, "").prepare()


def language_of(request: Request) -> Language:
    """Return the language of a request's answer."""
    return preferred(request.cookies.get(COOKIE), request.headers.get("accept-language", ""))


def render(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Answer with a template. Besides `context` it has what `_common` returns."""
    language = language_of(request)
    text = (
        _environment(language.code)
        .get_template(template)
        .render({**_common(request, language), **context})
    )
    return _packed(request, text, status)


def _packed(request: Request, text: str, status: int) -> HTMLResponse:
    """Return an answer in gzip (RFC 1952) where the browser accepts that. A foreign page cannot
    learn the content from the size: the browser sends no cookie with its requests (SameSite)."""
    if len(text) < _SHORT or "gzip" not in request.headers.get("accept-encoding", ""):
        return HTMLResponse(text, status, headers=HEADERS)
    packed = gzip.compress(text.encode(), 3, mtime=0)
    headers = {**HEADERS, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return HTMLResponse(packed, status, headers=headers)


def _common(request: Request, language: Language) -> dict[str, Any]:
    """Return what every template may use."""
    who = principal(request)
    return {
        "language": language,
        "languages": LANGUAGES,
        "who": who,
        "csrf": who.csrf if who else "",
        "can": {role.value: who is not None and who.role.includes(role) for role in Role},
        "here": request.url.path,
        "shown_at": _address(request),
        "notice": notice_of(request.query_params, language),
        "now": datetime.now(UTC),
    }


def _address(request: Request) -> str:
    """Return the address of the page that is shown, without what a provider sent along."""
    path, query = request.url.path, request.url.query
    is_whole = request.method == "GET" and not path.startswith("/consent/")
    return f"{path}?{query}" if is_whole and query else path


@functools.lru_cache(maxsize=len(LANGUAGES))
def _environment(code: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("reconciler.web.page", "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    language = preferred(code, "")
    # the extension adds this method
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        language.gettext, language.ngettext, newstyle=True
    )
    environment.globals["static"] = address
    environment.filters |= {
        "harmless": escape,
        "sentence": lambda text: escape(language.translate(text)),
        "translated": lambda text: _translated(language, text),
        "number": language.number,
        "octets": language.octets,
        "moment": language.moment,
        "age": lambda when: _time("age", when, language.relative(when, datetime.now(UTC))),
        "due": lambda when: _time("age due", when, language.due(when, datetime.now(UTC))),
        "clock": lambda when: _clock(language, when),
    }
    return environment


def _translated(language: Language, text: str) -> Markup:
    """Return a sentence of the program in the reader's language. Where there are no words for it,
    or a server said it, it is marked as English."""
    sentence = language.translate(text)
    shown = Markup.escape(escape(sentence))
    if language.code == "en" or sentence != text or not _ENGLISH.search(text):
        return shown
    return Markup('<span lang="en">{}</span>').format(shown)


def _time(kind: str, when: datetime, text: str) -> Markup:
    """Return a `<time>` element: seen from now, the exact moment in its title."""
    return Markup('<time class="{}" datetime="{}" title="{}">{}</time>').format(
        kind, timestamp(when), f"{when:%Y-%m-%d %H:%M} UTC", text
    )


def _clock(language: Language, when: datetime) -> Markup:
    """Return a `<time>` element: the time of day, with the day where that is not today."""
    return Markup('<time class="clock" datetime="{}" title="{}">{}</time>').format(
        timestamp(when), language.moment(when), language.clock(when, datetime.now(UTC))
    )
