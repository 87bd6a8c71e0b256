"""Do what the verbs other than `run` ask for, if no daemon runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

from reconciler.app.account_checks import AccountChecks
from reconciler.app.adapters import (
    ledger_if_any,
    maildir_path,
    open_destination,
    own_ledger,
    utc_now,
)
from reconciler.app.login_secrets import LoginSecrets, secret_stamp
from reconciler.app.session_assembly import kept_pause, one_session_each, open_dialogue_store, task
from reconciler.control.check_requests import as_session, not_tried
from reconciler.control.conditions import show_failing, show_parked
from reconciler.control.consistency_check import Fsck
from reconciler.control.decision_recorder import decide_once
from reconciler.control.due_deletions import due_deletions, mode_of
from reconciler.control.observation import ManifestDirectory
from reconciler.control.offline_views import (
    Proposal,
    list_offline,
    propose,
    read_offline,
    recall_in_force,
)
from reconciler.control.one_session_each import find_refusal
from reconciler.control.service_pause import FILE as PAUSE_FILE
from reconciler.control.service_pause import ServicePause
from reconciler.control.session_control import SessionControl
from reconciler.control.session_pool import learn
from reconciler.control.state_ownership import owned
from reconciler.destinations.maildir.delivery_names import SUFFIX
from reconciler.destinations.maildir.maildir_audit import Maildirs
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.model.consent_request import ConsentMethod, Prompt
from reconciler.model.errors import ManifestInvalid, ManifestsMissing, NotSupported
from reconciler.model.fsck_findings import FsckFinding
from reconciler.model.manifests_in_force import NOTHING_IN_FORCE, InForce
from reconciler.model.outcomes import Cleared
from reconciler.model.routing_answer import Routing
from reconciler.model.session_dialogue import SessionDialogue
from reconciler.model.settings import Settings
from reconciler.model.status import (
    CheckReport,
    Description,
    ShownAlert,
    ShownCollector,
    ShownSession,
)
from reconciler.planning.desired_state import DesiredCollector


def collectors(settings: Settings, directory: Path) -> list[ShownCollector]:
    """Return all collectors, from the manifests and the ledger, if there is one; change nothing."""
    with ledger_if_any(settings) as ledger:
        found = read_offline(_manifests(settings, directory), ledger.last_good() if ledger else ())
        return list_offline(found, ledger.histories() if ledger else {}, kept_pause(settings))


def description(settings: Settings, directory: Path, name: str) -> Description:
    """Return everything about one collector. Raises KeyError if it is not declared."""
    with ledger_if_any(settings) as ledger:
        found = read_offline(_manifests(settings, directory), ledger.last_good() if ledger else ())
        shown = {
            one.metadata.name: one
            for one in list_offline(
                found, ledger.histories() if ledger else {}, kept_pause(settings)
            )
        }[name]
        declared = found.desired.collectors.get(name) or found.desired.invalid[name]
        history = ledger.histories([name]).get(name) if ledger else None
        sessions = tuple(map(ShownSession.of, ledger.sessions(name))) if ledger and history else ()
        kept_back = ledger.kept_back(name) if ledger else 0
        return Description(
            collector=shown,
            sessions=sessions,
            parked=tuple(map(show_parked, ledger.parked(name))) if ledger and history else (),
            failing=tuple(map(show_failing, ledger.failing(name))) if ledger and history else (),
            history_size=history.size if history else 0,
            epoch=history.declared.epoch if history else 0,
            alerts=tuple(map(ShownAlert.of, history.alerts)) if history else (),
            source=declared.source,
            due_deletions=due_deletions(
                mode_of(shown), sessions, history.size if history else 0, kept_back
            ),
        )


def collect(
    settings: Settings,
    directory: Path,
    names: Sequence[str],
    force: bool,
    on_progress: Callable[[str, ShownSession], None],
) -> dict[str, ShownSession]:
    """Run one session of each of `names`. Owns the state for that time."""
    with owned(settings.state_dir), own_ledger(settings) as ledger:
        decision, histories = decide_once(ledger, _manifests(settings, directory), utc_now())
        with one_session_each(settings, ledger, asked=True) as once:
            reports = once.run(
                decision,
                histories,
                names,
                force,
                lambda name, report: on_progress(name, ShownSession.of(report)),
            )
        return {name: ShownSession.of(report) for name, report in reports.items()}


def clear(settings: Settings, directory: Path, name: str) -> Cleared:
    """Forget what was collected. Raises LedgerUnavailable if nothing of the collector is known."""
    with owned(settings.state_dir), own_ledger(settings) as ledger:
        decide_once(ledger, _manifests(settings, directory), utc_now())
        history = ledger.histories([name]).get(name)  # also of one whose manifest is invalid now
        return Cleared(ledger.clear(name, utc_now()).epoch, history.size if history else 0)


def unpark(settings: Settings, name: str) -> int:
    """Have parked messages tried again; return how many there are."""
    with owned(settings.state_dir), own_ledger(settings) as ledger:
        return ledger.unpark(name)


def accept_maildirs(settings: Settings, name: str) -> None:
    """Accept the file systems that the collector's Maildirs are on now."""
    with owned(settings.state_dir), own_ledger(settings) as ledger:
        ledger.accept_maildirs(name, utc_now())


def check(settings: Settings, directory: Path, name: str, *, force: bool = False) -> CheckReport:
    """Connect, log in and list, unless a recorded back-off forbids it and `force` is false. How the
    server answers the login is recorded for sessions, if there is a ledger. Raises KeyError if the
    collector is not declared, ManifestInvalid."""
    with ledger_if_any(settings) as ledger, LoginSecrets() as tokens:
        collector = _declared(settings, directory, name, ledger)
        history = ledger.histories([name]).get(name) if ledger else None
        before = history.retry if history else None
        refused = find_refusal(collector, before, secret_stamp, utc_now(), force=force)
        if refused is not None:
            return not_tried(name, refused, f"not tried: {refused.message}")
        control = SessionControl()
        dialogues = open_dialogue_store(settings, ends=True) if ledger else None
        report = AccountChecks(settings, ledger, tokens, dialogues).run(collector, control)
    if history is not None and not control.failed_elsewhere:
        with closing(
            open_ledger(settings.state_url)
        ) as ledger:  # its lease stays whose it is: perhaps sessions run
            learn(ledger, collector, as_session(control.failure), before, secret_stamp, utc_now())
    return report


def dialogues(settings: Settings, name: str) -> Sequence[SessionDialogue]:
    """Return what was said in the last sessions, as far as it is in files."""
    return open_dialogue_store(settings, ends=True).dialogues(name)


def fsck(settings: Settings, directory: Path, *, fix: bool) -> list[FsckFinding]:
    """Compare the ledger with the Maildirs and the manifests, and `fix` what can be fixed. No other
    process can use the state meanwhile. Raises LedgerAbsent if there is no ledger."""
    with (
        closing(open_ledger(settings.state_url, create=False)) as reading,
        owned(settings.state_dir),
    ):
        desired = read_offline(_manifests(settings, directory), reading.last_good()).desired
        maildirs = {
            name: Maildirs(path)
            for name, collector in desired.collectors.items()
            if (path := maildir_path(collector, settings)) is not None
        }
        with closing(open_ledger(settings.state_url)) if fix else nullcontext(reading) as ledger:
            return Fsck(
                ledger, {*desired.collectors, *desired.invalid}, maildirs, fix, utc_now(), SUFFIX
            ).run()


def proposal(settings: Settings, directory: Path, place: Path, now: InForce | None) -> Proposal:
    """Return what `directory` would change if it stood at `place`. `now` is what a daemon runs;
    None: what the ledger records. Raises ManifestsMissing, NotSupported."""
    if not directory.is_dir():
        raise ManifestsMissing(f"{directory} is no directory")
    if now is None:
        with ledger_if_any(settings) as ledger:
            now = recall_in_force(ledger) if ledger else NOTHING_IN_FORCE
    try:
        return propose(_manifests(settings, directory), place, now)
    except ValueError as error:
        raise NotSupported(
            "what is in force was declared with another version of mailcollector: restart the "
            "daemon "
            "with this one"
        ) from error


def confirm_removed(settings: Settings, name: str) -> None:
    """Record that a manifest was removed on purpose: the next daemon does not hold the
    collector."""
    with ledger_if_any(settings) as existing:
        if existing is None:
            return
    with closing(
        open_ledger(settings.state_url)
    ) as ledger:  # its lease stays whose it is: perhaps sessions run
        ledger.save_last_good([], [("MailCollector", name)], utc_now())


def consent(
    settings: Settings,
    directory: Path,
    name: str,
    way: ConsentMethod,
    show: Callable[[Prompt], None],
) -> str:
    """Get a refresh token for a collector; return the file that it was written to. Raises KeyError
    if the collector is not declared, ManifestInvalid, and what consent raises."""
    # an HTTP client, for this verb alone
    from reconciler.secrets.oauth2 import Consent  # noqa: PLC0415

    with ledger_if_any(settings) as ledger:
        source = _declared(settings, directory, name, ledger).effective.source
    asked = Consent(source, way)
    asked.ask(show)
    return asked.file


def pause(settings: Settings, by: str, why: str) -> None:
    """Keep a pause for the next daemon. Raises PauseNotKept."""
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    ServicePause(settings.state_dir / PAUSE_FILE).begin(by, why, utc_now())


def resume(settings: Settings) -> None:
    """Take back a pause that was kept. Raises PauseNotKept."""
    ServicePause(settings.state_dir / PAUSE_FILE).end()


def routing(settings: Settings, directory: Path, name: str, head: bytes) -> Routing:
    """Return who would get the message that begins with `head`. Raises KeyError if the collector is
    not declared, ManifestInvalid, DestinationUnavailable."""
    with ledger_if_any(settings) as ledger:
        collector = _declared(settings, directory, name, ledger)
        destination = open_destination(collector, settings, ledger)
        try:
            return task(collector, destination).route(head)
        finally:
            destination.finish()


def _declared(
    settings: Settings, directory: Path, name: str, ledger: SqlLedger | None
) -> DesiredCollector:
    desired = read_offline(
        _manifests(settings, directory), ledger.last_good() if ledger else ()
    ).desired
    if name in desired.invalid:
        raise ManifestInvalid(desired.invalid[name].problem.message)
    return desired.collectors[name]


def _manifests(settings: Settings, directory: Path) -> ManifestDirectory:
    return ManifestDirectory(directory, allow_inline_secrets=settings.allow_inline_secrets)
