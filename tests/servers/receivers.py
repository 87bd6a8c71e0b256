"""Real mail systems that take mail, private, on loopback: Exim, OpenSMTPD, aiosmtpd and Perl's
Net::Server::Mail.

Debian lets only one mail system be installed, so their packages are unpacked below .servers/
(`scripts/unpack-servers`); aiosmtpd stands in .tools/ (`scripts/test-tools`). Users that they
insist on are told to them by nss_wrapper, so that nothing is added to this machine's. Each holds
the mailboxes `a` and `b` at here.example and refuses every other one.
"""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import time
from pathlib import Path
from typing import ClassVar

from tests.servers.loopback import HOST, free_ports
from tests.servers.scripted import Authority
from tests.servers.unpacked import Server, environment, program

DOMAIN = "here.example"
MAILBOXES = ("a", "b")
MOST = 3
"""Messages that Exim and OpenSMTPD take over one connection."""
SIZE = 6 << 20
"""Octets of the largest message that they take."""
_TOOLS = Path(__file__).parents[2] / ".tools"
_PATIENCE = 30.0


class Receiver(Server):
    """`extended`: it takes mailboxes of every script (SMTPUTF8)."""

    protocol = "smtp"
    extended = False

    def __init__(self) -> None:
        super().__init__()
        self.directory.chmod(0o755)
        self.port, self.tls_port = free_ports(2)
        self.ports = {self.protocol: self.port}
        authority = Authority(self.directory)
        self.ca_file = str(authority.ca_file)
        issued = authority.issue(HOST, "127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(str(self.directory / "server.pem"))
        issued.private_key_pem.write_to_path(str(self.directory / "server.key"))
        self.certificate = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        """DER."""
        for mailbox in MAILBOXES:
            for name in ("new", "cur", "tmp"):
                (self.directory / "mail" / mailbox / name).mkdir(parents=True)

    def messages(self, mailbox: str, count: int) -> list[bytes]:
        """What a mailbox holds, from our own header on, once `count` messages have come."""
        deadline = time.monotonic() + _PATIENCE
        while len(found := sorted((self.directory / "mail" / mailbox / "new").iterdir())) < count:
            assert time.monotonic() < deadline, (
                f"{mailbox} has {len(found)} of {count} messages\n{self.log}"
            )
            time.sleep(0.02)
        texts = [path.read_bytes().replace(b"\r\n", b"\n") for path in found]
        return [text[text.index(b"X-Collector-Id:") :] for text in texts]

    @property
    def log(self) -> str:
        return "\n".join(
            path.read_text(errors="replace")[-4000:] for path in self.directory.glob("*log")
        )

    def _users(self, *names: str) -> dict[str, str]:
        """A user database with these besides the machine's, for the programs that we start."""
        wrapper = program("usr/lib/*/libnss_wrapper.so")
        for name, line in (
            ("passwd", "{}:x:{}:{}::/:/usr/sbin/nologin\n"),
            ("group", "{}:x:{}:\n"),
        ):
            known = Path("/etc", name).read_text()
            added = "".join(
                line.format(each, 65000 + number, 65000 + number)
                for number, each in enumerate(names)
            )
            (self.directory / name).write_text(known.rstrip("\n") + "\n" + added)
        return {
            "LD_PRELOAD": wrapper,
            "NSS_WRAPPER_PASSWD": f"{self.directory}/passwd",
            "NSS_WRAPPER_GROUP": f"{self.directory}/group",
        }

    def _own(self, path: Path, uid: int) -> None:
        if os.getuid() == 0:
            for each in (path, *path.rglob("*")):
                os.chown(each, uid, uid)


class Exim(Receiver):
    """With SMTPUTF8, STARTTLS and TLS, AUTH PLAIN over TLS, and 421 after `MOST` messages over a
    connection."""

    extended = True

    def messages(self, mailbox: str, count: int) -> list[bytes]:
        """What it has taken it delivers when it is told to: programs that it starts itself know no
        nss_wrapper."""
        self._exim("-qff")
        return super().messages(mailbox, count)

    def _exim(self, *arguments: str) -> None:
        subprocess.run(
            [program("usr/sbin/exim4"), "-C", str(self.directory / "exim.conf"), *arguments],
            check=True,
            env=environment(**self._users("Debian-exim")),
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
        )

    def start(self) -> None:
        users = self._users("Debian-exim")
        self._own(self.directory, 65000)
        mail = self.directory / "mail"
        (self.directory / "exim.conf").write_text(f"""\
exim_path = {program("usr/sbin/exim4")}
exim_user = Debian-exim
exim_group = Debian-exim
keep_environment =
queue_only = true
spool_directory = {self.directory}/spool
log_file_path = {self.directory}/%slog
pid_file_path = {self.directory}/pid
primary_hostname = exim.test
daemon_smtp_ports = {self.port} : {self.tls_port}
tls_on_connect_ports = {self.tls_port}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = {self.directory}/server.pem
tls_privatekey = {self.directory}/server.key
qualify_domain = {DOMAIN}
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max_per_connection = {MOST}
smtputf8_advertise_hosts = *
message_size_limit = {SIZE}
return_path_remove = false
never_users =
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
begin acl
rcpt:
  deny message = relay not permitted
       ! domains = {DOMAIN}
  require verify = recipient
  accept
begin routers
mailboxes:
  driver = accept
  domains = {DOMAIN}
  local_parts = dsearch;{mail}
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {mail}/$local_part_data
  maildir_format
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{{{eq{{$auth2}}{{user}}}}{{eq{{$auth3}}{{{self.password}}}}}}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
""")
        self.run(
            program("usr/sbin/exim4"), "-bdf", "-C", str(self.directory / "exim.conf"), **users
        )


class OpenSmtpd(Receiver):
    """Without PIPELINING and, here, without TLS; 452 after `MOST` messages over a connection, and
    524 for whom its virtual table does not know. It cuts lines off at a NUL, and adds what a header
    lacks of Date and Message-ID. Its directories are built in: it gets a view of its own of these,
    which takes root."""

    _START: ClassVar[str] = """\
set -e
for each in /var/spool /var/lib /run; do mount -t tmpfs tmpfs $each; done
mkdir -p /usr/libexec /var/spool/smtpd /var/lib/opensmtpd/empty
chmod 711 /var/spool/smtpd
mount -t tmpfs tmpfs /usr/libexec
cp -r "$1/usr/libexec/opensmtpd" /usr/libexec/
export LD_PRELOAD=$3
exec "$1/usr/sbin/smtpd" -d -f "$2"
"""

    def start(self) -> None:
        users = self._users("opensmtpd", "opensmtpq", "vmail")
        mail = self.directory / "mail"
        self._own(mail, 65002)
        (self.directory / "smtpd.conf").write_text(f"""\
table users {{ a = vmail, b = vmail }}
smtp limit max-mails {MOST}
smtp max-message-size "{SIZE}"
listen on 127.0.0.1 port {self.port}
action "deliver" maildir "{mail}/%{{dest.user}}" virtual <users>
match from any for domain "{DOMAIN}" action "deliver"
""")
        preload = users.pop("LD_PRELOAD")
        root = Path(program("usr/sbin/smtpd")).parents[2]
        # In a chroot, / may be no mount of its own, whose propagation could be changed.
        private = (
            subprocess.run(
                ["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False
            ).returncode
            == 0
        )
        self.run(
            "unshare",
            "--mount",
            "--propagation",
            "private" if private else "unchanged",
            "sh",
            "-c",
            self._START,
            "sh",
            str(root),
            str(self.directory / "smtpd.conf"),
            preload,
            **users,
        )


class Aiosmtpd(Receiver):
    """Python's aiosmtpd, with SMTPUTF8, which refuses lines of more than 1,000 octets with 500; or
    its LMTP, which answers a message once, whoever it is for."""

    extended = True
    lmtp = False
    _PROGRAM: ClassVar[str] = """\
import asyncio, itertools, sys, time
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP
directory, port, kind, size = sys.argv[1:]
number = itertools.count()
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        local, _, domain = address.rpartition("@")
        if domain != "here.example" or local not in ("a", "b", "раз"):
            return "550 5.1.1 nobody there"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"
    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            mailbox = address.partition('@')[0]
            with open(f"{directory}/mail/{mailbox}/new/{next(number)}", "wb") as file:
                file.write(envelope.original_content)
        return "250 2.0.0 taken"
async def main():
    made = LMTP if kind == "lmtp" else SMTP
    server = await asyncio.get_running_loop().create_server(
        lambda: made(Handler(), enable_SMTPUTF8=True, data_size_limit=int(size)),
        "127.0.0.1", int(port))
    await server.serve_forever()
asyncio.run(main())
"""

    def start(self) -> None:
        python = _TOOLS / "python/bin/python"
        assert python.exists(), "aiosmtpd is missing: scripts/test-tools"
        (self.directory / "mail" / "раз" / "new").mkdir(parents=True)
        self.run(
            str(python),
            "-c",
            self._PROGRAM,
            str(self.directory),
            str(self.port),
            "lmtp" if self.lmtp else "smtp",
            str(SIZE),
            PYTHONUTF8="1",
        )


class AiosmtpdLmtp(Aiosmtpd):
    protocol = "lmtp"
    lmtp = True


class NetServerMail(Receiver):
    """Perl's LMTP server: without any extension unless it is asked for, and it takes no MAIL behind
    a RSET."""

    protocol = "lmtp"
    _PROGRAM: ClassVar[str] = """\
use strict; use IO::Socket::INET; use Net::Server::Mail::LMTP;
my ($directory, $port) = @ARGV;
my $listener = IO::Socket::INET->new(
  Listen => 5, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1) or die;
$SIG{CHLD} = 'IGNORE';
my $number = 0;
while (1) {
  my $client = $listener->accept or next;
  $number++;
  next if fork;
  my $session = Net::Server::Mail::LMTP->new(socket => $client);
  $session->register('Net::Server::Mail::ESMTP::8BITMIME');
  $session->register('Net::Server::Mail::ESMTP::PIPELINING');
  $session->set_callback(RCPT => sub {
    $_[1] =~ /^<?[ab]\\@here\\.example>?$/ ? 1 : (0, 550, '5.1.1 nobody there') });
  my $count = 0;
  $session->set_callback(DATA => sub {
    my ($self, $data, $recipient) = @_;
    my ($mailbox) = $recipient =~ /([ab])\\@/;
    open my $file, '>', "$directory/mail/$mailbox/tmp/$number.$count" or return (0, 451, $!);
    print $file $$data; close $file;
    my $name = "$number.$count";
    rename "$directory/mail/$mailbox/tmp/$name", "$directory/mail/$mailbox/new/$name";
    $count++;
    return (1, 250, '2.0.0 taken') });
  $session->process;
  exit;
}
"""

    def start(self) -> None:
        library = Path(program("usr/share/perl5/Net/Server/Mail.pm")).parents[2]
        self.run(
            "perl", "-I", str(library), "-e", self._PROGRAM, str(self.directory), str(self.port)
        )

    def stop(self) -> None:
        for process in self._started:
            process.send_signal(signal.SIGTERM)
