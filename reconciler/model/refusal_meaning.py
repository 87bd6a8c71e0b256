"""The meanings of a server's refusal, each with advice for people."""

from __future__ import annotations

from enum import Enum


class Meaning(Enum):
    """The meaning of a refusal. The value is the advice, unless the provider has its own.

    {protocol} is replaced by IMAP or POP3.
    """

    THROTTLED = (
        "The server takes no more logins or commands for now; nothing has to be done, but a longer "
        "interval helps where this comes often."
    )
    CONNECTIONS = (
        "Too many programs are connected to this account or from this address: close others, give "
        "the collectors of this server longer intervals, or lower --host-connections."
    )
    BANDWIDTH = (
        "The account has used up what may be downloaded in some time; it goes on by itself when "
        "the server lets it. A lower collect.limit or a longer interval helps."
    )
    IN_USE = (
        "Another program has the mailbox open; only one may. It goes on when that one has closed "
        "it."
    )
    TEMPORARY = "The server has trouble of its own; it is tried again soon."
    LATER = "It is tried again soon."
    NOT_CONNECTED = (
        "The server accepted the login and cannot open the mailbox: mostly it is moved or out of "
        "order just now, and that passes. If it stays: see whether the user name is the mailbox's "
        "own (not an alias, nor another one's shared mailbox), and whether the account has a "
        "mailbox and a licence."
    )
    PROTOCOL_OFF = (
        "Switch on {protocol} in the account's settings, or ask who administers the account to "
        "allow it."
    )
    APP_PASSWORD = (
        "Make an app password in the account's security settings, and use it instead of the "
        "account's own."
    )
    OAUTH2 = "This server accepts no passwords: use source.oauth2."
    OFF_OR_PASSWORD = (
        "See whether {protocol} is switched on in the account's settings, and correct the user "
        "name or the password: the server says the same of both."
    )
    WRONG_PASSWORD = "Correct the user name or the password."
    PASSWORD_EXPIRED = "Set a new password for the account, and put it where source.password says."
    LOCKED = (
        "Open the account with a browser and follow what it says there, or ask who administers it."
    )
    TERMS = "Open the account with a browser and accept or confirm what it asks for."
    WEB_LOGIN = "Open the account with a browser once and confirm that it was you who logged in."
    BLOCKED = (
        "The server refuses connections from this address or country: allow it in the account's "
        "settings, or ask who administers the server."
    )
    OVER_QUOTA = (
        "The mailbox is full: delete mail there, or use a mode that deletes what was collected."
    )
    IDENTIFY = (
        "The server wants to know which program logs in and did not like the answer: ask its "
        "support to allow this account."
    )
    TLS_WANTED = "Set source.tls to implicit or starttls."
    NO_MAILBOX = (
        "The account has no mailbox that {protocol} can open: correct the user name, or ask who "
        "administers it."
    )
    CONTACT_ADMIN = "Ask who administers the server."
