"""`/metrics`: what is counted, for whom there are series of their own, and how it is served."""

from __future__ import annotations

import asyncio
import itertools
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import httpx
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import Response

from reconciler.cli.common_options import common_options
from reconciler.control.service_figures import ServiceFigures
from reconciler.model.provider_classes import CLASSES
from reconciler.model.settings import MetricsMode, Settings
from reconciler.model.status import HostAway, ShownCollector
from reconciler.web.metrics import metrics_resource
from reconciler.web.metrics.collector_series import MOST_IN_FULL
from reconciler.web.metrics.metric_catalogue import CATALOGUE
from reconciler.web.metrics.metrics_resource import MetricsResource, draw
from tests.control.manifests import save
from tests.web import metrics_page
from tests.web.daemon import NOW, daemon, run
from tests.web.shown import NOW as TODAY
from tests.web.shown import REFUSED, collector, report, snapshot

Found = dict[tuple[str, ...], float]
UNHEALTHY = (
    collector("stalled", stalled="True", ready="False", reason="AuthenticationFailed"),
    collector("failing", ready="False", reason="ConnectionFailed"),
    collector("parking", last=report(listed=4, collected=3, parked=1)),
    collector("tripping", last=report(listed=4, collected=3, failed=1)),
)
HEALTHY = (
    collector("well"),
    collector("new", ready="Unknown", reason="AwaitingFirstSession"),
    collector("off", ready="False", reason="Disabled"),
    collector("resting", ready="Unknown", reason="Paused"),
)


def samples(text: str) -> Found:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def text_of(mode: MetricsMode | None = "all", *collectors: object, **more: object) -> str:
    found = snapshot(*collectors, **more)  # type: ignore[arg-type]
    return draw(found, lambda: 4096, mode, "")[0].decode()


def named(text: str) -> set[str]:
    """The collectors that have series of their own."""
    return {
        sample.labels["collector"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "collector" in sample.labels
    }


def test_scrapes_at_once_share_what_is_drawn(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings: list[str] = []
    asked = itertools.count(1)
    all_have_asked = threading.Event()
    answer = MetricsResource.metrics

    def drawing(_: object, _size: object, _mode: object, accept: str) -> tuple[bytes, str]:
        assert all_have_asked.wait(60)
        drawings.append(accept)
        return b"up 1\n", "text/plain"

    async def counted(api: MetricsResource, request: Request) -> Response:
        if next(asked) == 30:
            all_have_asked.set()
        return await answer(api, request)

    monkeypatch.setattr(metrics_resource, "draw", drawing)
    monkeypatch.setattr(MetricsResource, "metrics", counted)

    async def scenario() -> None:
        async with daemon(root, settings) as here:
            headers = [{"Accept": "text/plain"}, {"Accept": "text/x"}] * 15
            answers = await asyncio.gather(
                *(here.client.get("/metrics", headers=each) for each in headers)
            )
            assert [answer.text for answer in answers] == ["up 1\n"] * 30
            assert {"text/plain", "text/x"} == set(drawings)
            assert len(drawings) <= 4, (
                "what is drawn already when one asks is made anew, once for all who do"
            )
            await here.client.get("/metrics")
            assert drawings[-1] not in {"text/plain", "text/x"}, "each later one is made anew"

    run(scenario())


async def scraped(client: httpx.AsyncClient) -> Found:
    return samples((await client.get("/metrics")).raise_for_status().text)


def test_metrics_are_the_status_in_the_words_of_prometheus(root: Path, settings: Settings) -> None:
    save(root, "broken", "nonsense")
    expiry = datetime(2030, 1, 1, tzinfo=UTC)

    async def scenario() -> None:
        async with daemon(root, settings) as here:
            here.script.token_expires_at = expiry
            here.script.may_end.set()
            await here.controller.turn()
            await here.control.collect("sales")
            found = await scraped(here.client)
            asked = await here.client.get(
                "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
            )
        assert asked.headers["content-type"].startswith("application/openmetrics-text")
        assert asked.text.endswith("# EOF\n")
        assert found["mailcollector_manifest_findings", "error"] == 1
        assert found["mailcollector_collector_condition", "sales", "Ready"] == 1
        assert found["mailcollector_messages_total", "sales", "collected"] >= 9
        assert found["mailcollector_server_messages", "sales", "collected"] == 9
        assert found["mailcollector_last_session_success", "sales"] == 1
        assert found["mailcollector_next_session_timestamp_seconds", "sales"] > NOW().timestamp()
        assert (
            found["mailcollector_oauth2_token_expiry_timestamp_seconds", "sales"]
            == expiry.timestamp()
        )
        assert ("mailcollector_last_session_success", "off") not in found

    run(scenario())


def test_a_session_and_a_turn_are_counted_where_they_happen(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            before = await scraped(here.client)
            assert before["mailcollector_control_turn_duration_seconds_count",] == 0
            here.script.may_end.set()
            await here.controller.turn()
            await here.control.collect("sales")
            found = await scraped(here.client)
        other = "other"  # imap.example
        key = ("mailcollector_session_duration_seconds_count", "succeeded", other)
        assert found[key] >= 1
        assert found["mailcollector_session_messages_bucket", "5.0", other] == 0
        assert found["mailcollector_session_messages_bucket", "10.0", other] >= 1
        assert found["mailcollector_provider_messages_total", other, "collected"] >= 9
        assert found["mailcollector_collectors", other, "ready"] == 1
        assert found["mailcollector_collectors", other, "disabled"] == 1
        assert found["mailcollector_control_turn_duration_seconds_count",] == 1
        assert found["mailcollector_control_last_turn_timestamp_seconds",] > 1.7e9
        assert found["mailcollector_control_trouble",] == 0
        assert found["mailcollector_plan_steps_total", "start"] == 1
        assert found["mailcollector_sessions_limit",] == 4
        assert found["mailcollector_sessions_running",] == 0
        assert found["mailcollector_ledger_size_bytes",] == 4096
        assert found["process_resident_memory_bytes",] > 1e6

    run(scenario())


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("all", (*UNHEALTHY, *HEALTHY)),
        (None, (*UNHEALTHY, *HEALTHY)),
        ("unhealthy", UNHEALTHY),
        ("none", ()),
    ],
)
def test_the_option_says_for_whom_there_are_series(
    mode: MetricsMode | None, expected: tuple[ShownCollector, ...]
) -> None:
    found = text_of(mode, *UNHEALTHY, *HEALTHY)
    names = {one.metadata.name for one in expected}
    assert named(found) == names
    assert samples(found)["mailcollector_collectors_with_series",] == len(names)


def test_the_daemon_serves_what_its_option_says(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, replace(settings, metrics="none")) as here:
            await here.controller.turn()
            found = (await here.client.get("/metrics")).text
        assert named(found) == set()
        assert samples(found)["mailcollector_collectors", "other", "disabled"] == 1

    run(scenario())


@pytest.mark.parametrize(
    ("words", "variable", "expected"),
    [
        ([], "", None),
        ([], "unhealthy", "unhealthy"),
        (["--metrics", "none"], "unhealthy", "none"),
    ],
)
def test_the_option_and_its_variable(
    words: list[str], variable: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Settings] = []

    def command(settings: Settings) -> int:
        taken.append(settings)
        return 0

    monkeypatch.setenv("MAILCOLLECTOR_METRICS", variable)
    click.command(common_options()(command)).main(words, standalone_mode=False)
    assert [settings.metrics for settings in taken] == [expected]


def test_above_a_thousand_only_the_unhealthy_have_series_unless_told_otherwise() -> None:
    many = [collector(f"c{number}") for number in range(MOST_IN_FULL)]
    assert len(named(text_of(None, *many))) == MOST_IN_FULL
    assert named(text_of(None, *many, UNHEALTHY[0])) == {"stalled"}
    assert len(named(text_of("all", *many, UNHEALTHY[0]))) == MOST_IN_FULL + 1


@pytest.mark.parametrize("mode", ["all", "unhealthy", "none"])
def test_sums_are_there_in_every_mode(mode: MetricsMode) -> None:
    gmail = collector("known", "imap.gmail.com")
    found = samples(text_of(mode, *UNHEALTHY, *HEALTHY, gmail))
    assert found["mailcollector_collectors", "gmail", "ready"] == 1
    assert found["mailcollector_collectors", "gmail", "stalled"] == 0
    assert found["mailcollector_collectors", "other", "ready"] == 3
    assert found["mailcollector_collectors", "other", "stalled"] == 1
    assert found["mailcollector_collectors", "other", "failing"] == 1
    assert found["mailcollector_parked_messages",] == 1
    assert found["mailcollector_failing_messages",] == 1
    assert found["mailcollector_unserved_collectors", "other"] == 2
    assert found["mailcollector_unserved_collectors", "gmail"] == 0
    assert found["mailcollector_paused",] == 0
    assert found["mailcollector_sessions_queued",] == 5
    assert found["mailcollector_sessions_host_away",] == 3


def test_who_waits_for_what_is_away_collects_nothing_and_a_last_good_version_does() -> None:
    away = HostAway(
        host="imap.example.org",
        port=993,
        reason="ConnectionFailed",
        message="canary",
        since=TODAY,
        next_attempt=TODAY,
        concerns=2,
    )
    waiting = [
        one.model_copy(update={"status": one.status.model_copy(update={"host_away": away})})
        for one in (collector("a"), collector("b", ready="Unknown", reason="AwaitingFirstSession"))
    ]
    broken = collector("broken", stalled="True")
    found = samples(text_of("none", *waiting, broken))
    assert found["mailcollector_unserved_collectors", "other"] == 2
    assert found["mailcollector_hosts_away",] == 1
    assert found["mailcollector_collectors", "other", "ready"] == 1
    assert found["mailcollector_stale_collectors",] == 0


def test_stale_is_a_ready_collector_whose_sessions_do_not_come() -> None:
    long_ago = report(listed=1, collected=1)
    long_ago = replace(long_ago, finished_at=TODAY - timedelta(hours=1))
    just_now = replace(long_ago, finished_at=datetime.now(UTC))
    found = samples(text_of("none", collector("a", last=long_ago), collector("b", last=just_now)))
    assert found["mailcollector_stale_collectors",] == 1


def test_histograms_grow_and_failures_are_counted_by_their_reason() -> None:
    figures = ServiceFigures()
    for collected in (0, 0, 7, 20000):
        figures.session("gmail", report(listed=collected, collected=collected, bytes=collected))
    figures.session("gmail", report(REFUSED))
    found = samples(text_of("none", figures=figures.copied()))
    assert found["mailcollector_session_messages_bucket", "0.0", "gmail"] == 3
    assert found["mailcollector_session_messages_bucket", "10.0", "gmail"] == 4
    assert found["mailcollector_session_messages_bucket", "+Inf", "gmail"] == 5
    assert found["mailcollector_session_messages_sum", "gmail"] == 20007
    name = "mailcollector_session_duration_seconds"
    assert found[f"{name}_bucket", "1.0", "succeeded", "gmail"] == 0
    assert found[f"{name}_bucket", "2.5", "succeeded", "gmail"] == 4
    assert found[f"{name}_count", "failed", "gmail"] == 1
    assert found["mailcollector_session_failures_total", "gmail", "AuthenticationFailed"] == 1
    assert found["mailcollector_provider_received_bytes_total", "gmail"] == 20007


def test_S6_no_word_of_a_stranger_becomes_a_label() -> None:
    """A host is the manifest's word, and a server's words stand in conditions and errors."""
    hostile = collector(
        "odd", 'canary"\n.example', ready="False", reason="Failed", last=report(REFUSED)
    )
    figures = ServiceFigures()
    for number in range(1000):
        failure = type(REFUSED)(f"Reason{number}", "canary")
        figures.session("other", report(failure))
    found = text_of("all", hostile, figures=figures)
    assert "canary" not in found
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(found):
        for sample in family.samples:
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    assert labels["provider"] <= set(CLASSES)
    assert len(labels["reason"]) < 70
    assert labels["collector"] == {"odd"}


def test_whatever_is_served_is_in_the_catalogue_and_the_other_way_round() -> None:
    served = {
        family.name: family
        for family in text_string_to_metric_families(text_of("all", *UNHEALTHY, *HEALTHY))
        if family.name.startswith("mailcollector")
    }
    assert served.keys() == {
        one.base + ("_info" if one.kind == "info" else "") for one in CATALOGUE.values()
    } - {"mailcollector"}
    for one in CATALOGUE.values():
        if one.kind != "info":
            assert served[one.base].type == one.kind
            assert served[one.base].documentation == one.text


def test_the_page_says_what_is_served() -> None:
    """`python -m tests.web.metrics_page` writes it anew."""
    page = metrics_page.PAGE.read_text("utf-8")
    assert metrics_page.rendered(page) == page
    assert all(one.shown in page for one in CATALOGUE.values())
