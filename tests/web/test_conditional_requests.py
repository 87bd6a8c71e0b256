"""Conditional requests and HEAD (RFC 9110, sections 8.8.3, 9.3.2 and 13.1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from reconciler.model.settings import Settings
from reconciler.web.entity_tags import tags_in
from reconciler.web.page.static_files import address
from tests.control.manifests import text
from tests.web.daemon import daemon, run
from tests.web.test_access import HTML, Scenario, Site, on_site
from tests.web.test_manifest_api import SALES, YAML

__all__ = ["on_site"]

READ = ["/api/v1/collectors", SALES, "/api/v1/summary", "/openapi.json", "/api/v1/diagnostics"]


@pytest.mark.parametrize(
    ("value", "strong", "weak"),
    [
        ('"a"', {"a"}, set()),
        ('"a", W/"b" ,"c"', {"a", "c"}, {"b"}),
        ('W/"a"', set(), {"a"}),
        ('"x,a"', {"x,a"}, set()),
        ("a", {"a"}, set()),
        (', ,"a",', {"a"}, set()),
        ('"a" "b"', {"a", "b"}, set()),
        ('"open', set(), set()),
    ],
)
def test_the_tags_of_a_header(value: str, strong: set[str], weak: set[str]) -> None:
    found = tags_in(Headers({"if-match": value}), "if-match")
    assert found is not None
    assert (set(found.strong), set(found.weak), found.every) == (strong, weak, False)


def test_a_header_may_come_twice_or_not_at_all() -> None:
    twice = Headers(raw=[(b"if-match", b'"a"'), (b"if-match", b'"b"')])
    found = tags_in(twice, "if-match")
    assert found is not None
    assert found.strong == {"a", "b"}
    assert tags_in(Headers(), "if-match") is None


def test_what_a_client_has_already_is_not_sent_again(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            for path in READ:
                whole = await here.client.get(path)
                tag = whole.headers["etag"]
                assert tag.startswith('"'), path
                for sent in (tag, f'"other", {tag}', f"W/{tag}", "*"):
                    for method in ("GET", "HEAD"):
                        again = await here.client.request(
                            method, path, headers={"If-None-Match": sent}
                        )
                        assert (again.status_code, again.content) == (304, b""), (path, sent)
                        assert again.headers["etag"] == tag
                        assert "content-type" not in again.headers
                for sent in ('"other"', f'"x,{tag[1:]}', ""):
                    again = await here.client.get(path, headers={"If-None-Match": sent})
                    assert (again.status_code, again.content) == (200, whole.content), (path, sent)
                for sent, status in ((tag, 200), ("*", 200), (f"W/{tag}", 412), ('"other"', 412)):
                    again = await here.client.get(path, headers={"If-Match": sent})
                    assert again.status_code == status, (path, sent)
            missing = await here.client.get(f"{SALES}x", headers={"If-None-Match": "*"})
            assert missing.status_code == 404

    run(scenario())


def test_a_change_is_made_only_of_what_the_client_knows(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            tag = (await here.client.get(SALES)).headers["etag"]
            for trial in ("?dryRun=true", ""):
                for sent, status in (
                    ({"If-Match": '"other"'}, 412),
                    ({"If-Match": f"W/{tag}"}, 412),
                    ({"If-Match": f'"x,{tag[1:]}'}, 412),
                    ({"If-Match": "*", "If-None-Match": tag}, 412),
                    ({"If-Match": "*", "If-None-Match": f'W/{tag}, "x"'}, 412),
                    ({"If-Match": "*", "If-None-Match": "*"}, 412),
                    ({"If-Match": f'"other" , {tag}', "If-None-Match": '"x"'}, 200),
                ):
                    answer = await here.client.put(
                        SALES + trial, content=text("sales", "7m"), headers={**YAML, **sent}
                    )
                    assert answer.status_code == status, (trial, sent, answer.text)
            for sent in ({"If-Match": tag}, {"If-None-Match": "*"}):  # tag: that of before
                answer = await here.client.post(f"{SALES}/disable", headers=sent)
                assert answer.status_code == 412
            answer = await here.client.delete(SALES, headers={"If-Match": f'W/"a", {tag}'})
            assert answer.status_code == 412

    run(scenario())


def test_static_files_have_a_tag_for_each_encoding(
    on_site: Callable[[Scenario], None],
) -> None:
    async def scenario(here: Site) -> None:
        tags = {}
        for encoding in ("gzip", "identity"):
            for path in (address("page.css"), address("page.css").replace("/static/", "/static/x")):
                sent = {"Accept-Encoding": encoding}
                found = await here.browser.get(here.url + path, headers=sent)
                tags[encoding] = found.headers["etag"]
                again = await here.browser.get(
                    here.url + path, headers={**sent, "If-None-Match": found.headers["etag"]}
                )
                assert (again.status_code, again.content) == (304, b"")
                for name in ("etag", "cache-control", "vary"):
                    assert again.headers[name] == found.headers[name]
        assert tags["gzip"] != tags["identity"]

    on_site(scenario)


def test_head_is_get_without_its_content(on_site: Callable[[Scenario], None]) -> None:
    paths = [
        *READ,
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/in-force",
        "/api/v1/info",
        "/api/v1/events",
        "/api/v1/collectors/none",
        "/api/v1/collectors/sales/dialogue",
        "/",
        "/add",
        "/login",
        "/manifests",
        "/service",
        "/collectors/sales",
        "/collectors/sales/edit",
        "/collectors/sales/clear",
        "/collectors/sales/delete",
        "/collectors/none",
        "/nowhere",
        "/api/v1/nowhere",
        address("page.js"),
        "/static/x/nothing.js",
    ]

    async def scenario(here: Site) -> None:
        await here.log_in()
        for path in paths:
            for accept in ("text/html", "*/*"):
                head = await here.browser.head(here.url + path, headers={"Accept": accept})
                assert head.content == b""
                async with here.browser.stream(
                    "GET", here.url + path, headers={"Accept": accept}
                ) as got:
                    assert (head.status_code, path) == (got.status_code, path)
                    for name in ("content-type", "cache-control", "vary", "content-encoding"):
                        assert head.headers.get(name) == got.headers.get(name), (path, name)

    on_site(scenario)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/login", {"GET", "HEAD", "POST"}),
        ("/collectors/sales/edit", {"GET", "HEAD", "POST"}),
        ("/api/v1/collectors", {"GET", "HEAD", "POST"}),
        (SALES, {"GET", "HEAD", "PUT", "DELETE"}),
    ],
)
def test_a_wrong_method_is_told_which_there_are(
    on_site: Callable[[Scenario], None], path: str, allowed: set[str]
) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in()
        headers = {**HTML, "X-CSRF-Token": csrf}
        answer = await here.browser.request("PATCH", here.url + path, headers=headers)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == allowed

    on_site(scenario)
