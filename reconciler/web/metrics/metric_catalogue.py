"""All metrics, by name. docs/metrics.md is made from this table, and nothing else is served.

Names and units follow Prometheus' conventions. A label is a collector's name or one of a few fixed
words, never anything that a server, a message or a secret brought (hazard S6).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

PREFIX = "mailcollector"
Kind = Literal["gauge", "counter", "histogram", "info"]
_COLLECTOR = ("collector",)
_PROVIDER = ("provider",)


class Described(Struct, frozen=True):
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
    Described("", "info", "The program.", ("version",)),
    # -- the service
    Described("manifest_findings", "gauge", "What is wrong with the manifests.", ("severity",)),
    Described(
        "internal_errors",
        "counter",
        "Defects of mailcollector that came up; its log tells where. To be reported.",
    ),
    Described(
        "control_last_turn_timestamp_seconds", "gauge", "When the control loop's last turn ended."
    ),
    Described(
        "control_turn_duration_seconds", "histogram", "How long a turn of the control loop takes."
    ),
    Described(
        "control_turn_lateness_seconds",
        "histogram",
        "From when a turn of the control loop was due to its begin.",
    ),
    Described("control_failed_turns", "counter", "Turns that could not be completed."),
    Described("control_trouble", "gauge", "1 while the manifests are not acted upon, else 0."),
    Described("paused", "gauge", "1 while the whole service is paused, else 0."),
    Described(
        "plan_steps",
        "counter",
        "Changes to what runs that were carried out, by what was done.",
        ("action",),
    ),
    Described(
        "event_loop_lag_seconds",
        "histogram",
        "How late the event loop is, measured once a second.",
    ),
    Described("ledger_size_bytes", "gauge", "The ledger's file with its log, where it is SQLite."),
    # -- all collectors
    Described(
        "collectors", "gauge", "Declared collectors, by provider and state.", ("provider", "state")
    ),
    Described(
        "held_collectors", "gauge", "Collectors that run although they are declared no longer."
    ),
    Described(
        "unserved_collectors",
        "gauge",
        "Collectors that collect nothing: not ready, or waiting for what is away. Not those that "
        "are disabled or paused, or have had no session yet.",
        _PROVIDER,
    ),
    Described(
        "stale_collectors",
        "gauge",
        "Ready collectors whose last session ended more than two intervals and two minutes ago.",
    ),
    Described(
        "collectors_with_series", "gauge", "Collectors that have series of their own: --metrics."
    ),
    Described("hosts_away", "gauge", "Mail servers where no session can start."),
    Described("destinations_away", "gauge", "Mail systems that accept no mail."),
    Described(
        "parked_messages",
        "gauge",
        "Messages that stay on the server until the manifest or the destination changes.",
    ),
    Described("failing_messages", "gauge", "Messages that failed in the last sessions."),
    Described(
        "left_messages", "gauge", "Messages that the last sessions left for the next: the limit."
    ),
    # -- sessions
    Described("sessions_limit", "gauge", "Sessions that may run at the same time."),
    Described("sessions_running", "gauge", "Sessions that run now."),
    Described("sessions_queued", "gauge", "Sessions that are due and wait for their turn."),
    Described(
        "sessions_host_away", "gauge", "Those of the queued that wait for a host that is away."
    ),
    Described(
        "session_start_delay_seconds",
        "histogram",
        "From when a session was due to its begin; not while its host was away, or a pause.",
    ),
    Described(
        "session_duration_seconds",
        "histogram",
        "How long sessions took. Its count is that of the sessions.",
        ("provider", "outcome"),
    ),
    Described("session_messages", "histogram", "How many messages sessions collected.", _PROVIDER),
    Described(
        "session_failures",
        "counter",
        "Failed sessions, by the reason of the condition.",
        ("provider", "reason"),
    ),
    Described(
        "provider_messages",
        "counter",
        "Messages, by provider and what became of them.",
        ("provider", "result"),
    ),
    Described(
        "provider_received_bytes", "counter", "Octets of messages that were collected.", _PROVIDER
    ),
    # -- each collector
    Described(
        "collector_condition",
        "gauge",
        "1 if the condition is True, else 0.",
        ("collector", "type"),
    ),
    Described("messages", "counter", "Messages, by what became of them.", ("collector", "result")),
    Described("sessions", "counter", "Sessions that have ended.", _COLLECTOR),
    Described("received_bytes", "counter", "Octets of messages that were collected.", _COLLECTOR),
    Described(
        "server_messages",
        "gauge",
        "Messages on the server when it was listed last.",
        ("collector", "state"),
    ),
    Described(
        "last_session_success", "gauge", "1 if the last session succeeded, else 0.", _COLLECTOR
    ),
    Described(
        "last_session_timestamp_seconds", "gauge", "When the last session ended.", _COLLECTOR
    ),
    Described(
        "next_session_timestamp_seconds", "gauge", "When the next session is due.", _COLLECTOR
    ),
    Described(
        "oauth2_token_expiry_timestamp_seconds",
        "gauge",
        "When the access token in use expires.",
        _COLLECTOR,
    ),
)
CATALOGUE: Mapping[str, Described] = {found.name: found for found in _ALL}
