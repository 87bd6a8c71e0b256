"""The readers of other tools' configurations, compared with the tools' own view of each file:
`fetchmail --configdump` and `getmail --dump`."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests.foreign.fetchmail import fetchmail
from reconciler.manifests.foreign.fetchmail_syntax import (
    LISTS,
    FetchmailReader,
    Option,
    PollEntry,
    User,
)
from reconciler.manifests.foreign.getmail import getmail

FILES = 100
"""The number of files for each seed. fetchmail needs 20 ms for one."""
_BEYOND_GRAMMAR = (
    "LMTP can't use default SMTP port",
    "missing IP interface address",
    "idle mode does not work",
    'multiple "defaults" records',
)
"""Messages of fetchmail about files that its grammar allows. An import may accept such files."""

_WORDS = [
    "ann",
    '"a b"',
    "'x=y'",
    "joe@x.example",
    "keep",
    "ssl",
    "server",
    "12",
    "a=b",
    '"q"r',
    "b\\123",
    '"c\\x41\\101"',
    "*",
    "here",
    "is",
    "#c",
    "pass",
    "it\\ s",
    "no",
    "nokeep",
    '"*"',
    "with",
    "imap",
]
_SERVER = [
    "proto imap",
    "protocol pop3",
    "proto auto",
    "proto POP3",
    "port 993",
    "service imaps",
    "uidl",
    "no uidl",
    "nodns",
    "dns",
    "localdomains {} b.example",
    "envelope X-A",
    "envelope 2 Received",
    "no envelope",
    "noenvelope",
    "interval 3",
    "timeout 9",
    "auth password",
    "auth any",
    "preauth ssh",
    "tracepolls",
    "checkalias",
    "bad-header accept",
    "via {}",
    "aka {} {}",
    "qvirtual {}",
    "proto {}",
    "interface {}",
]
_USER = [
    "pass {}",
    "password {}",
    "keep",
    "no keep",
    "nokeep",
    "ssl",
    "no ssl",
    "fetchall",
    "nofetchall",
    "folder {}",
    "folder A B",
    "is {} here",
    "is {}",
    "to {} {} here",
    "to * here",
    "is a=b * here",
    "to {}={}",
    "limit 100",
    'mda "/bin/x"',
    "smtphost {}",
    "fetchlimit 5",
    'sslproto ""',
    "sslcertck",
    "mimedec",
    "idle",
    "stripcr",
    "rewrite",
    "norewrite",
    "flush",
    "warnings 5",
    "antispam 1 2",
    "expunge 3",
    "properties x",
    "is {} there",
    "lmtp",
    'preconnect "x"',
    "nomimedec",
    "smtpaddress {}",
]


def _filled(chance: random.Random, option: str) -> str:
    return re.sub(r"\{\}", lambda _: chance.choice(_WORDS), option)


def _user(chance: random.Random, first: bool) -> str:
    heads = ["user {}", "username {} there", *(["user {} here", ""] if first else [])]
    options = " ".join(_filled(chance, chance.choice(_USER)) for _ in range(chance.randint(0, 5)))
    return (
        _filled(chance, chance.choice(heads))
        + chance.choice([" ", " with ", " has ", "\n", "; "])
        + options
    )


def _entry(chance: random.Random) -> str:
    heads = [
        "poll h.example",
        'server "i.example"',
        f"skip k{chance.randint(0, 99)}",
        "poll j.example",
    ]
    options = chance.choice([" ", " with ", ", "]).join(
        _filled(chance, chance.choice(_SERVER)) for _ in range(chance.randint(0, 3))
    )
    users = "\n".join(_user(chance, number == 0) for number in range(chance.randint(0, 3)))
    gap = chance.choice([" ", "\n", " \\\n"])
    return f"{chance.choice(heads)}{gap}{options} {users}\n"


def _texts(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    for _ in range(FILES):
        begin = chance.choice(
            ["", "set daemon 60\n", "set no bouncemail\n", "set logfile = /x\n", "# hi\n"]
        )
        defaults = (
            f"defaults {_filled(chance, chance.choice(_SERVER))}\n" if chance.random() < 0.3 else ""
        )
        yield begin + defaults + "".join(_entry(chance) for _ in range(chance.randint(1, 2)))


def _dumped(text: str, file: Path) -> dict[str, Any] | str | None:
    """Return fetchmail's view of a file.

    It is None if the grammar refuses the file, and a sentence for other reasons.
    """
    file.write_text(text, encoding="latin-1")
    file.chmod(0o600)
    said = subprocess.run(
        ["fetchmail", "--configdump", "-f", str(file)],
        capture_output=True,
        text=True,
        encoding="latin-1",
        check=False,
        env={**os.environ, "HOME": str(file.parent), "LC_ALL": "C"},
    )
    _, begins, dumped = said.stdout.partition("fetchmailrc = ")
    if not begins:
        return next((known for known in _BEYOND_GRAMMAR if known in said.stderr), None)
    names: dict[str, Any] = {"TRUE": True, "FALSE": False}
    try:
        exec(f"found = {dumped}", names)  # it is Python, printed by fetchmail
    except SyntaxError:
        return "its dump is no Python where a server has no user"
    found: dict[str, Any] = names["found"]
    return found


def _value(options: dict[str, Option], name: str) -> str | None:
    return options[name].values[0] if name in options and options[name].values else None


def _on(options: dict[str, Option], name: str) -> bool:
    return name in options and options[name].on


def _ours(reader: FetchmailReader) -> Iterator[dict[str, Any]]:
    given = next(
        (one for one in reader.entries if one.sort == "defaults"), PollEntry(0, "defaults", "")
    )
    for entry in reader.entries:
        for user in (entry.users or [User(0)]) if entry.sort != "defaults" else ():
            options = {**given.options, **entry.options, **user.options}
            yield {
                "name": entry.name,
                "active": entry.sort == "poll",
                "remote": user.name,
                "password": _value(options, "password"),
                "local": set(user.local),
                "wildcard": user.wildcard,
                "folders": list(user.options["folder"].values if "folder" in user.options else ()),
                "protocol": _value(options, "protocol") or "auto",
                "via": _value(options, "via"),
                "port": _value(options, "port"),
                "limit": int(_value(options, "limit") or 0),
                "domains": [
                    name
                    for one in (entry, given)
                    if "local" in one.options
                    for name in one.options["local"].values
                ],
                **{
                    flag: _on(options, flag)
                    for flag in ("keep", "ssl", "fetchall", "flush", "idle")
                },
            }


def _theirs(dump: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for server in dump["servers"]:
        for user in server["users"]:
            names = [one if isinstance(one, tuple) else (one, "") for one in user["localnames"]]
            yield {
                "name": server["pollname"],
                "active": server["active"],
                "remote": user["remote"],
                "password": user.get("password"),
                "local": {one for one in names if one[0] != "*"},
                "wildcard": ("*", "") in names,
                "folders": user.get("mailboxes", []),
                "protocol": server["protocol"].lower(),
                "via": server["via"],
                "port": server["service"],
                "limit": user["limit"],
                "domains": server["localdomains"],
                **{flag: user[flag] for flag in ("keep", "ssl", "fetchall", "flush", "idle")},
            }


@pytest.mark.parametrize("seed", [1, 2])
def test_fetchmailrc_as_fetchmail_reads_it(seed: int, tmp_path: Path) -> None:
    """Both refuse the same files and give the others the same meaning.

    fetchmail replaces a missing user name or local name by that of the user who runs it.
    """
    assert "folder" in LISTS
    compared = 0
    for text in _texts(seed):
        dump = _dumped(text, tmp_path / "rc")
        reader = FetchmailReader(text)
        reader.read()
        if isinstance(dump, str):
            continue
        assert bool(reader.problems) == (dump is None), f"{reader.problems} {text!r}"
        if dump is None:
            continue
        ours, theirs = list(_ours(reader)), list(_theirs(dump))
        assert len(ours) == len(theirs), text
        for mine, other in zip(ours, theirs, strict=True):
            unsaid = {key for key in ("remote", "local", "password") if not mine[key]}
            assert {key: value for key, value in mine.items() if key not in unsaid} == {
                key: value for key, value in other.items() if key not in unsaid
            }, text
            compared += 1
    assert compared > FILES / 4


GETMAIL = [
    "port = 1_993",
    "port = 1993  # usual",
    "port = 0x7c9",
    "port = (1993)",
    'mailboxes = ("A", "B C", "Ü")',
    "mailboxes = ('INBOX',)",
    "mailboxes = ALL",
    "timeout = 20",
    "use_peek = no",
]


@pytest.mark.parametrize("line", GETMAIL)
@pytest.mark.parametrize(
    "options",
    [
        "delete = 1\nmax_message_size = 5_000",
        "delete = off\nread_all = false",
        "max_messages_per_session = 7\nread_all = Yes",
    ],
)
def test_getmailrc_as_getmail_reads_it(line: str, options: str, tmp_path: Path) -> None:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    text = (
        f"[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = h.example\nusername = u\npassword = "
        f"p\n{line}\n"
        f"[destination]\ntype = Maildir\npath = {tmp_path}/Maildir/\n[options]\n{options}\n"
    )
    (tmp_path / "rc").write_text(text, encoding="utf-8")
    asked = ["getmail", "--getmaildir", str(tmp_path), "--rcfile", str(tmp_path / "rc"), "--dump"]
    dump = subprocess.run(
        asked,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": "/usr/bin:/bin"},
    ).stdout
    said = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', dump))
    said |= dict(re.findall(r"^    (\w+) : (.*)$", dump, re.MULTILINE))
    (account,) = getmail(text, "localhost").accounts
    source, collect = account.spec["source"], account.spec["collect"]
    assert str(source["port"] or 993) == said["port"]
    folders = source["folders"] or ("INBOX",)
    assert folders == (
        ("*",) if "ALL" in line else tuple(re.findall(r"'([^']*)'", said["mailboxes"]))
    )
    assert str(collect["limit"]) == said["max_messages_per_session"]
    assert (collect["maxMessageSize"] == "100GiB") == (said["max_message_size"] == "0")
    assert (collect["mode"] is None) == (said["delete"] == "False")


def test_no_account_takes_away_more_than_the_tool_did(tmp_path: Path) -> None:
    """In all files, an account that keeps mail there deletes nothing here."""
    for text in _texts(3):
        dump = _dumped(text, tmp_path / "rc")
        if not isinstance(dump, dict):
            continue
        keeps = {(one["name"], one["remote"]) for one in _theirs(dump) if one["keep"]}
        for account in fetchmail(text, "localhost").accounts:
            if (account.host, account.username) in keeps and len(list(_theirs(dump))) == len(keeps):
                assert account.spec["collect"]["mode"] is None, text
