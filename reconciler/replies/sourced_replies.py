"""The table of servers' sentences and their meanings.

Each row names the public page that shows the words. Rows without a page follow from the language
alone. `says` is compared in lower case, anywhere in a reply, from the beginning of a word; `*`
stands for any text in between. The first row that fits counts, so the more specific ones come
first. Words with several possible meanings are left out: such a reply stays without a meaning.

One file: a table whose order counts.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.refusal_meaning import Meaning as M

_ISSUES = "https://github.com/"
_PLAIN = ""
"""Instead of a page: the words have this meaning from any server, and no page shows them."""
_SYNC = "https://github.com/closeio/sync-engine/blob/33a5453a2f448ed942ca8c432cb19d20e05cd191/"
_MAILCORE = "https://github.com/MailCore/mailcore2/blob/master/src/core/imap/MCIMAPSession.cpp"
_DOVECOT = "https://github.com/dovecot/core/blob/main/src/"
_FETCHMAIL = "https://gitlab.com/fetchmail/fetchmail/-/blob/legacy_6x/"
_MICROSOFT = "https://learn.microsoft.com/exchange/"
_QQ = "https://service.mail.qq.com/detail/0/75"
_COREMAIL = "https://github.com/modern-email/defects/issues/25"


class SourcedReply(NamedTuple):
    """One row of the table."""

    says: str
    meaning: M
    source: str
    """The page that shows the words; "" for plain words."""
    provider: str = ""
    """The only provider with these words, by its name in `model.known_providers`; "" for others."""


REPLIES: tuple[SourcedReply, ...] = (
    # Gmail and Google Workspace
    SourcedReply(
        "application-specific password required",
        M.APP_PASSWORD,
        _ISSUES + "LukeSmithxyz/mutt-wizard/issues/831",
    ),
    SourcedReply(
        "invalidsecondfactor", M.APP_PASSWORD, _ISSUES + "bberkay/openmail/issues/1", "gmail"
    ),
    SourcedReply("not enabled for imap use", M.PROTOCOL_OFF, _MAILCORE),
    SourcedReply(
        "not enabled for pop access",
        M.PROTOCOL_OFF,
        "https://support.google.com/mail/answer/7104828",
    ),
    SourcedReply("imap access is disabled", M.PROTOCOL_OFF, _SYNC + "inbox/auth/utils.py"),
    SourcedReply(
        "pop access is disabled", M.PROTOCOL_OFF, "https://support.google.com/a/answer/105694"
    ),
    SourcedReply(
        "account exceeded * bandwidth limit",
        M.BANDWIDTH,
        "https://support.google.com/a/answer/1071518",
        "gmail",
    ),
    SourcedReply("bandwidth limit", M.BANDWIDTH, _MAILCORE),
    SourcedReply(
        "too many simultaneous connections", M.CONNECTIONS, _ISSUES + "zone-eu/wildduck/issues/35"
    ),
    SourcedReply(
        "web login required", M.WEB_LOGIN, "https://support.google.com/mail/answer/78754", "gmail"
    ),
    SourcedReply(
        "please log in via your web browser",
        M.WEB_LOGIN,
        _ISSUES + "lovelysystems/robotframework-imaplibrary/issues/23",
        "gmail",
    ),
    SourcedReply(
        "lookup failed",
        M.PROTOCOL_OFF,
        "https://github.com/nylas/sync-engine/blob/master/inbox/auth/gmail.py",
        "gmail",
    ),
    SourcedReply(
        "username and password not accepted",
        M.WRONG_PASSWORD,
        "https://support.google.com/mail/answer/7126229",
    ),
    # Outlook.com, Microsoft 365, Exchange
    SourcedReply(
        "basic authentication is disabled", M.OAUTH2, _ISSUES + "holon-run/uxc/issues/445"
    ),
    SourcedReply(
        "basicauthblocked",
        M.OAUTH2,
        _MICROSOFT + "clients-and-mobile-in-exchange-online/"
        "deprecation-of-basic-authentication-exchange-online",
    ),
    SourcedReply(
        "authentication unsuccessful, the user credentials were incorrect",
        M.WRONG_PASSWORD,
        _MICROSOFT + "troubleshoot/email-delivery/send-email-problems",
    ),
    SourcedReply(
        "account is blocked. login to your account via a web browser",
        M.WEB_LOGIN,
        _ISSUES + "mscdex/node-imap/issues/799",
        "outlook",
    ),
    SourcedReply("login to your account via a web browser", M.WEB_LOGIN, _MAILCORE),
    SourcedReply(
        "user is authenticated but not connected",
        M.NOT_CONNECTED,
        "https://imapsync.lamiral.info/FAQ.d/FAQ.Exchange.txt",
    ),
    SourcedReply(
        "request is throttled", M.THROTTLED, "https://imapsync.lamiral.info/FAQ.d/FAQ.Office365.txt"
    ),
    SourcedReply(
        "suggested backoff time",
        M.THROTTLED,
        "https://imapsync.lamiral.info/FAQ.d/FAQ.Office365.txt",
    ),
    SourcedReply("exceeded the login limit", M.THROTTLED, _ISSUES + "frappe/frappe/issues/242"),
    SourcedReply("server unavailable", M.TEMPORARY, _ISSUES + "lefcha/imapfilter/issues/146"),
    SourcedReply("session invalidated", M.TEMPORARY, _ISSUES + "postalsys/imapflow/issues/127"),
    SourcedReply("accesstokenexpired", M.TEMPORARY, _ISSUES + "postalsys/imapflow/issues/127"),
    SourcedReply(
        "mailboxcrosssitefailover",
        M.TEMPORARY,
        _MICROSOFT + "clients/pop3-and-imap4/pop3-and-imap4",
    ),
    SourcedReply(
        "mapiexceptionlogonfailed",
        M.NOT_CONNECTED,
        _MICROSOFT + "clients/pop3-and-imap4/pop3-and-imap4",
    ),
    SourcedReply(
        "logon failure: unknown user name or bad password",
        M.WRONG_PASSWORD,
        _ISSUES + "ditesh/node-poplib/issues/34",
    ),
    # Yahoo, AOL
    SourcedReply("rate limit hit", M.THROTTLED, _ISSUES + "postalsys/imapflow/issues/75"),
    SourcedReply("ocf12", M.TEMPORARY, _MAILCORE, "yahoo"),
    SourcedReply("mbr1240", M.WEB_LOGIN, "https://help.yahoo.com/kb/SLN4075.html", "yahoo"),
    SourcedReply(
        "pop not allowed for user",
        M.PROTOCOL_OFF,
        "https://help.yahoo.com/kb/SLN4724.html",
        "yahoo",
    ),
    SourcedReply(
        "please verify your account by going to",
        M.WEB_LOGIN,
        "https://help.yahoo.com/kb/SLN4075.html",
    ),
    # Yandex
    SourcedReply(
        "invalid credentials or imap is disabled",
        M.OFF_OR_PASSWORD,
        _ISSUES + "Foundry376/Mailspring/issues/2111",
        "yandex",
    ),
    SourcedReply(
        "login failure or pop3 disabled",
        M.OFF_OR_PASSWORD,
        "https://yandex.com/support/yandex-360/customers/mail/en/mail-clients/others",
        "yandex",
    ),
    SourcedReply(
        "does not have access rights to this service",
        M.PROTOCOL_OFF,
        "https://yandex.com/support/yandex-360/customers/mail/en/mail-clients/others",
        "yandex",
    ),
    SourcedReply(
        "please accept eula",
        M.TERMS,
        "https://yandex.ru/support/mail/mail-clients/others.html",
        "yandex",
    ),
    SourcedReply(
        "account has been temporarily restricted",
        M.WEB_LOGIN,
        _ISSUES + "mscdex/node-imap/issues/782",
    ),
    # Mail.ru, Rambler
    SourcedReply(
        "neobhodim parol prilozheniya",
        M.APP_PASSWORD,
        _ISSUES + "thunderbird/thunderbird-android/issues/9069",
        "mailru",
    ),
    SourcedReply(
        "application password is required",
        M.APP_PASSWORD,
        _ISSUES + "lmanukyan/print-designer/issues/5",
    ),
    SourcedReply(
        "aplication password is required",
        M.APP_PASSWORD,
        _ISSUES + "thunderbird/thunderbird-android/issues/9069",
    ),
    SourcedReply(
        "необходим пароль приложения",
        M.APP_PASSWORD,
        "https://help.mail.ru/mail/security/protection/external",
    ),
    SourcedReply(
        "пароль для внешнего приложения",
        M.APP_PASSWORD,
        "https://help.mail.ru/mail/security/protection/external",
    ),
    SourcedReply(
        "доступ с помощью почтовых клиентов",
        M.PROTOCOL_OFF,
        "https://help.rambler.ru/mail/mail-nastrojki-pochtovogo-yashika/2129/",
    ),
    SourcedReply(
        "примите * соглашение", M.TERMS, "https://yandex.ru/support/mail/mail-clients/others.html"
    ),
    # NetEase (163, 126, yeah.net), Coremail
    SourcedReply("unsafe login", M.IDENTIFY, _COREMAIL, "netease"),
    SourcedReply(
        "err.login.reqcode",
        M.APP_PASSWORD,
        (
            "https://help.mail.163.com/"
            "faqDetail.do?code=d7a5dc8471cd0c0e8b4b8f4f8e49998b374173cfe9171305fa1ce630d7f67ac2"
        ),
    ),  # an address
    SourcedReply(
        "err.login.ipdeny",
        M.BLOCKED,
        (
            "https://www.topmailsender.com/en/youxiang/"
            "204-wangyi-qiyeyouxiang-netease-enterprise-mailbox"
        ),
    ),
    SourcedReply(
        "err.login.userstatus",
        M.LOCKED,
        (
            "https://www.topmailsender.com/en/youxiang/"
            "204-wangyi-qiyeyouxiang-netease-enterprise-mailbox"
        ),
    ),
    SourcedReply("err.login.passerr", M.WRONG_PASSWORD, _PLAIN),
    SourcedReply("err.login.usersusp", M.LOCKED, _PLAIN),
    SourcedReply(
        "err.login.systembusy",
        M.TEMPORARY,
        (
            "https://www.topmailsender.com/en/youxiang/"
            "204-wangyi-qiyeyouxiang-netease-enterprise-mailbox"
        ),
    ),
    SourcedReply(
        "login error or password error", M.WRONG_PASSWORD, _SYNC + "tests/auth/test_utils.py"
    ),
    SourcedReply(
        "login login error password error", M.WRONG_PASSWORD, _SYNC + "tests/auth/test_utils.py"
    ),
    SourcedReply("授权码", M.APP_PASSWORD, _QQ),
    SourcedReply("授權碼", M.APP_PASSWORD, _QQ),
    SourcedReply("客户端专用密码", M.APP_PASSWORD, _QQ),
    SourcedReply("过于频繁", M.THROTTLED, _ISSUES + "zhangyunhao116/zmail/issues/30"),
    SourcedReply("太频繁", M.THROTTLED, _ISSUES + "zhangyunhao116/zmail/issues/30"),
    SourcedReply("过频", M.THROTTLED, _ISSUES + "zhangyunhao116/zmail/issues/30"),
    SourcedReply("频率过高", M.THROTTLED, _ISSUES + "zhangyunhao116/zmail/issues/30"),
    SourcedReply("頻繁", M.THROTTLED, _ISSUES + "zhangyunhao116/zmail/issues/30"),
    SourcedReply("服务未开启", M.PROTOCOL_OFF, _QQ),
    SourcedReply("未开启", M.PROTOCOL_OFF, _QQ),
    SourcedReply("未开通", M.PROTOCOL_OFF, _QQ),
    # QQ, Tencent exmail
    SourcedReply(
        "using authorized code to login", M.APP_PASSWORD, _SYNC + "inbox/auth/utils.py", "qq"
    ),
    SourcedReply("use the authorization code", M.APP_PASSWORD, _QQ),
    SourcedReply(
        "authorized code is incorrect", M.APP_PASSWORD, _SYNC + "inbox/auth/utils.py", "qq"
    ),
    SourcedReply(
        "please using weixin token", M.APP_PASSWORD, _SYNC + "inbox/auth/utils.py", "exmail"
    ),
    SourcedReply("account is abnormal, service is not open", M.OFF_OR_PASSWORD, _QQ, "qq"),
    SourcedReply("login frequency limited", M.THROTTLED, _QQ, "qq"),
    SourcedReply("download exceed", M.BANDWIDTH, _ISSUES + "jstedfast/MailKit/issues/1320"),
    SourcedReply("system is busy", M.TEMPORARY, _QQ),
    # Zoho, iMail, GMX, web.de, T-Online, Purelymail, Proton
    SourcedReply("yet to enable imap", M.PROTOCOL_OFF, _SYNC + "tests/auth/test_utils.py", "zoho"),
    SourcedReply(
        "yet to enable pop",
        M.PROTOCOL_OFF,
        "https://www.zoho.com/mail/help/pop-access.html",
        "zoho",
    ),
    SourcedReply(
        "full imap support is not enabled", M.PROTOCOL_OFF, _ISSUES + "nylas/nylas-mail/issues/2306"
    ),
    SourcedReply(
        "please create an app password",
        M.APP_PASSWORD,
        _ISSUES + "Purelymail/purelymail-issues/issues/337",
    ),
    SourcedReply(
        "pop3/imap * nicht aktiviert",
        M.PROTOCOL_OFF,
        "https://hilfe.gmx.net/pop-imap/einschalten.html",
    ),
    SourcedReply(
        "imap * nicht freigeschaltet",
        M.PROTOCOL_OFF,
        "https://hilfe.web.de/pop-imap/einschalten.html",
    ),
    SourcedReply(
        "pop3 * nicht freigeschaltet",
        M.PROTOCOL_OFF,
        "https://hilfe.web.de/pop-imap/einschalten.html",
    ),
    SourcedReply(
        "login vorübergehend nicht möglich",
        M.THROTTLED,
        "https://hilfe.gmx.net/account/gesperrt.html",
    ),
    SourcedReply("später * versuchen", M.LATER, "https://hilfe.gmx.net/account/gesperrt.html"),
    SourcedReply("später erneut", M.LATER, "https://hilfe.gmx.net/account/gesperrt.html"),
    SourcedReply("ip-adresse * gesperrt", M.BLOCKED, "https://hilfe.gmx.net/account/gesperrt.html"),
    SourcedReply("app-passwort", M.APP_PASSWORD, "https://posteo.de/hilfe"),
    SourcedReply(
        "too many recent logins",
        M.THROTTLED,
        _ISSUES + "opulentfox-29/protonmail-api-client/issues/51",
    ),
    # French, Spanish, Italian, Polish, Czech, Japanese, Korean
    SourcedReply(
        "mot de passe d'application", M.APP_PASSWORD, _ISSUES + "xdubois-57/scoutmagic/pull/197"
    ),
    SourcedReply(
        "contraseña de aplicación",
        M.APP_PASSWORD,
        "https://support.google.com/accounts/answer/185833?hl=es",
    ),
    SourcedReply(
        "dostęp * wyłączony",
        M.PROTOCOL_OFF,
        "https://pomoc.o2.pl/aktywacja-dostepu-dla-programow-pocztowych",
    ),
    SourcedReply(
        "アプリパスワード",
        M.APP_PASSWORD,
        "https://support.google.com/accounts/answer/185833?hl=ja",
    ),
    SourcedReply(
        "pop/imap * 사용 안함",
        M.PROTOCOL_OFF,
        "https://help.naver.com/service/30029/contents/21342",
    ),
    SourcedReply(
        "애플리케이션 비밀번호",
        M.APP_PASSWORD,
        "https://help.naver.com/service/30029/contents/21344",
    ),
    # Servers: Dovecot, Courier, Cyrus, UW, Domino, GroupWise, hMailServer, MDaemon, Kerio,
    # SmarterMail, qpopper
    SourcedReply(
        "maximum number of connections", M.CONNECTIONS, _ISSUES + "mscdex/node-imap/issues/606"
    ),
    SourcedReply(
        "temporary authentication failure",
        M.TEMPORARY,
        _DOVECOT + "login-common/client-common-auth.c",
    ),
    SourcedReply("internal error occurred", M.TEMPORARY, _DOVECOT + "lib-storage/mail-storage.h"),
    SourcedReply("internal server error", M.TEMPORARY, _ISSUES + "emersion/go-imap/issues/436"),
    SourcedReply("mailbox is locked by another session", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply("is already locked", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply("already locked by", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply(
        "maildrop already locked", M.IN_USE, "https://www.rfc-editor.org/rfc/rfc1939#section-4"
    ),
    SourcedReply(
        "unable to lock maildrop", M.IN_USE, "https://www.rfc-editor.org/rfc/rfc1939#section-4"
    ),
    SourcedReply("unable to lock mailbox", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply("can't get lock", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply("lock busy", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply("is your mailbox locked", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply("is being used by another", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply("another pop3 session", M.IN_USE, _FETCHMAIL + "pop3.c"),
    SourcedReply(
        "mailbox * in use", M.IN_USE, "https://www.rfc-editor.org/rfc/rfc2449#section-8.1.2"
    ),
    SourcedReply(
        "server error: failed to fetch messages",
        M.TEMPORARY,
        _ISSUES + "hmailserver/hmailserver/pull/594",
    ),
    SourcedReply(
        "country is blacklisted", M.BLOCKED, "https://imapsync.lamiral.info/FAQ.d/FAQ.OnlineUI.txt"
    ),
    SourcedReply(
        "login denied * country", M.BLOCKED, "https://imapsync.lamiral.info/FAQ.d/FAQ.OnlineUI.txt"
    ),
    SourcedReply("imap is disabled", M.PROTOCOL_OFF, _ISSUES + "imapsync/imapsync/issues/60"),
    SourcedReply("imap disabled", M.PROTOCOL_OFF, _ISSUES + "imapsync/imapsync/issues/60"),
    SourcedReply("pop3 is disabled", M.PROTOCOL_OFF, _ISSUES + "imapsync/imapsync/issues/60"),
    SourcedReply("pop3 disabled", M.PROTOCOL_OFF, _ISSUES + "imapsync/imapsync/issues/60"),
    SourcedReply("pop is disabled", M.PROTOCOL_OFF, "https://support.google.com/a/answer/105694"),
    # Words that many servers share
    SourcedReply("mailbox is locked", M.IN_USE, _PLAIN),
    SourcedReply("mailbox locked", M.IN_USE, _PLAIN),
    SourcedReply("app-specific password", M.APP_PASSWORD, "https://support.apple.com/102654"),
    SourcedReply(
        "application specific password",
        M.APP_PASSWORD,
        "https://support.google.com/accounts/answer/185833",
    ),
    SourcedReply(
        "app password required",
        M.APP_PASSWORD,
        "https://www.fastmail.help/hc/en-us/articles/360058752854",
    ),
    SourcedReply(
        "must use an app password",
        M.APP_PASSWORD,
        "https://www.fastmail.help/hc/en-us/articles/360058752854",
    ),
    SourcedReply(
        "requires an app password",
        M.APP_PASSWORD,
        "https://www.fastmail.help/hc/en-us/articles/360058752854",
    ),
    SourcedReply(
        "please use an app password",
        M.APP_PASSWORD,
        "https://www.fastmail.help/hc/en-us/articles/360058752854",
    ),
    SourcedReply("less secure app", M.OAUTH2, "https://support.google.com/accounts/answer/6010255"),
    SourcedReply(
        "oauth * required",
        M.OAUTH2,
        "https://learn.microsoft.com/exchange/client-developer/"
        "legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth",
    ),
    SourcedReply(
        "modern authentication",
        M.OAUTH2,
        _MICROSOFT + "clients-and-mobile-in-exchange-online/"
        "enable-or-disable-modern-authentication-in-exchange-online",
    ),
    SourcedReply(
        "password has expired",
        M.PASSWORD_EXPIRED,
        "https://www.rfc-editor.org/rfc/rfc5530#section-3",
    ),
    SourcedReply(
        "password expired", M.PASSWORD_EXPIRED, "https://www.rfc-editor.org/rfc/rfc5530#section-3"
    ),
    SourcedReply(
        "password is expired",
        M.PASSWORD_EXPIRED,
        "https://www.rfc-editor.org/rfc/rfc5530#section-3",
    ),
    SourcedReply(
        "password must be changed",
        M.PASSWORD_EXPIRED,
        "https://www.rfc-editor.org/rfc/rfc5530#section-3",
    ),
    SourcedReply("too many login", M.THROTTLED, _ISSUES + "jordan-wright/email/issues/99"),
    SourcedReply("too many failed", M.THROTTLED, _ISSUES + "nextcloud/mail/issues/9156"),
    SourcedReply("too many auth", M.THROTTLED, _ISSUES + "nextcloud/mail/issues/9156"),
    SourcedReply("too many connections", M.CONNECTIONS, _ISSUES + "MailCore/mailcore2/issues/587"),
    SourcedReply("too many concurrent", M.CONNECTIONS, _ISSUES + "MailCore/mailcore2/issues/587"),
    SourcedReply("too many sessions", M.CONNECTIONS, _ISSUES + "MailCore/mailcore2/issues/587"),
    SourcedReply("connection limit", M.CONNECTIONS, _ISSUES + "mscdex/node-imap/issues/606"),
    SourcedReply("login limit", M.THROTTLED, _ISSUES + "frappe/frappe/issues/242"),
    SourcedReply("rate limit", M.THROTTLED, _ISSUES + "postalsys/imapflow/issues/75"),
    SourcedReply("rate-limit", M.THROTTLED, _ISSUES + "postalsys/imapflow/issues/75"),
    SourcedReply("rate exceeded", M.THROTTLED, _ISSUES + "postalsys/imapflow/issues/75"),
    SourcedReply("throttl", M.THROTTLED, "https://imapsync.lamiral.info/FAQ.d/FAQ.Office365.txt"),
    SourcedReply(
        "back-off time", M.THROTTLED, "https://imapsync.lamiral.info/FAQ.d/FAQ.Office365.txt"
    ),
    SourcedReply("logging in too often", M.THROTTLED, _ISSUES + "frappe/frappe/issues/242"),
    SourcedReply(
        "minimum * between logins",
        M.THROTTLED,
        "https://www.rfc-editor.org/rfc/rfc2449#section-6.5",
    ),
    SourcedReply("login attempts exceeded", M.THROTTLED, _ISSUES + "nextcloud/mail/issues/9156"),
    SourcedReply("slow down", M.THROTTLED, _ISSUES + "lefcha/imapfilter/issues/146"),
    SourcedReply("download quota", M.BANDWIDTH, "https://support.google.com/a/answer/1071518"),
    SourcedReply(
        "bandwidth * exceeded", M.BANDWIDTH, "https://support.google.com/a/answer/1071518"
    ),
    SourcedReply("over quota", M.OVER_QUOTA, "https://www.rfc-editor.org/rfc/rfc5530#section-3"),
    SourcedReply(
        "quota exceeded", M.OVER_QUOTA, "https://www.rfc-editor.org/rfc/rfc5530#section-3"
    ),
    SourcedReply(
        "mailbox is full", M.OVER_QUOTA, "https://www.rfc-editor.org/rfc/rfc5530#section-3"
    ),
    SourcedReply("ip * blocked", M.BLOCKED, "https://hilfe.gmx.net/account/gesperrt.html"),
    SourcedReply("terms of * accept", M.TERMS, "https://help.yahoo.com/kb/SLN4075.html"),
    SourcedReply("accept * terms", M.TERMS, "https://help.yahoo.com/kb/SLN4075.html"),
    SourcedReply("temporarily unavailable", M.TEMPORARY, _MAILCORE),
    SourcedReply("temporary system", M.TEMPORARY, "https://support.google.com/mail/answer/7126229"),
    SourcedReply("temporary failure", M.TEMPORARY, _DOVECOT + "login-common/client-common-auth.c"),
    SourcedReply("temporary problem", M.TEMPORARY, _FETCHMAIL + "pop3.c"),
    SourcedReply("try again later", M.LATER, "https://help.yahoo.com/kb/SLN4075.html"),
    SourcedReply("try later", M.LATER, "https://help.yahoo.com/kb/SLN4075.html"),
    SourcedReply("service unavailable", M.TEMPORARY, _MAILCORE),
    SourcedReply(
        "service not available", M.TEMPORARY, "https://www.rfc-editor.org/rfc/rfc5321#section-4.2.2"
    ),
    SourcedReply("backend * down", M.TEMPORARY, _DOVECOT + "login-common/login-proxy.c"),
    SourcedReply(
        "invalid credentials", M.WRONG_PASSWORD, _ISSUES + "andreiaugustin/gmail_extractor/issues/4"
    ),
    SourcedReply("invalid login or password", M.WRONG_PASSWORD, _SYNC + "tests/auth/test_utils.py"),
    SourcedReply(
        "incorrect username or password", M.WRONG_PASSWORD, _SYNC + "tests/auth/test_utils.py"
    ),
    SourcedReply("incorrect password", M.WRONG_PASSWORD, _SYNC + "tests/auth/test_utils.py"),
    SourcedReply("login incorrect", M.WRONG_PASSWORD, _SYNC + "tests/auth/test_utils.py"),
)
