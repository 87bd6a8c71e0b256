"""The known providers: their servers, ways to log in, preparation of accounts, and limits.

`sources` are the public pages with these facts. docs/providers.md is generated from this table.

Limits that providers publish apply to one account. The limits for one client address are not
published, so `connections` and `logins_per_minute` are cautious estimates (`control.host_limits`).

One file: a table, with the few functions that look a provider up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from msgspec import Struct, field

from reconciler.model.refusal_meaning import Meaning as M

Login = Literal["password", "app-password", "oauth2"]
Tls = Literal["implicit", "starttls", "none"]
Protocol = Literal["imap", "pop3"]


class ProviderServer(NamedTuple):
    """A provider's server for one protocol."""

    host: str
    port: int = 993
    tls: Tls = "implicit"


class Endpoints(Struct, frozen=True):
    """The OAuth2 endpoints of a provider as URLs; "" if missing or unknown.

    `imap` and `pop3` are the scopes for these protocols.
    """

    token: str
    authorization: str = ""
    device: str = ""
    imap: str = ""
    pop3: str = ""
    loopback: str = "127.0.0.1"
    """The host of this machine in the URL to which the browser is redirected."""


class Provider(Struct, frozen=True, kw_only=True):
    """A mail provider.

    - `logins`: the ways to log in, the best one first.
    - `hosts`: the domains of its servers; `domains`: those of its mail addresses.
    - `prepare`: sentences about what to do in the account first.
    - `advice`: replaces the advice of a `Meaning`.
    - `connections`: simultaneous sessions with one host; `logins_per_minute`: logins with one host.
      None means that no limit is known.
    """

    name: str
    title: str
    imap: ProviderServer | None = None
    pop3: ProviderServer | None = None
    username: Literal["address", "local part", "account name"] = "address"
    logins: tuple[Login, ...] = ("password",)
    oauth2: str = ""
    family: str = ""
    """A common name for providers whose hosts serve the same mailboxes."""
    hosts: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    advice: Mapping[M, str] = field(default_factory=dict)
    connections: int | None = None
    logins_per_minute: int | None = None
    shortest: float | None = None
    """The shortest allowed time between logins in seconds, if more frequent ones lock accounts."""
    sources: tuple[str, ...] = ()

    def server(self, protocol: str) -> ProviderServer | None:
        """Return the server for a protocol, or None."""
        return self.imap if protocol == "imap" else self.pop3

    def filled(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """Return a manifest's `source` with the missing protocol, host, port and tls filled in.

        If it names its own host, or a protocol that the provider lacks, only the protocol is added.
        """
        protocol = source.get("protocol", "imap" if self.imap else "pop3")
        server = self.server(protocol) if isinstance(protocol, str) else None
        preset: dict[str, Any] = {"protocol": protocol}
        if server is not None and "host" not in source:
            preset["host"] = server.host
            if "tls" not in source:
                preset |= {"tls": server.tls} | (
                    {"port": server.port} if "port" not in source else {}
                )
            elif "port" not in source and source["tls"] == server.tls:
                preset["port"] = server.port
        return {**preset, **source}

    @property
    def takes_passwords(self) -> bool:
        """Return whether any kind of password is accepted."""
        return self.logins != ("oauth2",)


_GMAIL_APP = (
    "Make an app password in the Google account (https://myaccount.google.com/apppasswords, with "
    "2-Step Verification on) and use it instead of the account's own, or use source.oauth2. See "
    "https://support.google.com/accounts/answer/185833"
)
_MICROSOFT_TOKEN = (
    "Microsoft accepts no passwords for IMAP and POP3 any more, app passwords neither: use "
    "source.oauth2. See "
    "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
    "deprecation-of-basic-authentication-exchange-online"
)
_YAHOO_APP = (
    "Make an app password in the Yahoo account's security settings and use it instead of the "
    "account's own. See https://help.yahoo.com/kb/SLN15241.html"
)
_AOL_APP = (
    "Make an app password in the AOL account's security settings and use it instead of the "
    "account's own. See https://help.aol.com/articles/Create-and-manage-app-password"
)
_ICLOUD_APP = (
    "Make an app-specific password in the Apple account and use it instead of the account's own. "
    "See https://support.apple.com/102654"
)
_YANDEX_APP = (
    "Make an app password for mail in Yandex ID and use it instead of the account's own, or use "
    "source.oauth2. See https://yandex.ru/support/id/ru/authorization/app-passwords"
)
_YANDEX_ON = (
    'Switch on mail programs (IMAP or POP3) in the mailbox\'s settings under "Email clients", and '
    "use an app password. See https://yandex.ru/support/mail/mail-clients/others.html"
)
_MAILRU_APP = (
    "Make a password for external applications in the mailbox's security settings and use it "
    "instead of the account's own, or use source.oauth2. See "
    "https://help.mail.ru/mail/security/protection/external"
)
_NETEASE_APP = (
    "Switch on IMAP or POP3 in the web mail's settings (POP3/SMTP/IMAP) and use the authorization "
    "code (授权码) that it gives there instead of the password. See https://help.mail.163.com/"
)
_QQ_APP = (
    "Switch on IMAP or POP3 in the web mail's account settings and use the authorization code "
    "(授权码) that it gives there instead of the password; if both is so, wait a quarter of an hour. "
    "See https://service.mail.qq.com/detail/0/75"
)

PROVIDERS: tuple[Provider, ...] = (
    Provider(
        name="gmail",
        title="Gmail",
        imap=ProviderServer("imap.gmail.com"),
        pop3=ProviderServer("pop.gmail.com", 995),
        logins=("app-password", "oauth2"),
        oauth2="google",
        hosts=("gmail.com", "googlemail.com"),
        domains=("gmail.com", "googlemail.com"),
        prepare=(
            "Switch on 2-Step Verification in the Google account, and make an app password at "
            "https://myaccount.google.com/apppasswords.",
            'For POP3: switch on POP in Gmail\'s settings, "Forwarding and POP/IMAP". In Google '
            "Workspace the administrator has to allow IMAP or POP.",
        ),
        notes=(
            "At most 15 connections of one account at once, 2,500 MB a day by IMAP and 1,250 MB "
            "by POP3.",
            "By POP3, mail that was collected once is not shown again unless the settings say so; "
            "prefix the user name with `recent:` to see the last 30 days.",
        ),
        advice={
            M.APP_PASSWORD: _GMAIL_APP,
            M.WRONG_PASSWORD: _GMAIL_APP,
            M.PROTOCOL_OFF: 'Switch on {protocol} in Gmail\'s settings, "Forwarding and POP/IMAP"; '
            "in Google Workspace the administrator has to allow it. See "
            "https://support.google.com/mail/answer/7126229",
            M.WEB_LOGIN: "Log in to Gmail with a browser once and confirm that it was you; an app "
            "password or source.oauth2 avoids it. See "
            "https://support.google.com/mail/answer/7126229",
            M.BANDWIDTH: "The account has used up what Gmail lets it download in a day (2,500 MB "
            "by IMAP, 1,250 MB by POP3); it goes on within 24 hours. See "
            "https://support.google.com/a/answer/1071518",
            M.CONNECTIONS: "Gmail allows 15 connections to an account at once: close other "
            "programs, or lower --host-connections. See "
            "https://support.google.com/mail/answer/7126229",
        },
        connections=10,
        logins_per_minute=120,
        shortest=60.0,
        sources=(
            "https://support.google.com/mail/answer/7126229",
            "https://support.google.com/mail/answer/7104828",
            "https://support.google.com/accounts/answer/185833",
            "https://support.google.com/a/answer/1071518",
        ),
    ),
    Provider(
        name="outlook",
        title="Outlook.com",
        imap=ProviderServer("outlook.office365.com"),
        pop3=ProviderServer("outlook.office365.com", 995),
        logins=("oauth2",),
        oauth2="microsoft",
        family="Microsoft",
        hosts=("outlook.com", "hotmail.com", "live.com"),
        domains=("outlook.com", "hotmail.com", "live.com", "msn.com"),
        prepare=(
            "Allow devices and apps to use IMAP or POP in Outlook.com's settings, \"Forwarding and "
            'IMAP".',
            "Register an application with Microsoft, and get a refresh token with `mailcollector "
            "oauth2`.",
        ),
        advice={
            M.OAUTH2: _MICROSOFT_TOKEN,
            M.WRONG_PASSWORD: _MICROSOFT_TOKEN,
            M.APP_PASSWORD: _MICROSOFT_TOKEN,
            M.PROTOCOL_OFF: "Allow {protocol} in Outlook.com's settings, \"Forwarding and "
            'IMAP". See '
            "https://support.microsoft.com/office/d088b986-291d-42b8-9564-9c414e2aa040",
            M.WEB_LOGIN: "Log in at https://outlook.live.com with a browser and confirm that it "
            "was you.",
        },
        connections=10,
        logins_per_minute=120,
        shortest=60.0,
        sources=(
            "https://support.microsoft.com/office/d088b986-291d-42b8-9564-9c414e2aa040",
            "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
            "deprecation-of-basic-authentication-exchange-online",
        ),
    ),
    Provider(
        name="microsoft365",
        title="Microsoft 365",
        imap=ProviderServer("outlook.office365.com"),
        pop3=ProviderServer("outlook.office365.com", 995),
        logins=("oauth2",),
        oauth2="microsoft",
        family="Microsoft",
        hosts=("office365.com",),
        domains=("onmicrosoft.com",),
        prepare=(
            "Allow IMAP or POP for the mailbox in the Exchange admin centre (Email apps).",
            "Register an application in Microsoft Entra, and get a refresh token with "
            "`mailcollector oauth2`.",
        ),
        notes=(
            "At most 20 connections of one account by IMAP, 20 by POP3. It throttles, and says for "
            "how long.",
            "A shared mailbox is logged in to with its own address as user name, and the token of "
            "who may open it.",
        ),
        advice={
            M.OAUTH2: _MICROSOFT_TOKEN,
            M.WRONG_PASSWORD: _MICROSOFT_TOKEN,
            M.APP_PASSWORD: _MICROSOFT_TOKEN,
            M.PROTOCOL_OFF: "Allow {protocol} for the mailbox in the Exchange admin centre (Email "
            "apps). See "
            "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
            "pop3-and-imap4/enable-or-disable-pop3-or-imap4-access",
        },
        connections=10,
        logins_per_minute=120,
        shortest=60.0,
        sources=(
            "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
            "pop3-and-imap4/"
            "pop3-and-imap4",
            "https://learn.microsoft.com/exchange/client-developer/legacy-protocols/"
            "how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth",
            "https://imapsync.lamiral.info/FAQ.d/FAQ.Office365.txt",
        ),
    ),
    Provider(
        name="yahoo",
        title="Yahoo Mail",
        imap=ProviderServer("imap.mail.yahoo.com"),
        pop3=ProviderServer("pop.mail.yahoo.com", 995),
        logins=("app-password",),
        hosts=("yahoo.com",),
        domains=("yahoo.com", "ymail.com", "rocketmail.com"),
        prepare=(
            "Make an app password in the account's security settings, "
            "https://login.yahoo.com/account/security.",
        ),
        notes=(
            "It shows at most the newest 10,000 messages of a folder by IMAP, and limits how often "
            "commands come.",
        ),
        advice={
            M.APP_PASSWORD: _YAHOO_APP,
            M.WRONG_PASSWORD: _YAHOO_APP,
            M.WEB_LOGIN: "Log in at https://login.yahoo.com with a browser and confirm the "
            "account.",
        },
        connections=5,
        logins_per_minute=30,
        sources=(
            "https://help.yahoo.com/kb/SLN4075.html",
            "https://help.yahoo.com/kb/SLN15241.html",
            "https://github.com/postalsys/imapflow/issues/75",
        ),
    ),
    Provider(
        name="aol",
        title="AOL Mail",
        imap=ProviderServer("imap.aol.com"),
        pop3=ProviderServer("pop.aol.com", 995),
        logins=("app-password",),
        hosts=("aol.com",),
        domains=("aol.com", "aim.com", "netscape.net"),
        prepare=(
            "Make an app password in the account's security settings, "
            "https://login.aol.com/account/security.",
        ),
        advice={M.APP_PASSWORD: _AOL_APP, M.WRONG_PASSWORD: _AOL_APP},
        connections=5,
        logins_per_minute=30,
        sources=(
            "https://help.aol.com/articles/Create-and-manage-app-password",
            "https://help.aol.com/articles/"
            "how-do-i-use-other-email-applications-to-send-and-receive-my-aol-mail",
        ),
    ),
    Provider(
        name="yahoo-japan",
        title="Yahoo! JAPAN Mail",
        imap=ProviderServer("imap.mail.yahoo.co.jp"),
        pop3=ProviderServer("pop.mail.yahoo.co.jp", 995),
        username="local part",
        hosts=("yahoo.co.jp",),
        domains=("yahoo.co.jp", "ybb.ne.jp"),
        prepare=("Allow mail programs in the mailbox's settings (IMAP/POP/SMTP access).",),
        connections=5,
        logins_per_minute=30,
        sources=("https://support.yahoo-net.jp/PccMail/s/",),
    ),
    Provider(
        name="icloud",
        title="iCloud Mail",
        imap=ProviderServer("imap.mail.me.com"),
        username="local part",
        logins=("app-password",),
        hosts=("me.com", "icloud.com"),
        domains=("icloud.com", "me.com", "mac.com"),
        prepare=("Make an app-specific password in the Apple account, https://account.apple.com.",),
        notes=("There is no POP3.",),
        advice={M.APP_PASSWORD: _ICLOUD_APP, M.WRONG_PASSWORD: _ICLOUD_APP},
        connections=5,
        logins_per_minute=30,
        sources=("https://support.apple.com/102525", "https://support.apple.com/102654"),
    ),
    Provider(
        name="yandex",
        title="Yandex",
        imap=ProviderServer("imap.yandex.ru"),
        pop3=ProviderServer("pop.yandex.ru", 995),
        logins=("app-password", "oauth2"),
        oauth2="yandex",
        hosts=("yandex.ru", "yandex.com", "ya.ru", "yandex.net"),
        domains=("yandex.ru", "yandex.com", "ya.ru", "yandex.by", "yandex.kz", "narod.ru"),
        prepare=(
            'Switch on mail programs in the mailbox\'s settings, "Email clients": IMAP or POP3, '
            "with app passwords.",
            "Make an app password for mail in Yandex ID, "
            "https://id.yandex.ru/security/app-passwords.",
        ),
        notes=("A new mailbox has to be opened with a browser once, to accept the terms.",),
        advice={
            M.APP_PASSWORD: _YANDEX_APP,
            M.WRONG_PASSWORD: _YANDEX_APP,
            M.PROTOCOL_OFF: _YANDEX_ON,
            M.OFF_OR_PASSWORD: _YANDEX_ON,
            M.TERMS: "Open the mailbox at https://mail.yandex.ru with a browser once and accept "
            "the terms.",
        },
        connections=10,
        logins_per_minute=60,
        shortest=60.0,
        sources=(
            "https://yandex.ru/support/mail/mail-clients/others.html",
            "https://yandex.ru/support/id/ru/authorization/app-passwords",
        ),
    ),
    Provider(
        name="mailru",
        title="Mail.ru",
        imap=ProviderServer("imap.mail.ru"),
        pop3=ProviderServer("pop.mail.ru", 995),
        logins=("app-password", "oauth2"),
        oauth2="mailru",
        hosts=("mail.ru", "bk.ru", "list.ru", "inbox.ru"),
        domains=("mail.ru", "bk.ru", "list.ru", "inbox.ru", "internet.ru"),
        prepare=(
            "Make a password for external applications in the mailbox's security settings, "
            "https://account.mail.ru/user/2-step-auth/passwords.",
        ),
        advice={
            M.APP_PASSWORD: _MAILRU_APP,
            M.WRONG_PASSWORD: _MAILRU_APP,
            M.WEB_LOGIN: "Open the mailbox at https://e.mail.ru with a browser and confirm the "
            "account.",
        },
        connections=10,
        logins_per_minute=60,
        shortest=60.0,
        sources=(
            "https://help.mail.ru/mail/security/protection/external",
            "https://help.mail.ru/mail/mailer/popsmtp",
        ),
    ),
    Provider(
        name="rambler",
        title="Rambler",
        imap=ProviderServer("imap.rambler.ru"),
        pop3=ProviderServer("pop.rambler.ru", 995),
        hosts=("rambler.ru",),
        domains=("rambler.ru", "lenta.ru", "autorambler.ru", "myrambler.ru", "ro.ru"),
        prepare=('Switch on access for mail programs in the mailbox\'s settings, "Программы".',),
        advice={
            M.PROTOCOL_OFF: "Switch on access for mail programs in the mailbox's settings. See "
            "https://help.rambler.ru/mail/mail-nastrojki-pochtovogo-yashika/2129/",
            M.WRONG_PASSWORD: "See whether access for mail programs is switched on in the "
            "mailbox's settings, and correct the password. See "
            "https://help.rambler.ru/mail/mail-nastrojki-pochtovogo-yashika/2129/",
        },
        connections=5,
        logins_per_minute=30,
        sources=(
            "https://help.rambler.ru/mail/mail-nastrojki-pochtovogo-yashika/2129/",
            "https://help.rambler.ru/mail/mail-pochtovye-klienty/1275/",
        ),
    ),
    Provider(
        name="netease",
        title="NetEase 163",
        imap=ProviderServer("imap.163.com"),
        pop3=ProviderServer("pop.163.com", 995),
        logins=("app-password",),
        hosts=("163.com",),
        domains=("163.com",),
        prepare=(
            "Switch on IMAP or POP3 in the web mail's settings (POP3/SMTP/IMAP), and note the "
            "authorization code (授权码) that it shows: that is the password.",
        ),
        notes=(
            'Without the IMAP command ID it answers "Unsafe Login".',
            "By POP3 and IMAP it shows the last 30 days unless the settings say otherwise.",
        ),
        advice={
            M.APP_PASSWORD: _NETEASE_APP,
            M.WRONG_PASSWORD: _NETEASE_APP,
            M.PROTOCOL_OFF: _NETEASE_APP,
        },
        connections=5,
        logins_per_minute=30,
        sources=("https://help.mail.163.com/", "https://github.com/modern-email/defects/issues/25"),
    ),
    Provider(
        name="netease-126",
        title="NetEase 126",
        imap=ProviderServer("imap.126.com"),
        pop3=ProviderServer("pop.126.com", 995),
        logins=("app-password",),
        hosts=("126.com",),
        domains=("126.com",),
        prepare=(
            "As for 163.com: switch on IMAP or POP3 in the settings; the authorization code is the "
            "password.",
        ),
        advice={
            M.APP_PASSWORD: _NETEASE_APP,
            M.WRONG_PASSWORD: _NETEASE_APP,
            M.PROTOCOL_OFF: _NETEASE_APP,
        },
        connections=5,
        logins_per_minute=30,
        sources=("https://help.mail.163.com/",),
    ),
    Provider(
        name="netease-qiye",
        title="NetEase enterprise mail",
        imap=ProviderServer("imap.qiye.163.com"),
        pop3=ProviderServer("pop.qiye.163.com", 995),
        logins=("app-password",),
        hosts=("qiye.163.com",),
        prepare=(
            "Switch on client passwords in the web mail's settings, and use the one that it makes.",
        ),
        notes=(
            "The administrator may have restricted the addresses that logins come from "
            "(ERR.LOGIN.IPDENY).",
        ),
        advice={M.APP_PASSWORD: _NETEASE_APP, M.WRONG_PASSWORD: _NETEASE_APP},
        connections=5,
        logins_per_minute=30,
        sources=(
            "https://www.topmailsender.com/en/youxiang/"
            "204-wangyi-qiyeyouxiang-netease-enterprise-mailbox",
        ),
    ),
    Provider(
        name="qq",
        title="QQ Mail",
        imap=ProviderServer("imap.qq.com"),
        pop3=ProviderServer("pop.qq.com", 995),
        logins=("app-password",),
        hosts=("qq.com",),
        domains=("qq.com", "foxmail.com"),
        prepare=(
            "Switch on IMAP or POP3 in the web mail's account settings, and use the authorization "
            "code (授权码) that it gives as the password.",
        ),
        advice={
            M.APP_PASSWORD: _QQ_APP,
            M.WRONG_PASSWORD: _QQ_APP,
            M.OFF_OR_PASSWORD: _QQ_APP,
            M.PROTOCOL_OFF: _QQ_APP,
        },
        connections=5,
        logins_per_minute=30,
        sources=(
            "https://service.mail.qq.com/detail/0/75",
            "https://service.mail.qq.com/cgi-bin/help?subtype=1&id=28&no=331",
        ),
    ),
    Provider(
        name="exmail",
        title="Tencent Exmail",
        imap=ProviderServer("imap.exmail.qq.com"),
        pop3=ProviderServer("pop.exmail.qq.com", 995),
        logins=("app-password",),
        hosts=("exmail.qq.com",),
        prepare=(
            "Switch on IMAP or POP3 in the web mail's settings, and make a client password "
            "(客户端专用密码) where the account is bound to WeChat.",
        ),
        advice={
            M.APP_PASSWORD: "Make a client password (客户端专用密码) in the web mail's settings and use "
            "it instead of the account's own. See https://service.exmail.qq.com/"
        },
        connections=5,
        logins_per_minute=30,
        sources=("https://service.exmail.qq.com/",),
    ),
    Provider(
        name="aliyun",
        title="Alibaba Cloud mail",
        imap=ProviderServer("imap.qiye.aliyun.com"),
        pop3=ProviderServer("pop.qiye.aliyun.com", 995),
        logins=("app-password", "password"),
        hosts=("qiye.aliyun.com", "mxhichina.com"),
        prepare=(
            "Allow IMAP or POP3 for the account; where the administrator asks for it, make a "
            "client password.",
        ),
        connections=5,
        logins_per_minute=30,
        sources=("https://help.aliyun.com/document_detail/36576.html",),
    ),
    Provider(
        name="gmx",
        title="GMX",
        imap=ProviderServer("imap.gmx.net"),
        pop3=ProviderServer("pop.gmx.net", 995),
        hosts=("gmx.net",),
        domains=("gmx.net", "gmx.de", "gmx.at", "gmx.ch"),
        prepare=(
            "Allow POP3 and IMAP in the mailbox's settings; with two-factor login make an "
            "application password.",
        ),
        notes=(
            "Free accounts may be locked by frequent logins: an interval of 15 minutes is safe.",
        ),
        advice={
            M.PROTOCOL_OFF: "Allow POP3 and IMAP in the mailbox's settings. See "
            "https://hilfe.gmx.net/pop-imap/einschalten.html",
            M.WRONG_PASSWORD: "Allow POP3 and IMAP in the mailbox's settings, and correct the user "
            "name or the password. See https://hilfe.gmx.net/pop-imap/einschalten.html",
            M.LOCKED: "See https://hilfe.gmx.net/account/gesperrt.html",
        },
        connections=5,
        logins_per_minute=30,
        sources=(
            "https://hilfe.gmx.net/pop-imap/einschalten.html",
            "https://hilfe.gmx.net/account/gesperrt.html",
        ),
    ),
    Provider(
        name="gmx-com",
        title="GMX.com",
        imap=ProviderServer("imap.gmx.com"),
        pop3=ProviderServer("pop.gmx.com", 995),
        hosts=("gmx.com",),
        domains=("gmx.com", "gmx.co.uk", "gmx.us", "gmx.fr", "gmx.es"),
        prepare=("Allow POP3 and IMAP in the mailbox's settings.",),
        advice={
            M.PROTOCOL_OFF: "Allow POP3 and IMAP in the mailbox's settings. See "
            "https://support.gmx.com/pop-imap/toggle.html"
        },
        connections=5,
        logins_per_minute=30,
        sources=("https://support.gmx.com/pop-imap/toggle.html",),
    ),
    Provider(
        name="webde",
        title="WEB.DE",
        imap=ProviderServer("imap.web.de"),
        pop3=ProviderServer("pop3.web.de", 995),
        username="local part",
        hosts=("web.de",),
        domains=("web.de", "email.de"),
        prepare=(
            "Allow POP3 and IMAP in the mailbox's settings; with two-factor login make an "
            "application password.",
        ),
        advice={
            M.PROTOCOL_OFF: "Allow POP3 and IMAP in the mailbox's settings. See "
            "https://hilfe.web.de/pop-imap/einschalten.html",
            M.WRONG_PASSWORD: "Allow POP3 and IMAP in the mailbox's settings, and correct the user "
            "name or the password. See https://hilfe.web.de/pop-imap/einschalten.html",
        },
        connections=5,
        logins_per_minute=30,
        sources=("https://hilfe.web.de/pop-imap/einschalten.html",),
    ),
    Provider(
        name="t-online",
        title="T-Online",
        imap=ProviderServer("secureimap.t-online.de"),
        pop3=ProviderServer("securepop.t-online.de", 995),
        logins=("app-password",),
        hosts=("t-online.de",),
        domains=("t-online.de", "magenta.de"),
        prepare=(
            "Set a password for mail programs in the customer centre; the account's own is "
            "refused.",
        ),
        advice={
            M.WRONG_PASSWORD: "Use the password for mail programs from the customer centre, not "
            "the account's own. See "
            "https://www.telekom.de/hilfe/apps-dienste/e-mail/programme/passwort-verwalten"
        },
        connections=5,
        logins_per_minute=30,
        sources=(
            "https://www.telekom.de/hilfe/apps-dienste/e-mail/einstellungen/"
            "posteingang-postausgang-server",
            "https://www.telekom.de/hilfe/apps-dienste/e-mail/programme/passwort-verwalten",
        ),
    ),
    Provider(
        name="ionos",
        title="IONOS",
        imap=ProviderServer("imap.ionos.de"),
        pop3=ProviderServer("pop.ionos.de", 995),
        hosts=("ionos.de", "ionos.com", "1und1.de"),
        domains=("online.de",),
        sources=("https://hilfe-center.1und1.de/e-mail-einstellungen",),
    ),
    Provider(
        name="strato",
        title="STRATO",
        imap=ProviderServer("imap.strato.de"),
        pop3=ProviderServer("pop3.strato.de", 995),
        hosts=("strato.de",),
        sources=(
            "https://www.strato.de/faq/mail/"
            "externes-e-mail-programm-mit-strato-e-mail-adresse-nutzen/",
        ),
    ),
    Provider(
        name="posteo",
        title="Posteo",
        imap=ProviderServer("posteo.de"),
        pop3=ProviderServer("posteo.de", 995),
        hosts=("posteo.de",),
        domains=("posteo.de",),
        prepare=("With two-factor login make an app password in the settings.",),
        sources=(
            "https://posteo.de/hilfe/"
            "wie-richte-ich-posteo-in-einem-mailprogramm-ein-pop3-imap-und-smtp",
        ),
    ),
    Provider(
        name="zoho",
        title="Zoho Mail",
        imap=ProviderServer("imap.zoho.com"),
        pop3=ProviderServer("pop.zoho.com", 995),
        logins=("app-password",),
        hosts=("zoho.com",),
        domains=("zoho.com", "zohomail.com"),
        prepare=(
            'Switch on IMAP or POP in Zoho Mail\'s settings, "Mail Accounts".',
            "With multi-factor login make an application-specific password.",
        ),
        notes=(
            "Accounts of other regions have hosts of their own: imap.zoho.eu, imap.zoho.in, "
            "imap.zoho.com.au, imap.zoho.jp; accounts of own domains imappro.zoho.com: write "
            "`host` beside `provider`.",
        ),
        advice={
            M.PROTOCOL_OFF: 'Switch on {protocol} in Zoho Mail\'s settings, "Mail Accounts"; the '
            "organisation's policy has to allow it. See "
            "https://www.zoho.com/mail/help/imap-access.html",
            M.APP_PASSWORD: "Make an application-specific password in the Zoho account and use it "
            "instead of the account's own. See "
            "https://www.zoho.com/mail/help/adminconsole/two-factor-authentication.html",
        },
        sources=(
            "https://www.zoho.com/mail/help/imap-access.html",
            "https://www.zoho.com/mail/help/pop-access.html",
        ),
    ),
    Provider(
        name="fastmail",
        title="Fastmail",
        imap=ProviderServer("imap.fastmail.com"),
        pop3=ProviderServer("pop.fastmail.com", 995),
        logins=("app-password",),
        hosts=("fastmail.com",),
        domains=("fastmail.com", "fastmail.fm"),
        prepare=(
            'Make an app password in the settings, "Privacy & Security", "Manage app passwords".',
        ),
        advice={
            M.APP_PASSWORD: "Make an app password in Fastmail's settings and use it instead of the "
            "account's own. See https://www.fastmail.help/hc/en-us/articles/360058752854",
            M.WRONG_PASSWORD: "Make an app password in Fastmail's settings and use it instead of "
            "the account's own. See https://www.fastmail.help/hc/en-us/articles/360058752854",
        },
        sources=(
            "https://www.fastmail.help/hc/en-us/articles/1500000278342",
            "https://www.fastmail.help/hc/en-us/articles/360058752854",
        ),
    ),
    Provider(
        name="proton-bridge",
        title="Proton Mail Bridge",
        imap=ProviderServer("127.0.0.1", 1143, "starttls"),
        logins=("app-password",),
        domains=("proton.me", "protonmail.com", "pm.me"),
        prepare=(
            "Run Proton Mail Bridge on this machine, and use the user name and the password that "
            "it shows.",
            "Its certificate is its own: put its SHA-256 into `source.fingerprint`.",
        ),
        notes=("There is no POP3.",),
        sources=("https://proton.me/support/imap-smtp-and-pop3-setup",),
    ),
    Provider(
        name="davmail",
        title="DavMail",
        imap=ProviderServer("127.0.0.1", 1143, "none"),
        pop3=ProviderServer("127.0.0.1", 1110, "none"),
        prepare=("Run DavMail on this machine beside an Exchange or Microsoft 365 account.",),
        notes=("It answers slowly, as Exchange does.",),
        sources=("https://davmail.sourceforge.net/serversetup.html",),
    ),
    Provider(
        name="orange",
        title="Orange",
        imap=ProviderServer("imap.orange.fr"),
        pop3=ProviderServer("pop.orange.fr", 995),
        hosts=("orange.fr",),
        domains=("orange.fr", "wanadoo.fr"),
        sources=(
            "https://assistance.orange.fr/ordinateurs-peripheriques/installer-et-utiliser/"
            "l-utilisation-du-mail-et-du-cloud/mail-orange",
        ),
    ),
    Provider(
        name="free",
        title="Free",
        imap=ProviderServer("imap.free.fr"),
        pop3=ProviderServer("pop.free.fr", 995),
        username="local part",
        hosts=("free.fr",),
        domains=("free.fr",),
        sources=(
            "https://assistance.free.fr/articles/"
            "configurer-de-maniere-avancee-mon-logiciel-de-messagerie-609",
        ),
    ),
    Provider(
        name="laposte",
        title="La Poste",
        imap=ProviderServer("imap.laposte.net"),
        pop3=ProviderServer("pop.laposte.net", 995),
        username="local part",
        hosts=("laposte.net",),
        domains=("laposte.net",),
        sources=("http://aide.laposte.net/",),
    ),
    Provider(
        name="libero",
        title="Libero",
        imap=ProviderServer("imapmail.libero.it"),
        pop3=ProviderServer("popmail.libero.it", 995),
        hosts=("libero.it",),
        domains=("libero.it", "iol.it", "inwind.it"),
        prepare=("With the two-step login, make a password for mail programs in the account.",),
        sources=(
            "https://aiuto.libero.it/articolo/mail/"
            "parametri-di-configurazione-per-il-client-di-posta/",
        ),
    ),
    Provider(
        name="ovh",
        title="OVH",
        imap=ProviderServer("ssl0.ovh.net"),
        pop3=ProviderServer("ssl0.ovh.net", 995),
        hosts=("ovh.net",),
        sources=("http://guides.ovh.com/ConfigurationEmail",),
    ),
    Provider(
        name="gandi",
        title="Gandi",
        imap=ProviderServer("mail.gandi.net"),
        pop3=ProviderServer("mail.gandi.net", 995),
        hosts=("gandi.net",),
        domains=("gandi.net",),
        sources=("http://wiki.gandi.net/en/mail/standard-settings",),
    ),
    Provider(
        name="seznam",
        title="Seznam",
        imap=ProviderServer("imap.seznam.cz"),
        pop3=ProviderServer("pop3.seznam.cz", 995),
        hosts=("seznam.cz",),
        domains=("seznam.cz", "email.cz", "post.cz"),
        prepare=(
            "Allow IMAP or POP3 in the mailbox's settings; with two-step login make an app "
            "password.",
        ),
        sources=("https://napoveda.seznam.cz/cz/email/imap-pop3-smtp/",),
    ),
    Provider(
        name="wp",
        title="Poczta WP",
        imap=ProviderServer("imap.wp.pl"),
        pop3=ProviderServer("pop3.wp.pl", 995),
        username="local part",
        hosts=("wp.pl",),
        domains=("wp.pl",),
        prepare=("Allow mail programs in the mailbox's settings.",),
        sources=("http://poczta.wp.pl/info-pomoc-konfig.html?action=more&id=157",),
    ),
    Provider(
        name="o2pl",
        title="Poczta o2",
        imap=ProviderServer("poczta.o2.pl"),
        pop3=ProviderServer("poczta.o2.pl", 995),
        username="local part",
        hosts=("poczta.o2.pl",),
        domains=("o2.pl", "go2.pl", "tlen.pl"),
        prepare=("Allow mail programs in the mailbox's settings.",),
        advice={
            M.PROTOCOL_OFF: "Allow mail programs in the mailbox's settings. See "
            "https://pomoc.o2.pl/aktywacja-dostepu-dla-programow-pocztowych"
        },
        sources=(
            "https://pomoc.o2.pl/jak-skonfigurowac-program-pocztowy",
            "https://pomoc.o2.pl/aktywacja-dostepu-dla-programow-pocztowych",
        ),
    ),
    Provider(
        name="naver",
        title="Naver",
        imap=ProviderServer("imap.naver.com"),
        pop3=ProviderServer("pop.naver.com", 995),
        username="local part",
        logins=("app-password", "password"),
        hosts=("naver.com",),
        domains=("naver.com",),
        prepare=(
            "Allow IMAP/SMTP or POP3/SMTP in the mailbox's settings; with two-step login make an "
            "application password.",
        ),
        sources=("https://help.naver.com/service/30029/contents/21342",),
    ),
    Provider(
        name="daum",
        title="Daum",
        imap=ProviderServer("imap.daum.net"),
        pop3=ProviderServer("pop.daum.net", 995),
        hosts=("daum.net",),
        domains=("daum.net", "hanmail.net"),
        prepare=("Allow IMAP or POP3 in the mailbox's settings.",),
        sources=("https://cs.daum.net/faq/43/9234.html",),
    ),
)

OAUTH2: Mapping[str, Endpoints] = {
    # no device URL: Google does not offer the scope of mail to devices
    "google": Endpoints(
        "https://oauth2.googleapis.com/token",
        "https://accounts.google.com/o/oauth2/v2/auth",
        imap="https://mail.google.com/",
        pop3="https://mail.google.com/",
    ),
    "microsoft": Endpoints(
        "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
        imap="https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
        pop3="https://outlook.office.com/POP.AccessAsUser.All offline_access",
        loopback="localhost",
    ),  # 127.0.0.1 would need a registered port
    "yandex": Endpoints(
        "https://oauth.yandex.ru/token",
        "https://oauth.yandex.ru/authorize",
        "https://oauth.yandex.ru/device/code",
    ),  # scopes are registered with the application
    "mailru": Endpoints(
        "https://oauth.mail.ru/token",
        "https://oauth.mail.ru/login",
        imap="mail.imap",
        pop3="mail.imap",
    ),
}
"""The endpoints by the values of `source.oauth2.provider`. Sources:
developers.google.com/identity/protocols/oauth2, learn.microsoft.com/entra/identity-platform,
yandex.ru/dev/id/doc, help.mail.ru/developers/oauth."""

IMAP_ONLY = tuple(provider.name for provider in PROVIDERS if provider.pop3 is None)
NAMES = tuple(provider.name for provider in PROVIDERS)
_BY_NAME = {provider.name: provider for provider in PROVIDERS}
_BY_HOST = {host: provider for provider in PROVIDERS for host in provider.hosts}
_BY_DOMAIN = {domain: provider for provider in PROVIDERS for domain in provider.domains}
_ALSO = {
    "google": "gmail",
    "googlemail": "gmail",
    "googleworkspace": "gmail",
    "gsuite": "gmail",
    "hotmail": "outlook",
    "live": "outlook",
    "msn": "outlook",
    "office365": "microsoft365",
    "o365": "microsoft365",
    "m365": "microsoft365",
    "microsoft": "microsoft365",
    "exchangeonline": "microsoft365",
    "ymail": "yahoo",
    "apple": "icloud",
    "163": "netease",
    "126": "netease-126",
    "tencent": "qq",
    "foxmail": "qq",
    "alibaba": "aliyun",
    "telekom": "t-online",
    "1und1": "ionos",
    "proton": "proton-bridge",
    "protonmail": "proton-bridge",
    "protonbridge": "proton-bridge",
    "o2": "o2pl",
    "hanmail": "daum",
}
"""Other names of providers, with letters and digits only."""


def provider_named(name: str) -> Provider | None:
    """Return the provider with this value of `source.provider`, or None."""
    return _BY_NAME.get(name)


def guess_provider(text: str) -> Provider | None:
    """Return the provider that a person means, or None.

    The text may be its name in any spelling, another name, a mail address or a domain.
    """
    word = text.strip().casefold()
    domain = word.rpartition("@")[2]
    plain = "".join(letter for letter in word if letter.isalnum())
    for provider in PROVIDERS:
        if plain in {
            "".join(filter(str.isalnum, name.casefold()))
            for name in (provider.name, provider.title)
        }:
            return provider
    return (
        provider_named(_ALSO.get(plain, ""))
        or _BY_DOMAIN.get(domain)
        or (provider_of_host(domain) if "." in domain else None)
    )


def provider_of_host(host: str) -> Provider | None:
    """Return the provider of a server, judging by the host's name, or None."""
    domain = host.lower().rstrip(".")
    while domain:
        if domain in _BY_HOST:
            return _BY_HOST[domain]
        domain = domain.partition(".")[2]
    return None
