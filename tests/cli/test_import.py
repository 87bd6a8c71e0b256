"""`mailcollector import`: configurations that fetchmail 6.4 and getmail6 accept, as manifests that
validate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reconciler.manifests.editing import atomic_files
from reconciler.manifests.foreign.fetchmail import fetchmail
from reconciler.manifests.foreign.getmail import getmail
from reconciler.manifests.foreign.imported_accounts import UnreadableConfiguration
from tests.cli.conftest import Run
from tests.control.manifests import save
from tests.control.manifests import text as manifest

CONFIGURATIONS = Path(__file__).parents[1] / "manifests" / "foreign"
TWELVE = CONFIGURATIONS / "twelve.fetchmailrc"
SECRETS = {
    "sales": 'pa"ss word',
    "info": "simple",
    "off": "x1",
    "alice": "secret2",
    "bob": "secret3",
    "c": "secret4",
    "catchall": "secret5",
    "push": "secret6",
    "mda": "secret7",
    "sales-own-example-org": "secret8",
}


def loaded(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def accounts(text: str) -> Any:
    return fetchmail(text, "localhost").accounts


def test_fetchmailrc_of_twelve_accounts(run: Run, elsewhere: Path) -> None:
    result = run("import", "fetchmailrc", str(TWELVE), "--local-domain", "local.example")

    assert result.exit_code == 0
    directory = elsewhere / "collectors.d"
    names = [*SECRETS, "nopass"]
    assert {path.name for path in directory.glob("*.yaml")} == {
        *(f"{name}.yaml" for name in names),
        "destination-imported-smtp.yaml",
        "destination-imported-lmtp.yaml",
        "destination-imported-lmtp-2.yaml",
    }
    kept = {path.name: path for path in (directory / ".secrets").iterdir()}
    assert kept.pop(".gitignore").read_text(encoding="utf-8") == "*\n"
    assert {name: path.read_text(encoding="utf-8") for name, path in kept.items()} == {
        name: f"{secret}\n" for name, secret in SECRETS.items()
    }
    assert {path.stat().st_mode & 0o777 for path in kept.values()} == {0o600}
    everything = result.output + "".join(
        path.read_text(encoding="utf-8") for path in directory.glob("*.yaml")
    )
    assert not [
        secret
        for secret in SECRETS.values()
        if secret not in {"simple", "x1"} and secret in everything
    ]
    assert run("validate").exit_code == 0
    info = loaded(directory / "info.yaml")["spec"]
    assert info["collect"] == {
        "mode": "all-delete",
        "interval": "5m",
        "limit": 50,
        "maxMessageSize": "1048576",
    }
    assert info["source"]["folders"] == ["INBOX", "Lists/dev", "Sent Items"]
    many = loaded(directory / "catchall.yaml")["spec"]["recipient"]["detect"]
    assert many == {
        "from": ["example.org", "other.example"],
        "to": "example.org",
        "header": "X-Envelope-To",
        "aliases": {"ivan": "ivanov", "ivanova": "ivanov"},
        "stripPrefix": "corp-",
        "default": "root@local.example",
    }
    assert loaded(directory / "off.yaml")["spec"]["source"]["host"] == "192.0.2.7"
    assert loaded(directory / "bob.yaml")["spec"]["source"]["tls"] == "starttls"
    assert loaded(directory / "alice.yaml")["spec"]["collect"]["interval"] == "20m"


@pytest.mark.parametrize(
    "note",
    [
        ":5: `set syslog` is not carried over",
        ":25: `aka` is not carried over",
        ":35: `mda` is not carried over: mail is not piped",
        ":35: `preconnect` is not carried over",
        ":37: etrn.example.org: no account",
        ":41: `sslfingerprint` is not carried over: it is MD5",
        ":44: it has no password",
    ],
)
def test_what_is_not_carried_over_is_said_with_its_line(run: Run, note: str) -> None:
    assert f"{TWELVE}{note}" in run("import", "fetchmailrc", str(TWELVE), "--dry-run").stderr


def test_notes_stand_in_the_manifest_too(run: Run) -> None:
    printed = run("import", "fetchmailrc", str(TWELVE), "--dry-run").stdout
    assert "# twelve.fetchmailrc:35: `preconnect` is not carried over\n" in printed


def test_dry_run_writes_nothing(run: Run, elsewhere: Path) -> None:
    assert run("import", "fetchmailrc", str(TWELVE), "--dry-run").exit_code == 0
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", "new-delete"),
        ("keep", None),
        ("fetchall", "all-delete"),
        ("fetchall no keep", "all-delete"),
        ("keep nokeep fetchall", "all-delete"),
    ],
)
def test_modes_of_fetchmail(text: str, mode: str | None) -> None:
    (account,) = accounts(f"poll h proto imap user u pass p {text}")
    assert account.spec["collect"]["mode"] == mode


@pytest.mark.parametrize("number", ["9" * 5000, "²", "٣"])
@pytest.mark.parametrize("place", ["port {}", "smtp h/{}", "interval {}", "limit {}"])
def test_N1_numbers_that_are_none_are_no_defect(number: str, place: str) -> None:
    text = f"set daemon {number}\npoll h proto imap {place.format(number)} user u pass p"
    assert [account.spec["source"]["host"] for account in accounts(text)] in ([], ["h"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("folder INBOX,Work", "folders: [INBOX, Work]"),
        ("folders INBOX Work", "folders: [INBOX, Work]"),
        ("smtp mx.example.org", "host: mx.example.org"),
        ("pass8 keep", "name: u"),
    ],
)
def test_options_of_fetchmail_have_other_spellings(
    run: Run, tmp_path: Path, text: str, shown: str
) -> None:
    file = tmp_path / "rc"
    file.write_text(f"poll h proto imap user u pass p {text}\n")
    result = run("import", "fetchmailrc", str(file), "--dry-run")
    assert result.exit_code == 0
    assert shown in result.stdout


def test_defaults_hold_for_all_and_users_have_their_own() -> None:
    first, second, third = accounts(
        "defaults proto pop3 keep folder A\npoll a proto imap user u pass p no keep folder B\n"
        "poll b user v pass q user w pass 'r' no keep"
    )
    assert [one.spec["source"]["protocol"] for one in (first, second, third)] == [
        "imap",
        "pop3",
        "pop3",
    ]
    assert [one.spec["collect"]["mode"] for one in (first, second, third)] == [
        "new-delete",
        None,
        "new-delete",
    ]
    assert [one.secret for one in (first, second, third)] == ["p", "q", "r"]
    assert first.spec["source"]["folders"] == ("B", "A")


def test_keywords_in_quotes_are_words() -> None:
    (account,) = accounts("poll h proto imap user 'keep' pass \"poll\" is 'here'")
    assert (account.username, account.secret) == ("keep", "poll")
    assert account.spec["recipient"] == {"forwardTo": "here@localhost"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("poll h proto imap user u pass hush hush2", 1),
        ("poll h user u pass hush =", 1),
        ("hush", 1),
        ("poll", 1),
        ("set", 1),
        ("poll h user u pass", 1),
        ("poll h proto imap user u\nport 993 pass hush", 2),
        ("POLL h user u", 1),
        ("poll h keep\nuser u pass hush", 2),
        ("defaults nonsense hush", 1),
    ],
)
def test_what_is_not_understood_is_told_without_a_word_of_it(text: str, line: int) -> None:
    """And no account comes of it: what it lost may have been `keep`."""
    found = fetchmail(text, "localhost")
    assert found.left_out
    assert not [one for one in found.accounts if one.username == "u"]
    assert found.notes[0].line == line
    assert "hush" not in "".join(note.message for note in found.notes)


def test_one_bad_account_never_stops_the_others(run: Run, elsewhere: Path) -> None:
    (elsewhere / "rc").write_text(
        "poll a.example proto imap user ann pass p keep\npoll b.example proto imap user bob "
        "pass q hush\n"
        "poll c.example proto imap user cid pass r user dan pass s nonsense user eve pass t keep\n"
        "poll d.example proto imap user fay pass u is 'two words' here\npoll e.example proto "
        "imap user gus pass v keep",
        encoding="utf-8",
    )
    result = run("import", "fetchmailrc", "rc")
    assert result.exit_code == 1
    directory = elsewhere / "collectors.d"
    assert {path.name for path in directory.glob("*.yaml")} == {
        "ann.yaml",
        "cid.yaml",
        "eve.yaml",
        "gus.yaml",
        "destination-imported-smtp.yaml",
    }
    assert {path.name for path in (directory / ".secrets").iterdir()} == {
        ".gitignore",
        "ann",
        "cid",
        "eve",
        "gus",
    }
    assert run("validate").exit_code == 0
    for said in ("rc:2: ", "rc:3: ", "fay is left out: ", "is no mail address"):
        assert said in result.stderr


def detected(text: str) -> Any:
    (account,) = accounts(text)
    return account.spec["recipient"]["detect"]


def test_A1_a_multidrop_mailbox_of_domains_of_its_own() -> None:
    found = detected(
        "poll h.example localdomains one.example envelope X-Envelope-To: user drop pass s to * here"
    )
    assert (found["from"], found["to"], found["mailboxes"]) == (
        ("one.example",),
        "one.example",
        None,
    )
    assert found["header"] == "X-Envelope-To"  # A12


def test_A2_the_word_behind_is_user_and_pass_is_a_name() -> None:
    (account,) = accounts("poll h proto imap user joe pass s is server here ssl keep")
    assert account.spec["collect"]["mode"] is None
    assert account.spec["recipient"] == {"forwardTo": "server@localhost"}
    assert account.spec["source"]["tls"] is None
    for word in ("keep", "skip", "with", "no", "12", "ssl,", "to;"):
        (account,) = accounts(f"poll h proto imap user {word} pass {word} keep")
        assert account.username == account.secret == word.rstrip(",;")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (r'"a\123b"', "a{b"),
        (r'"a\0613b"', "a13b"),
        (r"CORP\\joe", r"CORP\joe"),
        (r'"\x41\X42"', "AB"),
        (r'"\101\e"', "ee"),
        (r"a\tb", "a\tb"),
        ("'a\"b'", 'a"b'),
        ('"a"b', '"a"b'),
        ('"two words"', "two words"),
    ],
)
def test_A3_escapes_in_any_word(said: str, meant: str) -> None:
    (account,) = accounts(f"poll h proto imap user {said} pass {said}")
    assert (account.username, account.secret) == (meant, meant)


def test_A4_A6_folders_add_up_and_are_spelled_as_the_server_does() -> None:
    (account,) = accounts(
        'poll h proto imap user u pass p folder A folder "Entw&APw-rfe" "R&D" Caf\u00e9'
    )
    assert account.spec["source"]["folders"] == ("A", "Entw\u00fcrfe", "R&D", "Caf\u00e9")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("poll h proto pop3 envelope 2 Received user u pass p to * here", "passed over 2"),
        (
            "poll h proto pop3 localdomains a.example b.example user u pass p to * here",
            "b.example are delivered to a.example",
        ),
    ],
)
def test_A7_what_detecting_cannot_say_is_noted(text: str, said: str) -> None:
    (account,) = accounts(text)
    assert said in "".join(note.message for note in account.notes)


def test_A10_options_that_change_nothing_here_refuse_nothing() -> None:
    assert (
        len(
            accounts(
                "poll h preauth password proto imap noenvelope user u pass p mimedec nomimedec "
                "nodns2\n"
                "poll i proto imap auth any user v pass q nomimedecode no checkalias nofetchall"
            )
        )
        == 0
    )
    assert (
        len(
            accounts(
                "poll h preauth any proto imap noenvelope nodns user u pass p mimedec nomimedec "
                "noidle"
            )
        )
        == 1
    )


def test_A11_bytes_that_are_no_utf8(run: Run, elsewhere: Path) -> None:
    (elsewhere / "rc").write_bytes(b"# f\xfcr\npoll h.example proto imap user u pass p keep\n")
    assert run("import", "fetchmailrc", "rc").exit_code == 0
    assert (elsewhere / "collectors.d" / "u.yaml").exists()


def test_A13_addresses_as_local_names() -> None:
    found = detected("poll h.example proto imap user u pass p is a@one.example b@one.example here")
    assert found["mailboxes"] == ["a", "b"]


def test_A18_paths_are_meant_from_the_rc_file_or_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    for said, meant in (
        ("certs/x.pem", "/etc/fm/certs/x.pem"),
        ("~/x.pem", "/home/ann/x.pem"),
        ("/x", "/x"),
    ):
        (account,) = fetchmail(
            f"poll h proto imap user u pass p ssl sslcertfile {said}", "d", "/etc/fm"
        ).accounts
        assert account.spec["source"]["caFile"] == meant
    ours = getmail(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = h\nusername = u\npassword = p\n"
        "ca_certs = ~/ca.pem\n[destination]\ntype = Maildir\npath = ~/Maildir/\n",
        "d",
        "/etc/fm",
    )
    assert ours.accounts[0].spec["source"]["caFile"] == "/home/ann/ca.pem"
    assert ours.accounts[0].place == {"maildir": {"path": "/home/ann/Maildir"}}


def test_A19_no_limit_where_the_tool_has_none() -> None:
    (account,) = accounts("poll h proto imap user u pass p")
    assert (account.spec["collect"]["limit"], account.spec["collect"]["maxMessageSize"]) == (
        0,
        "100GiB",
    )
    (account,) = accounts("poll h proto imap user u pass p fetchlimit 7 limit 1000")
    assert (account.spec["collect"]["limit"], account.spec["collect"]["maxMessageSize"]) == (
        7,
        "1000",
    )


def getmailed(retriever: str, rest: str = "") -> Any:
    return getmail(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = imap.gmail.com\nusername = "
        "u@gmail.com\n"
        f"{retriever}\n{rest}",
        "localhost",
    ).accounts[0]


@pytest.mark.parametrize(
    ("said", "port"),
    [
        ("1993 # usual", 1993),
        ("1_993", 1993),
        ("0x7c9", 1993),
        ("many", None),
        ("-1", None),
        ("9" * 5000, None),
        ("True", None),
    ],
)
def test_A21_numbers_as_getmail_reads_them(said: str, port: int | None) -> None:
    account = getmailed(f"password = p\nport = {said}", "[options]\nmax_message_size = 5_000\n")
    assert account.spec["source"]["port"] == port
    assert account.spec["collect"]["maxMessageSize"] == "5000"
    assert bool([note for note in account.notes if "`port` is no number" in note.message]) == (
        port is None
    )


@pytest.mark.parametrize(
    "destination",
    [
        "type = MDA_lmtp\nhost = 127.0.0.1\noverride = joe@one.example",
        (
            "type = MDA_external\npath = /usr/lib/dovecot/deliver\n"
            'arguments = ("-d", "joe@one.example")'
        ),
    ],
)
def test_A23_whom_the_destination_delivers_to(destination: str) -> None:
    account = getmailed("password = p", f"[destination]\n{destination}\n")
    assert account.spec["recipient"] == {"forwardTo": "joe@one.example"}


def test_A25_an_access_token_is_no_password(run: Run, elsewhere: Path) -> None:
    (elsewhere / "rc").write_text(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = imap.gmail.com\n"
        "username = u@gmail.com\nuse_xoauth2 = true\n"
        'password_command = ("/usr/bin/getmail-gmail-xoauth-tokens", "x")\n',
        encoding="utf-8",
    )
    assert run("import", "getmailrc", "rc").exit_code == 0
    spec = loaded(elsewhere / "collectors.d" / "u.yaml")["spec"]
    assert spec["enabled"] is False
    assert spec["source"]["oauth2"]["provider"] == "google"
    assert "password" not in spec["source"]


def test_A26_C1_a_stranger_s_words_stay_in_their_comment(run: Run, elsewhere: Path) -> None:
    (elsewhere / "rc\u009b31m").write_text(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = h.example\nusername = u\npassword "
        "= p\n"
        "[destination]\ntype = x\x1b[31m\n  evil: true\n",
        encoding="utf-8",
    )
    result = run("import", "getmailrc", "rc\u009b31m", "--dry-run")
    assert result.exit_code == 0
    assert not [letter for letter in result.output if not letter.isprintable() and letter != "\n"]
    assert "\nevil" not in result.output
    assert "\n  evil" not in result.stdout


@pytest.mark.parametrize(
    "kind",
    [
        "SimplePOP3",
        "SimplePOP3SSL",
        "SimpleIMAP",
        "SimpleIMAPSSL",
        "BrokenUIDLPOP3",
        "BrokenUIDLPOP3SSL",
        "MultidropPOP3",
        "MultidropPOP3SSL",
        "MultidropIMAP",
        "MultidropIMAPSSL",
    ],
)
def test_getmailrc_of_each_retriever(run: Run, elsewhere: Path, kind: str) -> None:
    file = CONFIGURATIONS / f"{kind}Retriever.getmailrc"
    result = run(
        "import", "getmailrc", str(file), "--local-domain", "local.example", "--secrets", "private"
    )

    assert result.exit_code == 0
    assert run("validate").exit_code == 0
    spec = loaded(elsewhere / "collectors.d" / "me.yaml")["spec"]
    source = spec["source"]
    assert source["protocol"] == ("imap" if "IMAP" in kind else "pop3")
    assert source.get("tls") == (None if kind.endswith("SSL") else "none")
    assert ("detect" in spec["recipient"]) == kind.startswith("Multidrop")
    if kind == "SimpleIMAPSSL":
        assert source["password"] == {"command": ["/usr/bin/pass", "show", "me"]}
        assert not (elsewhere / "private").exists()
    else:
        assert source["password"] == {"file": "../private/me"}
        assert (elsewhere / "private" / "me").read_text(encoding="utf-8") == "se;cret#1\n"
    assert "se;cret" not in result.output
    assert spec.get("collect", {}).get("mode") == {
        "POP3SSL": "new-delete",
        "IMAPSSL": "all-delete",
    }.get(kind.removeprefix("Simple").removeprefix("BrokenUIDL").removeprefix("Multidrop"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("type = x", 1),
        ("[options]\n", 1),
        ("[retriever]\ntype = HushRetriever\n", 2),
        ("[retriever]\ntype = SimplePOP3Retriever\nserver = h\n", 2),
        (
            (
                "[retriever]\ntype = SimpleIMAPRetriever\nserver = h\nusername = u\nmailboxes = "
                "(hush\n"
            ),
            5,
        ),
    ],
)
def test_a_getmailrc_that_cannot_be_read(text: str, line: int) -> None:
    with pytest.raises(UnreadableConfiguration) as error:
        getmail(text, "localhost")
    assert error.value.line == line


def test_nothing_that_exists_is_overwritten(run: Run, elsewhere: Path) -> None:
    secrets = elsewhere / "collectors.d" / ".secrets"
    secrets.mkdir(parents=True)
    (secrets / "info").write_text("mine", encoding="utf-8")

    result = run("import", "fetchmailrc", str(TWELVE))

    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"mailcollector: {Path('collectors.d/.secrets/info')}: "
        "exists already: nothing was written\n"
    )
    assert list((elsewhere / "collectors.d").glob("*.yaml")) == []


def test_names_that_are_taken_are_passed_over(run: Run, elsewhere: Path) -> None:
    (elsewhere / "collectors.d").mkdir()
    save(elsewhere / "collectors.d", "me")
    file = CONFIGURATIONS / "SimplePOP3SSLRetriever.getmailrc"
    assert run("import", "getmailrc", str(file)).exit_code == 0
    assert (elsewhere / "collectors.d" / "me-mail-example-org.yaml").exists()
    assert run("validate").exit_code == 0


def test_files_of_other_collectors_are_passed_over(run: Run, elsewhere: Path) -> None:
    (elsewhere / "collectors.d").mkdir()
    kept = save(elsewhere / "collectors.d", "me", manifest("other"))
    file = CONFIGURATIONS / "SimplePOP3SSLRetriever.getmailrc"
    assert run("import", "getmailrc", str(file)).exit_code == 0
    assert (elsewhere / "collectors.d" / "me-mail-example-org.yaml").exists()
    assert kept.read_text(encoding="utf-8") == manifest("other")


def test_one_configuration_after_another(run: Run, elsewhere: Path) -> None:
    """The files of several users: equal Destinations are one, and one of them is the default."""
    maildir = (
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = h\nusername = {0}\npassword = p\n"
        "[destination]\ntype = Maildir\npath = /home/{1}/Maildir/\n"
    )
    configurations = (
        ("fetchmailrc", "poll h proto imap user ann pass p is ann here ssl"),
        ("fetchmailrc", "poll h proto imap user bob pass p is bob here ssl"),
        ("getmailrc", maildir.format("cid", "cid")),
        ("getmailrc", maildir.format("dan", "dan")),
        ("getmailrc", maildir.format("dora", "dan")),
    )
    for tool, content in configurations:
        (elsewhere / "rc").write_text(content, encoding="utf-8")
        result = run("import", tool, "rc")
        assert (result.exit_code, "left out" in result.stderr) == (0, False), result.stderr

    assert {path.stem for path in (elsewhere / "collectors.d").glob("destination-*")} == {
        "destination-imported-smtp",
        "destination-imported-maildir",
        "destination-imported-maildir-2",
    }
    chosen = {
        each["metadata"]["name"]: each["spec"]["destination"]
        for path in (elsewhere / "collectors.d").glob("???*.yaml")
        if (each := YAML(typ="safe").load(path))["kind"] == "MailCollector"
    }
    assert chosen == {
        "ann": "imported-smtp",
        "bob": "imported-smtp",
        "cid": "imported-maildir",
        "dan": "imported-maildir-2",
        "dora": "imported-maildir-2",
    }
    assert run("validate").exit_code == 0


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("poll h proto pop2 user u pass p", 1, ":1: h: no account: POP2 is not spoken here"),
        ("poll h\nproto rpop user u pass p", 1, ":2: h: no account: RPOP is not spoken here"),
        ("poll h proto imap", 1, ":1: h: no account: it names no user"),
        ("poll h proto odmr user u pass p", 0, "by ODMR a server is asked to send mail"),
        ("poll h proto pop3 port 995 user u pass p", 0, "TLS begins at once with most servers"),
        ("poll h proto imap timeout 5 user u pass p", 0, "it is 10s"),
        ("poll h proto imap\nuser u pass ''", 0, ":2: its password is empty"),
        ("poll h proto imap user u pass 'a\nb'", 0, "which no login can carry"),
        ("poll h proto imap user u pass 'a\\tb'", 0, "which no login can carry"),
    ],
)
def test_what_cannot_be_carried_over_is_said(
    run: Run, elsewhere: Path, text: str, code: int, said: str
) -> None:
    (elsewhere / "rc").write_text(text)
    result = run("import", "fetchmailrc", "rc")
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr
    assert not (elsewhere / "collectors.d").exists() or run("validate").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("password = p\nusername = v", ":6: `username` stands here once more"),
        ("password =\n", ":5: its password is empty"),
        ("password = a\n  b\n", ":5: its password has a line end"),
        ("password = p\n[options]\ndelete = perhaps", ":7: `delete` is neither true nor false"),
        (
            "password = p\n[destination]\ntype = Maildir\npath = ~nobody-of-this-name/Maildir/",
            ":8: `path` names a user",
        ),
        (
            "password = p\n[destination]\ntype = Maildir\npath = $NOWHERE_SET/Maildir/",
            ":8: `path` names a user",
        ),
        ("password = p\ntimeout = 3600", "it is 600s"),
    ],
)
def test_what_getmail_cannot_carry_over_is_said(
    run: Run, elsewhere: Path, text: str, said: str
) -> None:
    (elsewhere / "rc").write_text(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = h\nusername = u\n" + text
    )
    result = run("import", "getmailrc", "rc")
    assert (result.exit_code, said in result.stderr) == (0, True), result.stderr
    assert run("validate").exit_code == 0


def test_time_and_variables_are_carried_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_BASE", "/srv/mail")
    (account,) = accounts("poll h proto imap timeout 30 user u pass p")
    assert account.spec["source"]["timeout"] == "30s"
    found = getmailed(
        "password = p\ntimeout = 180\nca_certs = $MAIL_BASE/ca.pem",
        "[destination]\ntype = Maildir\npath = ${MAIL_BASE}/ann/\n",
    )
    assert found.spec["source"]["timeout"] == "180s"
    assert found.spec["source"]["caFile"] == "/srv/mail/ca.pem"
    assert found.place == {"maildir": {"path": "/srv/mail/ann"}}


def test_bytes_that_are_sent_otherwise_are_said(run: Run, elsewhere: Path) -> None:
    (elsewhere / "rc").write_bytes(
        b"# a comment\npoll h.example proto imap user u pass 'p\xe4ss' keep\n"
    )
    result = run("import", "fetchmailrc", "rc")
    assert "rc:2: this is not UTF-8: it is read as Latin-1" in result.stderr


def test_a_destination_that_is_invalid_is_not_written(run: Run, elsewhere: Path) -> None:
    (elsewhere / "rc").write_text(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = h\nusername = u\npassword = p\n"
        "[destination]\ntype = Maildir\npath = /srv/{box}/\n"
    )
    result = run("import", "getmailrc", "rc")
    assert result.exit_code == 1
    assert "u is left out: " in result.stderr
    assert not list((elsewhere / "collectors.d").glob("*.yaml"))


def test_an_invalid_result_is_not_written(run: Run, elsewhere: Path) -> None:
    (elsewhere / "rc").write_text(
        "poll h proto imap user u pass p is 'two words' here", encoding="utf-8"
    )
    result = run("import", "fetchmailrc", "rc")
    assert result.exit_code == 1
    assert "is no mail address" in result.stderr
    assert not (elsewhere / "collectors.d" / ".secrets").exists()


def test_a_failure_on_the_way_leaves_nothing_behind(
    run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "rc").write_text(
        "".join(f"poll h{n}.example proto imap user u{n} pass p{n} ssl\n" for n in range(3))
    )
    new_file, written = atomic_files.new_file, []

    def full(path: Path, content: bytes, mode: int = 0o666) -> None:
        written.append(path)
        if len(written) == 6:
            raise OSError(28, "No space left on device", str(path))
        new_file(path, content, mode)

    monkeypatch.setattr(atomic_files, "new_file", full)
    result = run("import", "fetchmailrc", "rc")
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert len(written) == 6
    assert list((elsewhere / "collectors.d").rglob("*")) == []


def test_half_of_a_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output"):
        atomic_files.new_file(tmp_path / "a.yaml", b"x")
    assert list(tmp_path.iterdir()) == []
