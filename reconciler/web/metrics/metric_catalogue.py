"""All metrics, by name. docs/metrics.md is made from this table, and nothing else is served.

Names and units follow Prometheus' conventions. A label is a collector's name or one of a few fixed
words, never a text of a server, a message or a secret (hazard S6).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

PREFIX = "mailcollector"
Kind = Literal["gauge", "counter", "histogram", "info"]
_COLLECTOR = ("collector",)
_PROVIDER = ("provider",)


class MetricDescription(Struct, frozen=True):
    """A metric. `name` has neither the prefix nor the suffix of its kind."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()

    @property
    def per_collector(self) -> bool:
        """Whether `--metrics` says for which collectors it is there."""
        return self.labels[:1] == _COLLECTOR

    @property
    def base(self) -> str:
        return f"{PREFIX}_{self.name}" if self.name else PREFIX

    @property
    def shown(self) -> str:
        """The name by which Prometheus knows it; a histogram's with `_bucket`, `_sum`, `_count`."""
        return self.base + {"counter": "_total", "info": "_info"}.get(self.kind, "")


_ALL = (
    MetricDescription("", "info", "The program.", ("version",)),
    # -- the service
    MetricDescription(
        "manifest_findings", "gauge", "What is wrong with the manifests.", ("severity",)
    ),
    MetricDescription(
        "internal_errors",
        "counter",
        "Defects of mailcollector that came up; its log tells where. To be reported.",
    ),
    MetricDescription(
        "control_last_turn_timestamp_seconds", "gauge", "When the control loop's last turn ended."
    ),
    MetricDescription(
        "control_turn_duration_seconds", "histogram", "How long a turn of the control loop takes."
    ),
    MetricDescription(
        "control_turn_lateness_seconds",
        "histogram",
        "From when a turn of the control loop was due to its begin.",
    ),
    MetricDescription("control_failed_turns", "counter", "Turns that could not be completed."),
    MetricDescription(
        "control_trouble", "gauge", "1 while the manifests are not acted upon, else 0."
    ),
    MetricDescription("paused", "gauge", "1 while the whole service is paused, else 0."),
    MetricDescription(
        "plan_steps",
        "counter",
        "Changes to what runs that were carried out, by what was done.",
        ("action",),
    ),
    MetricDescription(
        "event_loop_lag_seconds",
        "histogram",
        "How late the event loop is, measured once a second.",
    ),
    MetricDescription(
        "ledger_size_bytes", "gauge", "The ledger's file with its log, where it is SQLite."
    ),
    # -- all collectors
    MetricDescription(
        "collectors", "gauge", "Declared collectors, by provider and state.", ("provider", "state")
    ),
    MetricDescription(
        "held_collectors", "gauge", "Collectors that run although they are declared no longer."
    ),
    MetricDescription(
        "unserved_collectors",
        "gauge",
        "Collectors that collect nothing: not ready, or waiting for what is away. Not those that "
        "are disabled or paused, or have had no session yet.",
        _PROVIDER,
    ),
    MetricDescription(
        "stale_collectors",
        "gauge",
        "Ready collectors whose last session ended more than two intervals and two minutes ago.",
    ),
    MetricDescription(
        "collectors_with_series", "gauge", "Collectors that have series of their own: --metrics."
    ),
    MetricDescription("hosts_away", "gauge", "Mail servers where no session can start."),
    MetricDescription("destinations_away", "gauge", "Mail systems that accept no mail."),
    MetricDescription(
        "parked_messages",
        "gauge",
        "Messages that stay on the server until the manifest or the destination changes.",
    ),
    MetricDescription("failing_messages", "gauge", "Messages that failed in the last sessions."),
    MetricDescription(
        "left_messages", "gauge", "Messages that the last sessions left for the next: the limit."
    ),
    # -- sessions
    MetricDescription("sessions_limit", "gauge", "Sessions that may run at the same time."),
    MetricDescription("sessions_running", "gauge", "Sessions that run now."),
    MetricDescription("sessions_queued", "gauge", "Sessions that are due and wait for their turn."),
    MetricDescription(
        "sessions_host_away", "gauge", "Those of the queued that wait for a host that is away."
    ),
    MetricDescription(
        "session_start_delay_seconds",
        "histogram",
        "From when a session was due to its begin; not while its host was away, or a pause.",
    ),
    MetricDescription(
        "session_duration_seconds",
        "histogram",
        "How long sessions took. Its count is that of the sessions.",
        ("provider", "outcome"),
    ),
    MetricDescription(
        "session_messages", "histogram", "How many messages sessions collected.", _PROVIDER
    ),
    MetricDescription(
        "session_failures",
        "counter",
        "Failed sessions, by the reason of the condition.",
        ("provider", "reason"),
    ),
    MetricDescription(
        "provider_messages",
        "counter",
        "Messages, by provider and what became of them.",
        ("provider", "result"),
    ),
    MetricDescription(
        "provider_received_bytes", "counter", "Octets of messages that were collected.", _PROVIDER
    ),
    # -- each collector
    MetricDescription(
        "collector_condition",
        "gauge",
        "1 if the condition is True, else 0.",
        ("collector", "type"),
    ),
    MetricDescription(
        "messages", "counter", "Messages, by what became of them.", ("collector", "result")
    ),
    MetricDescription("sessions", "counter", "Sessions that have ended.", _COLLECTOR),
    MetricDescription(
        "received_bytes", "counter", "Octets of messages that were collected.", _COLLECTOR
    ),
    MetricDescription(
        "server_messages",
        "gauge",
        "Messages on the server when it was listed last.",
        ("collector", "state"),
    ),
    MetricDescription(
        "last_session_success", "gauge", "1 if the last session succeeded, else 0.", _COLLECTOR
    ),
    MetricDescription(
        "last_session_timestamp_seconds", "gauge", "When the last session ended.", _COLLECTOR
    ),
    MetricDescription(
        "next_session_timestamp_seconds", "gauge", "When the next session is due.", _COLLECTOR
    ),
    MetricDescription(
        "oauth2_token_expiry_timestamp_seconds",
        "gauge",
        "When the access token in use expires.",
        _COLLECTOR,
    ),
)
CATALOGUE: Mapping[str, MetricDescription] = {found.name: found for found in _ALL}
