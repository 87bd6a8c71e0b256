"""The attacks, by class. Each is another member of its class than those that the tests of the parts
have."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.attacks.field import Attack, Field
from tests.endtoend.test_memory import FLOODS, imap, lines, pouring
from tests.servers.scripted import Client, Gone, Script, Scripted
from tests.sources import imap_server, pop3_scripts

_HEAD = (
    "apiVersion: mailcollector/v1\nkind: MailCollector\nmetadata: {name: attack-file}\nspec:\n"
    "  source: {protocol: imap, host: a.example, username: u, password: {env: P}}\n"
    "  recipient: {forwardTo: a@b.example}\n"
)


def at_once() -> bool:
    return True


# -- what lies in the directory


def text(content: str | bytes) -> Attack:
    def attack(field: Field, stack: ExitStack) -> Callable[[], object]:
        path = field.write("file", "")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return at_once

    return attack


def tree(make: Callable[[Path], None]) -> Attack:
    """Something else than a file."""

    def attack(field: Field, stack: ExitStack) -> Callable[[], object]:
        field.attack.mkdir()
        make(field.attack)
        return at_once

    return attack


def nested(root: Path) -> None:
    here = os.open(root, os.O_DIRECTORY)
    for _ in range(900):
        os.mkdir("d", dir_fd=here)  # too deep for a path
        below = os.open("d", os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def wide(root: Path) -> None:
    for number in range(30_000):
        (root / f"{number % 200}" / f"{number}").mkdir(parents=True)


def unlisted(root: Path) -> None:
    (root / "below").mkdir(0o300)
    (root / "x.yaml").touch(0)


def strange_names(root: Path) -> None:
    for name in (b"\xff\xfe.yaml", b"new\nline.yaml", b"a" * 250 + b".yaml", b"\xed\xa0\x80.yml"):
        Path(os.fsdecode(bytes(root) + b"/" + name)).write_text("spec: 1\n")


def no_files(root: Path) -> None:
    os.mkfifo(root / "fifo.yaml")
    (root / "zero.yaml").symlink_to("/dev/zero")
    (root / "all").symlink_to("/")
    (root / "shadow.yaml").symlink_to("/etc/shadow")
    (root / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(root.parent / ".git")


def many(root: Path) -> None:
    for number in range(3000):
        (root / f"{number}.yaml").write_text("spec: [\n")


# -- servers


def server(
    protocol: str,
    script: Script,
    source: str = "",
    collectors: int = 1,
    name: str = "server",
    *,
    push: bool = False,
) -> Attack:
    """It has taken hold when the first session is over."""

    def attack(field: Field, stack: ExitStack) -> Callable[[], object]:
        opened = stack.enter_context(_lenient(script))
        for number in range(collectors):
            field.declare(
                f"{name}-{number}", opened.port, protocol=protocol, source=source, push=push
            )
        return lambda: opened.connections

    return attack


@contextmanager
def _lenient(script: Script) -> Iterator[Scripted]:
    """Whatever is asked that the script does not know ends the connection."""

    def run(client: Client) -> None:
        with suppress(AssertionError, TimeoutError, Gone):
            script(client)

    with Scripted(run) as opened:
        yield opened


def slowly(begin: bytes, piece: bytes, seconds: float) -> Script:
    def script(client: Client) -> None:
        client.send(begin)
        while True:
            client.send(piece)
            time.sleep(seconds)

    return script


def folders(pattern: str, names: list[bytes]) -> Attack:
    listed = b"".join(b'* LIST () "/" "%s"\r\n' % name for name in names) + b"TAG OK done\r\n"
    script = imap_server.imap(
        {"LIST": listed, "NAMESPACE": b"TAG BAD no\r\n", "EXAMINE": b"TAG NO no such folder\r\n"}
    )
    return server("imap", script, f', folders: ["{pattern}"]')


def literals(client: Client, line: bytes) -> None:
    for _ in range(300):
        client.send(b"* LIST () NIL {0}\r\n" * 1000)
    client.send(imap_server.tagged(line, b"TAG OK done\r\n"))


def silent_hosts(field: Field, stack: ExitStack) -> Callable[[], object]:
    for host in range(8):
        silent = stack.enter_context(socket.create_server((f"127.0.2.{host + 1}", 0)))
        for number in range(8):
            field.declare(
                f"silent-{host}-{number}",
                silent.getsockname()[1],
                host=f"127.0.2.{host + 1}",
                source=", timeout: 10m",
            )
    return at_once


def silent_destination(field: Field, stack: ExitStack) -> Callable[[], object]:
    silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    field.write(
        "destination",
        "apiVersion: mailcollector/v1\nkind: Destination\nmetadata: {name: attack}\n"
        f"spec: {{lmtp: {{host: 127.0.0.1, port: {silent.getsockname()[1]}}}}}\n",
    )
    mail = pop3_scripts.speak(pop3_scripts.replies([b"Subject: one\r\n\r\nfirst\r\n"]))
    opened = stack.enter_context(_lenient(mail))
    for number in range(40):
        field.declare(f"to-{number}", opened.port, protocol="pop3", destination="attack")
    return lambda: opened.connections


def flooding_destination(field: Field, stack: ExitStack) -> Callable[[], object]:
    def reply(client: Client) -> None:
        client.send(b"220 ready\r\n")
        client.line()
        pouring(b"", lines(b"250-" + b"x" * 500))(client, b"TAG")

    sink = stack.enter_context(_lenient(reply))
    field.write(
        "destination",
        "apiVersion: mailcollector/v1\nkind: Destination\nmetadata: {name: attack}\n"
        f"spec: {{lmtp: {{host: 127.0.0.1, port: {sink.port}}}}}\n",
    )
    mail = stack.enter_context(
        _lenient(pop3_scripts.speak(pop3_scripts.replies([b"Subject: 1\r\n\r\n1\r\n"])))
    )
    field.declare("flooding", mail.port, protocol="pop3", destination="attack")
    return lambda: sink.connections


def all_floods(field: Field, stack: ExitStack) -> Callable[[], object]:
    """By as many servers at once."""
    begun = [
        server(protocol, script, name=str(number))(field, stack)
        for number, (protocol, script) in enumerate(FLOODS.values())
    ]
    return lambda: all(each() for each in begun)


def idling(line: bytes) -> Attack:
    """Four servers that say `line` without end to who waits for mail."""
    script = imap_server.imap(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\nTAG OK done\r\n",
            "IDLE": pouring(b"+ idling\r\n", lines(line)),
        }
    )
    return server("imap", script, collectors=4, push=True)


# -- token servers and secrets


def token_server(answer: Callable[[Client], None]) -> Attack:
    def attack(field: Field, stack: ExitStack) -> Callable[[], object]:
        def script(client: Client) -> None:
            while client.line():
                pass
            answer(client)

        opened = stack.enter_context(_lenient(script))
        mail = stack.enter_context(
            _lenient(
                imap_server.imap(
                    {
                        "CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\n"
                        b"TAG OK done\r\n"
                    }
                )
            )
        )
        field.declare(
            "token",
            mail.port,
            password=(
                "oauth2: {provider: custom, clientId: c, "
                f"tokenUrl: 'http://127.0.0.1:{opened.port}/token', "
                f"refreshToken: {{file: {field.deployment.secret}}}}}"
            ),
        )
        return lambda: opened.connections

    return attack


def bomb(client: Client) -> None:
    once = gzip.compress(b"\0" * (1 << 28), 1)
    body = gzip.compress(once)
    client.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip, gzip\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )


def endless_body(client: Client) -> None:
    client.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    while True:
        client.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def endless_continue(client: Client) -> None:
    while True:
        client.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def chunks_of_one(client: Client) -> None:
    client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        client.send(b"1\r\n \r\n" * 1000)


def dribbling_headers(client: Client) -> None:
    client.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        client.send(b"X-A: b\r\n")
        time.sleep(0.2)


def command(argv: str) -> Attack:
    def attack(field: Field, stack: ExitStack) -> Callable[[], object]:
        mail = stack.enter_context(_lenient(imap_server.imap()))
        field.declare("command", mail.port, password=f"password: {{command: {argv}}}")
        return at_once

    return attack


def ca_file(make: Callable[[Path], None]) -> Attack:
    def attack(field: Field, stack: ExitStack) -> Callable[[], object]:
        field.attack.mkdir()
        path = field.attack / "ca.pem"
        make(path)
        opened = stack.enter_context(_lenient(lambda client: client.wait()))
        field.declare("ca", opened.port, source=f", caFile: {path}")
        changed = field.attack / "ca.yaml"
        changed.write_text(changed.read_text().replace("tls: none", "tls: implicit"))
        return at_once

    return attack


# -- neighbours


def half_open(field: Field, stack: ExitStack) -> Callable[[], object]:
    """On TCP and on the socket."""
    for _ in range(400):
        opened = stack.enter_context(socket.socket())
        opened.setblocking(False)
        with suppress(BlockingIOError):
            opened.connect(("127.0.0.1", field.port))
    time.sleep(0.2)
    for _ in range(100):
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.setblocking(False)
        with suppress(OSError):
            unix.connect(str(field.deployment.state / "control.sock"))
            unix.send(b"GET /api/v1/coll")
    return at_once


def many_checks(field: Field, stack: ExitStack) -> Callable[[], object]:
    silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    field.declare("checked", silent.getsockname()[1], source=", timeout: 10m")
    path = f"/api/v1/collectors/{field.collector('checked')}/check"
    asking = [threading.Thread(target=field.post, args=(path, 15), daemon=True) for _ in range(40)]
    for thread in asking:
        thread.start()
    for thread in asking:
        stack.callback(thread.join)
    return at_once


def reloads(field: Field, stack: ExitStack) -> Callable[[], object]:
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            field.post("/-/reload", 5)

    asking = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        stack.callback(thread.join)
    stack.callback(over.set)
    return at_once


_GLOB = "*a" * 40 + "*b"
ATTACKS: dict[tuple[str, str], Attack] = {
    ("files", "a number of 60,000 octal digits"): text(
        _HEAD + f"  collect: {{limit: 0o{'7' * 60_000}}}\n"
    ),
    ("files", "a line of 1 MB"): text(_HEAD + "  title: '" + 'a\\" ' * 250_000 + "\n"),
    ("files", "an alias bomb"): text(
        "a: &a [x, x]\n"
        + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n"
            for n in range(12)
        )
    ),
    ("files", "100,000 brackets"): text("[" * 100_000),
    ("files", "100 MB of zeros"): text(b"\0" * 100_000_000),
    ("files", "900 nested directories"): tree(nested),
    ("files", "30,000 directories"): tree(wide),
    ("files", "nothing may be listed or read"): tree(unlisted),
    ("files", "names in no encoding"): tree(strange_names),
    ("files", "FIFOs, devices, links that leave"): tree(no_files),
    ("files", "3,000 broken files"): tree(many),
    ("patterns", "a folder pattern of 40 stars"): folders(_GLOB, [b"a" * 200] * 50),
    ("patterns", "NO and a code of 2 MB"): server(
        "imap", imap_server.imap({"LOGIN": b"TAG NO [" + b"A" * (2 << 20) + b"\r\n"})
    ),
    ("patterns", "-ERR and brackets, 60 KB"): server(
        "pop3",
        pop3_scripts.speak(
            pop3_scripts.replies(bent={b"AUTH PLAIN ": b"-ERR " + b"[(" * 4000 + b"\r\n"})
        ),
    ),
    ("floods", "IMAP capabilities"): server(
        "imap", imap("CAPABILITY", b"* CAPABILITY", lambda: iter([b" A" * (1 << 24)]))
    ),
    **{
        ("floods", what.partition(" ")[2] + f", {protocol}"): server(protocol, script)
        for what, (protocol, script) in FLOODS.items()
    },
    ("floods", "bodies that nobody asked for"): server(
        "imap", imap("NOOP", b"", lines(b"* 1 FETCH (UID 9 BODY[] {10}\r\n0123456789)"))
    ),
    ("floods", "20,000 folders, all refused"): folders(
        "*", [b"folder-%d" % n for n in range(20_000)]
    ),
    ("floods", "300,000 empty literals"): server(
        "imap", imap_server.imap({"LIST": literals}), ', folders: ["*"]'
    ),
    ("floods", "all of these servers at once"): all_floods,
    ("floods", "IDLE, EXISTS without end"): idling(b"* 5 EXISTS"),
    ("floods", "IDLE, FETCH without end"): idling(b"* 1 FETCH (FLAGS (\\Seen))"),
    ("floods", "an LMTP reply without end"): flooding_destination,
    ("tokens", "gzip twice, 256 MB"): token_server(bomb),
    ("tokens", "a body without end"): token_server(endless_body),
    ("tokens", "100 Continue without end"): token_server(endless_continue),
    ("tokens", "chunks of one octet"): token_server(chunks_of_one),
    ("tokens", "headers that dribble"): token_server(dribbling_headers),
    ("secrets", "a program whose grandchild keeps the pipe"): command(
        '[sh, -c, "sleep 300 & echo secret"]'
    ),
    ("secrets", "a program that prints without end"): command("['yes']"),
    ("secrets", "a CA file that is a FIFO"): ca_file(os.mkfifo),
    ("secrets", "a CA file that is /dev/zero"): ca_file(lambda path: path.symlink_to("/dev/zero")),
    ("slow", "8 silent hosts, 64 collectors"): silent_hosts,
    ("slow", "a greeting that dribbles, 20 collectors"): server(
        "imap", slowly(b"* OK ", b"x", 1), collectors=20
    ),
    ("slow", "a silent LMTP server, 40 collectors"): silent_destination,
    ("neighbours", "400 half-open requests"): half_open,
    ("neighbours", "40 checks of a silent server"): many_checks,
    ("neighbours", "reloads without pause"): reloads,
}
