"""The command `python -m demo [--once] [--small]`, to be run in the root of the checkout."""

from __future__ import annotations

import argparse
import fcntl
import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType

from demo import daemon, verify, view
from demo.mailserver.server import SmallServer
from demo.scene import ACCOUNTS, Scene, Server, letter
from reconciler.model.errors import CollectorError
from tests.servers.dovecot import Dovecot, installed
from tests.servers.loopback import free_ports

POST_EVERY = 4.0
"""The time between new messages in seconds."""
WELCOME = """
A private mail server holds {messages} messages in {accounts} accounts; mailcollector collects them
as the manifests say. Every {seconds:.0f} seconds somebody gets a new message. What you can do while
you watch:

  page      {link}
                    this address logs in once, within ten minutes; for another one:
                    {program} token link {token} --state-dir {state} --listen {address}

and in another terminal:

  edit      {manifests}/sales.yaml
                    enabled: false   or   interval: 1m   or a mistake: the table shows it at once
  remove    rm {manifests}/orders.yaml
                    its loop stops; put it back, and nothing is collected twice
  look      ls {mail}/office.example/sales/new
  ask       {program} describe sales --state-dir {state}

Ctrl-C ends everything.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument(
        "--once", action="store_true", help="one session of each collector, then end"
    )
    parser.add_argument(
        "--small",
        action="store_true",
        help="over the small mail server, even where Dovecot is there",
    )
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    scene = Scene(Path(".demo"))
    scene.root.mkdir(exist_ok=True)
    with _alone(scene.root / "lock"), _server(options.small) as server:
        scene.lay_out(server)
        return collect_once(scene, server) if options.once else collect_on(scene, server)


def collect_once(scene: Scene, server: Server) -> int:
    """Run one session of each collector and print the results. Return 0 if all mail arrived."""
    failed = daemon.run_once(scene)
    shown = daemon.collectors(scene)
    view.show(["", *daemon.told(shown)])
    found = verify.complaints(scene, server, shown)
    if failed:
        found.append(f"mailcollector run --once ended with exit code {failed}")
    for complaint in found:
        print("demo:", complaint, file=sys.stderr)
    if found:
        return 1
    for account in ACCOUNTS:
        print(
            f"{account.total:3} messages, every byte as sent, in {scene.maildir(account)}/new; "
            f"on the server: {'none, they were deleted' if account.emptied else 'all still there'}"
        )
    return 0


def collect_on(scene: Scene, server: Server) -> int:
    """Run the daemon, deliver new mail and show the table, until Ctrl-C."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with daemon.running(scene, address) as process, _post(server):
        print(
            WELCOME.format(
                messages=sum(account.total for account in ACCOUNTS),
                accounts=len(ACCOUNTS),
                seconds=POST_EVERY,
                manifests=scene.manifests,
                mail=scene.mail,
                state=scene.state,
                program=os.path.relpath(daemon.PROGRAM),
                link=daemon.login_link(scene, address),
                token=daemon.TOKEN,
                address=address,
            ),
            flush=True,
        )
        try:
            view.watch(
                lambda: [*daemon.told(daemon.collectors(scene)), "", *view.tail(scene.log, 6)],
                lambda: process.poll() is not None,
            )
        except KeyboardInterrupt:
            print("\nStopping.", flush=True)
    print(f"Nothing is left running. The mail stays in {scene.mail} until the next demo.")
    return 0


def _server(small: bool) -> AbstractContextManager[Server]:
    if small or not installed():
        print(
            "demo: over a small mail server in Python that comes with the demo"
            + ("." if small else ", as Dovecot is not installed."),
            flush=True,
        )
        return SmallServer()
    return Dovecot()


@contextmanager
def _post(server: Server) -> Iterator[None]:
    """Deliver a new message every few seconds, to each account in turn."""
    ended = threading.Event()

    def post() -> None:
        turns = itertools.cycle(ACCOUNTS)
        for number in itertools.count(1):
            if ended.wait(POST_EVERY):
                return
            account = next(turns)
            server.deliver(account.username, [letter(number, f"{account.name}/new")])

    thread = threading.Thread(target=post, name="post")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Allow one demo at a time in a checkout."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("demo: another demo runs in this checkout") from None
        yield


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, CollectorError) as error:
        sys.exit(f"demo: {error}")
