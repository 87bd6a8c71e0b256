"""Which folders a manifest means, on servers of every make."""

from __future__ import annotations

import pytest

from reconciler.model.errors import SourceUnsuitable, Throttled
from reconciler.sources.imap.folder_choice import ServerFolder, choose, decoded, parse_list
from tests.servers.scripted import Client, Scripted
from tests.sources.imap_server import (
    BODIES,
    SELECTED,
    Reply,
    collect,
    fetched,
    imap,
    inbox,
    source,
    tagged,
)

OK = b"TAG OK done\r\n"


def tree(*names: bytes, delimiter: str = ".", **attributes: str) -> list[ServerFolder]:
    return [
        ServerFolder(
            name, delimiter, frozenset(attributes.get(name.decode("latin-1"), "").upper().split())
        )
        for name in names
    ]


def names(declared: list[str], listed: list[ServerFolder], prefix: str = "") -> list[str]:
    return list(choose(declared, listed, prefix).folders)


@pytest.mark.parametrize(("delimiter", "prefix"), [(".", "INBOX/"), ("/", ""), ("\\", "")])
def test_I30_a_slash_stands_for_the_servers_delimiter(delimiter: str, prefix: str) -> None:
    raw = [
        (prefix + name).replace("/", delimiter).encode()
        for name in ("Lists", "Lists/a", "Lists/a/b")
    ]
    listed = tree(b"INBOX", *raw, delimiter=delimiter)
    assert names(["INBOX", "Lists/a"], listed, prefix) == ["INBOX", "Lists/a"]
    assert names(["Lists/%"], listed, prefix) == ["Lists/a"]
    assert names(["Lists/*", "Lists"], listed, prefix) == ["Lists/a", "Lists/a/b", "Lists"]
    assert choose(["Lists/a"], listed, prefix).folders["Lists/a"].raw == raw[1]


def test_I30_the_prefix_may_also_be_written() -> None:
    assert names(["INBOX/Lists"], tree(b"INBOX", b"INBOX.Lists"), "INBOX/") == ["Lists"]


def test_a_flat_server_has_no_delimiter() -> None:
    assert names(["a/b"], tree(b"a/b", delimiter="")) == ["a/b"]


def test_inbox_is_there_in_any_case_and_whatever_list_says() -> None:
    assert names(["inbox"], []) == ["INBOX"]
    assert names(["Inbox"], tree(b"inbox")) == ["INBOX"]


def test_a_folder_that_is_listed_repeatedly_is_one() -> None:
    listed = [
        ServerFolder(raw, "/") for raw in (b"Inbox", b"a", b"INBOX", b"inbox", b"a", b"inbox/a")
    ]
    assert set(choose(["*", "InBox"], listed, "").folders) == {"INBOX", "a", "inbox/a"}
    assert set(
        choose(
            ["*"], [ServerFolder(raw, ".") for raw in (b"INBOX", b"INBOX.INBOX")], "INBOX/"
        ).folders
    ) == {"INBOX", "INBOX.INBOX"}


def test_patterns_leave_special_folders_out_but_names_do_not() -> None:
    listed = tree(
        b"INBOX",
        b"Trash",
        b"Junk",
        b"Drafts",
        b"All",
        b"Sent",
        b"Top",
        Trash="\\Trash",
        Junk="\\Junk",
        Drafts="\\Drafts",
        All="\\All",
        Sent="\\Sent",
        Top="\\Noselect",
    )
    assert names(["*"], listed) == ["INBOX", "Sent"]
    assert names(["Junk"], listed) == ["Junk"]
    assert choose(["Top"], listed, "").notes == ('the folder "Top" cannot hold messages',)


def test_what_is_missing_is_noted_once_and_the_others_are_found() -> None:
    chosen = choose(["gone", "a", "x*", "a", "%"], tree(b"a"), "")
    assert list(chosen.folders) == ["a", "INBOX"]
    assert chosen.notes == ('there is no folder "gone"', 'no folder matches "x*"')


@pytest.mark.parametrize(
    ("line", "literal", "raw", "delimiter"),
    [
        (b'() "." INBOX', None, b"INBOX", "."),
        (b'(\\HasNoChildren) "/" "with space"', None, b"with space", "/"),
        (b'() "\\\\" "back\\\\slash \\"quoted\\""', None, b'back\\slash "quoted"', "\\"),
        (b"() NIL flat", None, b"flat", ""),
        (b'() "." "007"', None, b"007", "."),
        (b'() "/" {9}', b"new\r\nline", b"new\r\nline", "/"),
        (b'() "/" "../../etc/passwd"', None, b"../../etc/passwd", "/"),
        (b'(\\Trash) "/" a ("CHILDINFO" ("SUBSCRIBED"))', None, b"a", "/"),
    ],
)
def test_list_responses(line: bytes, literal: bytes | None, raw: bytes, delimiter: str) -> None:
    folder = parse_list(line, literal)
    assert folder is not None
    assert (folder.raw, folder.delimiter) == (raw, delimiter)


@pytest.mark.parametrize("line", [b"", b"()", b'() "." ', b'() "." ""', b"junk", b'() "long" a'])
def test_list_responses_that_cannot_be_read_are_passed_over(line: bytes) -> None:
    assert parse_list(line, None) is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"&BB8EMAQ,BDoEMA-", "Папка"),
        ("Папка".encode(), "Папка"),
        (b"R&-D", "R&D"),
        (b"bad&utf7", "bad&utf7"),
        (b"a&b-c", "a&b-c"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"&2D3c-", "&2D3c-"),
    ],
)
def test_I22_names_are_shown_as_text_whatever_their_octets(raw: bytes, text: str) -> None:
    assert decoded(raw) == text
    decoded(raw).encode()  # no lone surrogates: it goes into the ledger


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe", b"new\r\nline", b"&bad", b'qu"ote\\', b"../up", b"tab\there"]
)
def test_I22_names_go_back_to_the_server_octet_by_octet(raw: bytes) -> None:
    opened_as: list[bytes] = []

    def examine(client: Client, line: bytes) -> None:
        if line.endswith(b"}"):
            client.send(b"+ go on\r\n")
            size, literal = int(line.rpartition(b"{")[2][:-1]), client.line()
            while len(literal) < size:
                literal += b"\r\n" + client.line()
            opened_as.append(literal)
        else:
            opened_as.append(
                line.partition(b" EXAMINE ")[2][1:-1].replace(b'\\"', b'"').replace(b"\\\\", b"\\")
            )
        client.send(tagged(line, SELECTED))

    listed = b'* LIST () "|" {%d}\r\n%s\r\n' % (len(raw), raw) + OK
    with Scripted(imap({"LIST": listed, "EXAMINE": examine})) as server:
        opened = source(server, folders=["*"])
        folders = [listing.folder.name for listing in opened.listings(writable=False)]
        opened.finish()
    assert opened_as == [raw, b"INBOX"] if opened_as[0] == raw else [b"INBOX", raw]
    assert raw in opened_as
    assert len(folders) == 2


def test_no_folder_at_all_is_an_error() -> None:
    with Scripted(imap({"LIST": OK})) as server:
        opened = source(server, folders=["gone", "x/*"])
        with pytest.raises(SourceUnsuitable, match='there is no folder "gone"'):
            list(opened.listings(writable=False))
        opened.abort()


def test_a_folder_that_does_not_open_is_noted_and_the_others_flow() -> None:
    replies: dict[str, Reply] = {
        "LIST": b'* LIST () "/" a\r\n* LIST () "/" b\r\n' + OK,
        'EXAMINE "a"': b"TAG NO [NOPERM] not yours\r\n",
    }
    with Scripted(imap(replies)) as server:
        opened = source(server, folders=["a", "b"])
        [listing] = opened.listings(writable=False)
        assert listing.folder.name == "b"
        assert listing.notes == ('the server does not open the folder "a": [NOPERM] not yours',)
        opened.finish()


def test_a_folder_in_use_is_throttling() -> None:
    with Scripted(imap({"EXAMINE": b"TAG NO [INUSE] locked\r\n"})) as server:
        opened = source(server)
        with pytest.raises(Throttled, match="locked"):
            inbox(opened)
        opened.abort()


@pytest.mark.parametrize(
    ("capability", "command"),
    [
        (b"SPECIAL-USE LIST-EXTENDED", b'LIST "" "*" RETURN (SPECIAL-USE)'),
        (b"SPECIAL-USE", b'LIST "" "*"'),
        (b"XLIST", b'XLIST "" "*"'),
        (b"CHILDREN", b'LIST "" "*"'),
    ],
)
def test_special_folders_are_asked_for_in_the_servers_way(
    capability: bytes, command: bytes
) -> None:
    verb = command.split()[0]
    reply = (b'* %s (\\HasNoChildren \\Trash) "/" Bin\r\n* %s () "/" work\r\n' % (verb, verb)) + OK
    replies: dict[str, Reply] = {
        "CAPABILITY": b"* CAPABILITY IMAP4rev1 " + capability + b"\r\n" + OK,
        verb.decode(): reply,
    }
    with Scripted(imap(replies)) as server:
        opened = source(server, folders=["B*", "work"])
        [listing] = opened.listings(writable=False)
        opened.finish()
        assert listing.folder.name == "work"
        assert listing.notes == ('no folder matches "B*"',)
        assert any(line.endswith(b" " + command) for line in server.lines)


@pytest.mark.parametrize(
    "namespace",
    [
        b'* NAMESPACE (("INBOX." ".")) NIL NIL\r\n',
        b'* NAMESPACE (("" ".")) NIL NIL\r\n',
        b"* NAMESPACE NIL NIL NIL\r\n",
        b"* NAMESPACE (((\xff\r\n",
        b"",
    ],
)
def test_I30_the_prefix_comes_from_namespace(namespace: bytes) -> None:
    replies: dict[str, Reply] = {
        "CAPABILITY": b"* CAPABILITY IMAP4rev1 NAMESPACE\r\n" + OK,
        "NAMESPACE": namespace + OK,
        "LIST": b'* LIST () "." INBOX\r\n* LIST () "." INBOX.work\r\n' + OK,
    }
    with Scripted(imap(replies)) as server:
        opened = source(server, folders=["work" if b"INBOX." in namespace else "INBOX/work"])
        [listing] = opened.listings(writable=False)
        assert len(listing.messages) == 3
        opened.finish()
        assert any(line.endswith(b'EXAMINE "INBOX.work"') for line in server.lines)


def test_inbox_alone_asks_for_no_list() -> None:
    with Scripted(imap({"EXAMINE": SELECTED.replace(b"3 EXISTS", b"0 EXISTS")})) as server:
        opened = source(server)
        listing = inbox(opened)
        assert collect(opened, listing) == []
        opened.finish()
        assert not any(b"LIST" in line or b"FETCH" in line for line in server.lines)


def test_I16_a_folder_that_is_refused_last_leaves_the_others_to_be_opened_again() -> None:
    listed = b'* LIST () "/" INBOX\r\n* LIST () "/" Other\r\nTAG OK done\r\n'
    with Scripted(
        imap(
            {
                "LIST": listed,
                'EXAMINE "Other"': b"TAG NO [NOPERM] no\r\n",
                "UID FETCH 1:2,5": b"".join(fetched(uid, body) for uid, body in BODIES.items())
                + b"TAG OK done\r\n",
            }
        )
    ) as server:
        opened = source(server, folders=["INBOX", "Other"])
        listing = inbox(opened)
        assert collect(opened, listing) == list(BODIES.values())
        opened.finish()
        assert [line.partition(b" ")[2] for line in server.lines if b"EXAMINE" in line] == [
            b'EXAMINE "INBOX"',
            b'EXAMINE "Other"',
            b'EXAMINE "INBOX"',
        ]
