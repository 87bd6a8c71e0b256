"""`mailcollector import`: configurations that fetchmail 6.4 and getmail6 accept, as manifests that validate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reconciler.manifests import writing
from reconciler.manifests.foreign.accounts import Unreadable
from reconciler.manifests.foreign.fetchmail import fetchmail
from reconciler.manifests.foreign.getmail import getmail
from tests.cli.conftest import Run
from tests.control.manifests import save

CONFIGURATIONS = Path(__file__).parents[1] / "manifests" / "foreign"
TWELVE = CONFIGURATIONS / "twelve.fetchmailrc"
SECRETS = {"sales": 'pa"ss word', "info": "simple", "off": "x1", "alice": "secret2", "bob": "secret3", "c": "secret4",
           "catchall": "secret5", "push": "secret6", "mda": "secret7", "sales-own-example-org": "secret8"}


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
        *(f"{name}.yaml" for name in names), "destination-imported-smtp.yaml", "destination-imported-lmtp.yaml",
        "destination-imported-lmtp-2.yaml"}
    kept = {path.name: path for path in (directory / ".secrets").iterdir()}
    assert kept.pop(".gitignore").read_text(encoding="utf-8") == "*\n"
    assert {name: path.read_text(encoding="utf-8") for name, path in kept.items()} == {
        name: f"{secret}\n" for name, secret in SECRETS.items()}
    assert {path.stat().st_mode & 0o777 for path in kept.values()} == {0o600}
    everything = result.output + "".join(path.read_text(encoding="utf-8") for path in directory.glob("*.yaml"))
    assert not [secret for secret in SECRETS.values() if secret not in {"simple", "x1"} and secret in everything]
    assert run("validate").exit_code == 0
    info = loaded(directory / "info.yaml")["spec"]
    assert info["collect"] == {"mode": "all-delete", "interval": "5m", "limit": 50, "maxMessageSize": "1048576"}
    assert info["source"]["folders"] == ["INBOX", "Lists/dev", "Sent Items"]
    many = loaded(directory / "catchall.yaml")["spec"]["recipient"]["detect"]
    assert many == {"from": ["example.org", "other.example"], "to": "local.example", "header": "X-Envelope-To",
                    "aliases": {"ivan": "ivanov", "ivanova": "ivanov"}, "stripPrefix": "corp-",
                    "default": "root@local.example"}
    assert loaded(directory / "off.yaml")["spec"]["source"]["host"] == "192.0.2.7"
    assert loaded(directory / "bob.yaml")["spec"]["source"]["tls"] == "starttls"
    assert loaded(directory / "alice.yaml")["spec"]["collect"]["interval"] == "20m"


@pytest.mark.parametrize("note", [
    ":5: `set syslog` is not carried over", ":25: `aka` is not carried over",
    ":35: `mda` is not carried over: mail is not piped", ":35: `preconnect` is not carried over",
    ":37: etrn.example.org: no account", ":41: `sslfingerprint` is not carried over: it is MD5",
    ":44: it has no password"])
def test_what_is_not_carried_over_is_said_with_its_line(run: Run, note: str) -> None:
    assert f"{TWELVE}{note}" in run("import", "fetchmailrc", str(TWELVE), "--dry-run").stderr


def test_notes_stand_in_the_manifest_too(run: Run) -> None:
    printed = run("import", "fetchmailrc", str(TWELVE), "--dry-run").stdout
    assert "# twelve.fetchmailrc:35: `preconnect` is not carried over\n" in printed


def test_dry_run_writes_nothing(run: Run, elsewhere: Path) -> None:
    assert run("import", "fetchmailrc", str(TWELVE), "--dry-run").exit_code == 0
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(("text", "mode"), [
    ("", "new-delete"), ("keep", None), ("fetchall", "all-delete"), ("fetchall no keep", "all-delete"),
    ("keep nokeep fetchall", "all-delete"),
])
def test_modes_of_fetchmail(text: str, mode: str | None) -> None:
    (account,) = accounts(f"poll h proto imap user u pass p {text}")
    assert account.spec["collect"]["mode"] == mode


@pytest.mark.parametrize(("text", "shown"), [
    ("folder INBOX,Work", "folders: [INBOX, Work]"), ("folders INBOX Work", "folders: [INBOX, Work]"),
    ("smtp mx.example.org", "host: mx.example.org"), ("pass8 keep", "name: u")])
def test_options_of_fetchmail_have_other_spellings(run: Run, tmp_path: Path, text: str, shown: str) -> None:
    file = tmp_path / "rc"
    file.write_text(f"poll h proto imap user u pass p {text}\n")
    result = run("import", "fetchmailrc", str(file), "--dry-run")
    assert result.exit_code == 0
    assert shown in result.stdout


def test_defaults_hold_for_what_follows_and_users_have_their_own() -> None:
    first, second, third = accounts(
        "poll a proto imap user u pass p\ndefaults keep proto pop3\npoll b user v pass q user w pass 'r' no keep")
    assert [one.spec["source"]["protocol"] for one in (first, second, third)] == ["imap", "pop3", "pop3"]
    assert [one.spec["collect"]["mode"] for one in (first, second, third)] == ["new-delete", None, "new-delete"]
    assert [one.secret for one in (first, second, third)] == ["p", "q", "r"]


def test_keywords_in_quotes_are_words() -> None:
    (account,) = accounts("poll h proto imap user 'keep' pass \"poll\" is 'here'")
    assert (account.username, account.secret) == ("keep", "poll")
    assert account.spec["recipient"] == {"forwardTo": "here@localhost"}


@pytest.mark.parametrize("text", [
    "poll h proto imap user u pass hush hush2", "poll h user u pass hush =", "hush",
    "poll", "set", "poll h user u pass"])
def test_what_cannot_be_read_is_told_without_a_word_of_it(text: str) -> None:
    with pytest.raises(Unreadable) as error:
        fetchmail(text, "localhost")
    assert error.value.line == 1
    assert "hush" not in str(error.value)


@pytest.mark.parametrize("kind", ["SimplePOP3", "SimplePOP3SSL", "SimpleIMAP", "SimpleIMAPSSL", "BrokenUIDLPOP3",
                                  "BrokenUIDLPOP3SSL", "MultidropPOP3", "MultidropPOP3SSL", "MultidropIMAP",
                                  "MultidropIMAPSSL"])
def test_getmailrc_of_each_retriever(run: Run, elsewhere: Path, kind: str) -> None:
    file = CONFIGURATIONS / f"{kind}Retriever.getmailrc"
    result = run("import", "getmailrc", str(file), "--local-domain", "local.example", "--secrets", "private")

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
        "POP3SSL": "new-delete", "IMAPSSL": "all-delete"}.get(kind.removeprefix("Simple").removeprefix("BrokenUIDL")
                                                              .removeprefix("Multidrop"))


@pytest.mark.parametrize(("text", "line"), [
    ("type = x", 1), ("[options]\n", 1), ("[retriever]\ntype = HushRetriever\n", 2),
    ("[retriever]\ntype = SimplePOP3Retriever\nserver = h\n", 2),
    ("[retriever]\ntype = SimpleIMAPRetriever\nserver = h\nusername = u\nmailboxes = (hush\n", 5)])
def test_a_getmailrc_that_cannot_be_read(text: str, line: int) -> None:
    with pytest.raises(Unreadable) as error:
        getmail(text, "localhost")
    assert error.value.line == line


def test_nothing_that_exists_is_overwritten(run: Run, elsewhere: Path) -> None:
    secrets = elsewhere / "collectors.d" / ".secrets"
    secrets.mkdir(parents=True)
    (secrets / "info").write_text("mine", encoding="utf-8")

    result = run("import", "fetchmailrc", str(TWELVE))

    assert result.exit_code == 1
    assert result.stderr.endswith(f"mailcollector: {Path('collectors.d/.secrets/info')}: "
                                  "exists already: nothing was written\n")
    assert list((elsewhere / "collectors.d").glob("*.yaml")) == []


def test_names_that_are_taken_are_passed_over(run: Run, elsewhere: Path) -> None:
    (elsewhere / "collectors.d").mkdir()
    save(elsewhere / "collectors.d", "me")
    file = CONFIGURATIONS / "SimplePOP3SSLRetriever.getmailrc"
    assert run("import", "getmailrc", str(file)).exit_code == 0
    assert (elsewhere / "collectors.d" / "me-mail-example-org.yaml").exists()
    assert run("validate").exit_code == 0


def test_an_invalid_result_is_not_written(run: Run, elsewhere: Path) -> None:
    (elsewhere / "rc").write_text("poll h proto imap user u pass p is 'two words' here", encoding="utf-8")
    result = run("import", "fetchmailrc", "rc")
    assert result.exit_code == 1
    assert "is no mail address" in result.stderr
    assert not (elsewhere / "collectors.d" / ".secrets").exists()


def test_a_failure_on_the_way_leaves_nothing_behind(run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "rc").write_text("".join(f"poll h{n}.example proto imap user u{n} pass p{n} ssl\n" for n in range(3)))
    new_file, written = writing.new_file, []

    def full(path: Path, content: bytes, mode: int = 0o666) -> None:
        written.append(path)
        if len(written) == 6:
            raise OSError(28, "No space left on device", str(path))
        new_file(path, content, mode)

    monkeypatch.setattr(writing, "new_file", full)
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
        writing.new_file(tmp_path / "a.yaml", b"x")
    assert list(tmp_path.iterdir()) == []
