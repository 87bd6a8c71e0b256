"""Thousands of collectors in one daemon, over twenty hosts that are one Dovecot on loopback, by
IMAPS.

Dovecot is set up for it: processes are used again, one process serves many connections that idle,
and no limit of processes, clients or connections of an address stands in the way.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx

from bench.ours import DESTINATION, PROGRAM, TIMEOUT
from bench.sheet import Sheet
from tests.servers import mail
from tests.servers.dovecot import Dovecot

HOSTS = tuple(f"127.0.1.{number}" for number in range(1, 21))
DOVECOT = """
mail_max_userip_connections = 0
default_process_limit = 1000
default_client_limit = 20000
mailbox_idle_check_interval = 30 s
service imap {
  SERVE_MANY
  process_limit = 1000
  client_limit = 50
  process_min_avail = 4
}
service imap-login {
  client_limit = 9000
}
"""
LATENESS, MEMORY, SHARE = 5.0, 400.0, 0.7
"""Seconds, MB, and of one core: what ten thousand collectors may cost."""
WAITING = 100.0
"""kB of a connection that waits for mail."""
ACTS, EFFORT = 0.5, 0.1
"""Seconds until a saved file is acted upon, and of CPU."""
_COLLECTOR = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}}}
spec:
  source: {{protocol: imap, host: {host}, port: {port}, caFile: "{ca}",
    username: {name}@crowd.example,
    password: {{file: {secret}}}}}
  collect: {{mode: new-keep, interval: {interval}, limit: {limit}, push: {push}}}
  recipient: {{forwardTo: {name}@office.example}}
"""


class Crowd:
    """Manifests, state and mail below `work`."""

    def __init__(self, server: Dovecot, work: Path, size: int) -> None:
        self.server = server
        self.work = work
        self.names = [f"c{number:05}" for number in range(size)]
        self.manifests = work / "collectors.d"

    def declare(self, interval: str, *, push: bool = False) -> None:
        """All of them, 500 to a directory."""
        self.manifests.mkdir(parents=True, exist_ok=True)
        (self.work / "secret").write_text(self.server.password)
        (self.manifests / "local.yaml").write_text(
            DESTINATION.format(path=f"{self.work}/mail/{{local}}")
        )
        for name in self.names:
            self.save(name, interval, push=push)

    def save(self, name: str, interval: str, *, limit: int = 100, push: bool = False) -> None:
        number = int(name[1:])
        place = self.manifests / f"{number // 500:02}"
        place.mkdir(exist_ok=True)
        draft = self.work / "draft"
        draft.write_text(
            _COLLECTOR.format(
                name=name,
                host=HOSTS[number % len(HOSTS)],
                port=self.server.ports["imaps"],
                ca=self.server.ca_file,
                secret=self.work / "secret",
                interval=interval,
                limit=limit,
                push=str(push).lower(),
            )
        )
        draft.replace(place / f"{name}.yaml")

    def send(self, name: str, number: int = 1) -> None:
        """A message into this one's mailbox on the server."""
        self.server.deliver(f"{name}@crowd.example", [mail.message(number)])

    def arrived(self, name: str) -> int:
        return sum(1 for _ in (self.work / "mail" / name / "new").glob("*"))

    def forget(self) -> None:
        """Let the next daemon begin with nothing."""
        shutil.rmtree(self.work / "state", ignore_errors=True)

    @contextmanager
    def daemon(self) -> Iterator[Watched]:
        command = [
            str(PROGRAM),
            "run",
            str(self.manifests),
            "--state-dir",
            str(self.work / "state"),
        ]
        with (self.work / "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield Watched(process, self.work)
        finally:
            process.terminate()
            process.wait()


class Watched:
    """A running daemon, by what the kernel tells of it and by its probes."""

    def __init__(self, process: subprocess.Popen[bytes], work: Path) -> None:
        self._process = process
        self._work = work
        self._place = Path("/proc", str(process.pid))

    def ready(self) -> None:
        """Wait until the manifests are loaded."""
        while not self._is_ready():
            self.alive()
            time.sleep(0.02)

    def alive(self) -> None:
        if self._process.poll() is not None:
            raise SystemExit(f"bench: the daemon ended\n{(self._work / 'log').read_text()[-5000:]}")

    def _is_ready(self) -> bool:
        try:
            state = os.open(self._work / "state", os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            return False
        try:  # by this detour, as the path may be too long for a socket's
            transport = httpx.HTTPTransport(uds=f"/proc/self/fd/{state}/control.sock")
            with httpx.Client(
                transport=transport, base_url="http://localhost", timeout=TIMEOUT
            ) as client:
                return client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False
        finally:
            os.close(state)

    @property
    def cpu(self) -> float:
        """Seconds so far, of all threads that live."""
        return (
            sum(
                int((task / "schedstat").read_text().split()[0])
                for task in (self._place / "task").iterdir()
            )
            / 1e9
        )

    @property
    def children(self) -> float:
        """Seconds of CPU of the processes that it started and that are over."""
        fields = (self._place / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float:
        """MB resident."""
        return (
            int((self._place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        )

    @property
    def threads(self) -> int:
        return sum(1 for _ in (self._place / "task").iterdir())

    @property
    def connections(self) -> int:
        """Sockets that are open."""
        return sum(
            1 for file in (self._place / "fd").iterdir() if _leads_to(file).startswith("socket:")
        )

    def started_at(self, name: str) -> float:
        """When this one's last session began, as a time of the wall clock."""
        with self._reading() as ledger:
            [[found]] = ledger.execute(
                "SELECT max(started_at) FROM sessions JOIN collectors ON id = collector_id "
                "WHERE name = ?",
                (name,),
            )
        return (found or 0) / 1e6

    def sessions(self) -> list[Began]:
        """All that were recorded, in order."""
        with self._reading() as ledger:
            return [
                Began(name, started / 1e6, outcome == "succeeded")
                for name, started, outcome in ledger.execute(
                    "SELECT name, started_at, outcome "
                    "FROM sessions JOIN collectors ON id = collector_id "
                    "ORDER BY started_at"
                )
            ]

    def settle(self, count: int) -> None:
        """Wait until so many collectors have had a session."""
        while True:
            self.alive()
            with self._reading() as ledger:
                [[found]] = ledger.execute("SELECT count(DISTINCT collector_id) FROM sessions")
            if found >= count:
                return
            time.sleep(1)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        ledger = sqlite3.connect(
            f"file:{self._work}/state/ledger.sqlite3?mode=ro", uri=True, timeout=TIMEOUT
        )
        try:
            yield ledger
        finally:
            ledger.close()


@dataclass(frozen=True, slots=True)
class Began:
    """A session: whose, when, and whether it succeeded."""

    name: str
    at: float
    good: bool


def many(crowd: Crowd, interval: int, minutes: float) -> Iterator[Sheet]:
    """Every mailbox holds a message; after all were collected, nothing is new, and the polls are
    watched."""
    for name in crowd.names:
        crowd.send(name)
    crowd.declare(f"{interval}s")
    with crowd.daemon() as daemon:
        daemon.ready()
        daemon.settle(len(crowd.names))
        began, spent, busy = time.time(), daemon.cpu, _machine()
        most = 0.0
        while time.time() < began + minutes * 60:
            daemon.alive()
            most = max(most, daemon.memory)
            time.sleep(min(1.0, minutes * 6))
        ended = time.time()
        share, others = (
            (daemon.cpu - spent) / (ended - began),
            (_machine() - busy) / (ended - began),
        )
        sessions = daemon.sessions()
    late = lateness(sessions, began, ended, interval)
    within = [session for session in sessions if began <= session.at <= ended]
    arrived = sum(map(crowd.arrived, crowd.names))
    sheet = Sheet(
        f"{len(crowd.names)} collectors over {len(HOSTS)} hosts, every {interval} s by IMAPS, "
        f"for {minutes:g} minutes"
    )
    sheet.add("sessions", len(within), "")
    sheet.add("sessions a second", len(within) / (ended - began), "/s")
    sheet.add("sessions that failed, ever", sum(not session.good for session in sessions), "", 1)
    sheet.add("messages not delivered once", abs(len(crowd.names) - arrived), "", 1)
    sheet.add("lateness, median", statistics.median(late), "s")
    sheet.add("lateness, 95th percentile", _percentile(late, 0.95), "s", LATENESS)
    sheet.add("lateness, most", max(late), "s")
    sheet.add("resident, most", most, "MB", MEMORY)
    sheet.add("our CPU, share of one core", share, "", SHARE)
    sheet.add("our CPU for each session", share * (ended - began) / len(within) * 1000, "ms")
    sheet.add("the machine's CPU, cores busy", others, "")
    yield sheet


def lateness(sessions: list[Began], began: float, ended: float, interval: float) -> list[float]:
    """Of every session that was due between `began` and `ended`, those among them that never came:
    intervals run from start to start."""
    starts: dict[str, list[float]] = defaultdict(list)
    for session in sessions:
        starts[session.name].append(session.at)
    late: list[float] = []
    for times in starts.values():
        for before, after in pairwise([*times, ended]):
            due = before + interval
            if began <= due < ended:
                late.append(max(0.0, after - due))
    return late


def idle(crowd: Crowd) -> Iterator[Sheet]:
    """The same collectors without and with a connection that waits for mail; then mail comes."""
    for name in crowd.names:
        crowd.send(name)
    crowd.declare("1h")
    with crowd.daemon() as daemon:
        daemon.ready()
        daemon.settle(len(crowd.names))
        time.sleep(2)
        before, open_before = daemon.memory, daemon.connections
    crowd.forget()
    crowd.declare("1h", push=True)
    with crowd.daemon() as daemon:
        daemon.ready()
        daemon.settle(len(crowd.names))
        time.sleep(2)
        held = daemon.connections - open_before
        sheet = Sheet(f"{len(crowd.names)} connections that wait for mail (IDLE), IMAPS")
        sheet.add("connections missing", len(crowd.names) - held, "", 1)
        sheet.add("memory of each", (daemon.memory - before) * 1000 / max(1, held), "kB", WAITING)
        sheet.add("threads", daemon.threads, "")
        spent, began = daemon.cpu, time.monotonic()
        time.sleep(10)
        sheet.add(
            "CPU while nothing comes, of one core",
            (daemon.cpu - spent) / (time.monotonic() - began),
            "",
        )
        delays = [
            _delivered(crowd, name) for name in crowd.names[:: max(1, len(crowd.names) // 20)]
        ]
    sheet.add("from the server to the Maildir, median", statistics.median(delays), "s", 1.0)
    sheet.add("from the server to the Maildir, most", max(delays), "s")
    yield sheet


def _delivered(crowd: Crowd, name: str) -> float:
    """Seconds from a message's arrival in the mailbox to its arrival in ours."""
    already = crowd.arrived(name)
    crowd.send(name, 2)
    began = time.monotonic()
    while crowd.arrived(name) == already:
        if time.monotonic() > began + TIMEOUT:
            raise SystemExit(f"bench: mail for {name} never came")
        time.sleep(0.005)
    return time.monotonic() - began


def start(crowd: Crowd) -> Iterator[Sheet]:
    """A first start, and one more over the same state."""
    crowd.declare("24h")
    for what in ("first start", "start over a state that knows them"):
        began = time.monotonic()
        with crowd.daemon() as daemon:
            daemon.ready()
            took, spent, others, memory = (
                time.monotonic() - began,
                daemon.cpu,
                daemon.children,
                daemon.memory,
            )
        sheet = Sheet(f"{len(crowd.names)} collectors: {what}")
        sheet.add("until ready", took, "s")
        sheet.add("CPU until then", spent, "s")
        sheet.add("CPU of the processes that parsed", others, "s")
        sheet.add("resident then", memory, "MB", MEMORY)
        yield sheet


def change(crowd: Crowd, runs: int) -> Iterator[Sheet]:
    """One file is saved."""
    crowd.declare("24h")
    with crowd.daemon() as daemon:
        daemon.ready()
        time.sleep(3)
        spent, began = daemon.cpu, time.monotonic()
        time.sleep(5)
        idle_share = (daemon.cpu - spent) / (time.monotonic() - began)
        delays, efforts = [], []
        for name in crowd.names[:runs]:
            spent, began = daemon.cpu, time.monotonic()
            saved = time.time()
            crowd.save(name, "24h", limit=7)
            time.sleep(1.5)
            efforts.append(daemon.cpu - spent - idle_share * (time.monotonic() - began))
            delays.append(_acted(daemon, name, saved))
    sheet = Sheet(f"One saved file among {len(crowd.names)}")
    sheet.add("until its loop acts, median", statistics.median(delays), "s", ACTS)
    sheet.add("until its loop acts, most", max(delays), "s")
    sheet.add(
        "CPU, the session that follows included, median", statistics.median(efforts), "s", EFFORT
    )
    yield sheet


def _acted(daemon: Watched, name: str, saved: float) -> float:
    deadline = time.monotonic() + TIMEOUT
    while (found := daemon.started_at(name)) < saved:
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: the change of {name} was never acted upon")
        time.sleep(0.1)
    return found - saved


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _machine() -> float:
    """Seconds of CPU that this machine has spent on anything."""
    user, nice, system, _, _, irq, soft, *_ = map(
        int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def _leads_to(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""
