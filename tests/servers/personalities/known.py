"""The servers of well-known providers, as public sources show them.

`sources` names the page of each fact. Facts without a page are made up: the serial numbers of
hosts, and the place of each text in a reply.
"""

from __future__ import annotations

from reconciler.replies.sourced_replies import REPLIES
from tests.servers.personalities.store import Personality, Pop3

_MAILKIT = "https://github.com/jstedfast/MailKit/tree/d1f7aa7655d50777c4ece3803ff86f3591e60db5/UnitTests/Net/Imap/Resources/"
_MAILKIT_POP3 = _MAILKIT.replace("/Imap/", "/Pop3/")
_NMAP = "https://github.com/nmap/nmap/blob/master/nmap-service-probes"
_DEFECTS = "https://github.com/modern-email/defects/issues/"
_GMAIL = {
    b"[Gmail]/All Mail": b"\\HasNoChildren \\All",
    b"[Gmail]/Spam": b"\\HasNoChildren \\Junk",
    b"[Gmail]/Trash": b"\\HasNoChildren \\Trash",
    b"Lists/news": b"\\HasNoChildren",
}
_PLAIN = {b"Lists/news": b"\\HasNoChildren", b"Trash": b"\\HasNoChildren \\Trash"}
_EXCHANGE = (
    b"IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE "
    b"LITERAL+"
)
_EXCHANGE_AFTER = (
    b"IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES "
    b"CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+"
)
_EXCHANGE_POP3 = Pop3(
    greeting=b"+OK The Microsoft Exchange POP3 service is ready. [TQBXAEgAUABSADIAMQ==]",
    capabilities=(b"TOP", b"UIDL", b"SASL PLAIN XOAUTH2", b"USER"),
    wrong=b"-ERR Logon failure: unknown user name or bad password.",
    throttled=(
        b"-ERR Exceeded the login limit for a 15 minute period. Reduce the frequency of requests "
        b"to the POP3 server."
    ),
    poison=b"-ERR message could not be retrieved",
    sources={
        "greeting": _MAILKIT_POP3 + "exchange/greeting.txt",
        "wrong": "https://github.com/ditesh/node-poplib/issues/34",
        "throttled": "https://github.com/frappe/frappe/issues/242",
    },
)
_YANDEX = (
    b"IMAP4rev1 CHILDREN UNSELECT LITERAL+ NAMESPACE XLIST UIDPLUS ENABLE ID AUTH=PLAIN "
    b"AUTH=XOAUTH2 IDLE MOVE"
)
_COREMAIL = (
    b"IMAP4rev1 XLIST SPECIAL-USE ID LITERAL+ STARTTLS APPENDLIMIT=71680000 XAPPLEPUSHSERVICE "
    b"UIDPLUS X-CM-EXT-1 SASL-IR AUTH=XOAUTH2"
)
_UNKNOWN_POISON = b"NO [UNAVAILABLE] UID FETCH Server error while fetching messages"


def _source(says: str) -> str:
    """Return the page of a row of the table of replies."""
    return next(reply.source for reply in REPLIES if reply.says == says and reply.source)


PERSONALITIES: tuple[Personality, ...] = (
    Personality(
        "gmail",
        "Gmail",
        {
            "greeting": _MAILKIT + "gmail/greeting.txt",
            "before": _MAILKIT + "gmail/capability.txt",
            "namespace": _MAILKIT + "gmail/namespace.txt",
            "tells": _DEFECTS + "18",
            "wrong": "https://github.com/andreiaugustin/gmail_extractor/issues/4",
            "throttled": "https://github.com/zone-eu/wildduck/issues/35",
            "poison": "https://github.com/mscdex/node-imap/issues/209",
            "no-text": "https://issuetracker.google.com/issues/289877509",
        },
        greeting=b"* OK Gimap ready for requests from 127.0.0.1 i9if7359725qay.199",
        before=(
            b"IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR "
            b"AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER AUTH=XOAUTH"
        ),
        after=(
            b"IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS ENABLE "
            b"MOVE CONDSTORE ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE"
        ),
        tells="untagged",
        folders=_GMAIL,
        quirks=frozenset({"no-text"}),
        wrong=b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        throttled=b"NO [ALERT] Too many simultaneous connections. (Failure)",
        goodbye=b"* BYE LOGOUT Requested",
        logged_in=b"OK user@example.org authenticated (Success)",
        pop3=Pop3(
            greeting=b"+OK Gpop ready for requests from 24.91.170.86 hv19mb95710270qab",
            capabilities=(
                b"USER",
                b"RESP-CODES",
                b"EXPIRE 0",
                b"LOGIN-DELAY 300",
                b"TOP",
                b"UIDL",
                b"SASL PLAIN",
            ),
            wrong=b"-ERR [AUTH] Username and password not accepted.",
            throttled=b"-ERR [SYS/TEMP] Account exceeded command or bandwidth limits",
            poison=b"-ERR [SYS/TEMP] Temporary problem",
            sources={"greeting": _MAILKIT_POP3 + "gmail/greeting.txt"},
        ),
    ),
    Personality(
        "outlook",
        "Outlook.com",
        {
            "greeting": "https://github.com/imapsync/imapsync/issues/317",
            "before": _MAILKIT + "exchange/capability-preauth.txt",
            "after": _MAILKIT + "exchange/capability-postauth.txt",
            "wrong": "https://github.com/holon-run/uxc/issues/445",
            "throttled": _source("request is throttled"),
            "poison": "https://github.com/jstedfast/MailKit/issues/358",
        },
        greeting=(
            b"* OK The Microsoft Exchange IMAP4 service is ready. "
            b"[TABPADQAUAAxADIAMwBDAEEAMAAyADMAMwA=]"
        ),
        before=_EXCHANGE,
        after=_EXCHANGE_AFTER,
        folders=_PLAIN,
        wrong=b"NO Basic authentication is disabled.",
        throttled=b"BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds",
        throttled_at="EXAMINE",
        poison="no",
        poisoned=_UNKNOWN_POISON,
        goodbye=b"* BYE Microsoft Exchange Server IMAP4 server signing off.",
        pop3=_EXCHANGE_POP3,
    ),
    Personality(
        "microsoft365",
        "Microsoft 365",
        {
            "greeting": _MAILKIT + "exchange/greeting.txt",
            "before": _MAILKIT + "exchange/capability-preauth.txt",
            "wrong": "https://github.com/mscdex/node-imap/issues/894",
            "throttled": _source("server unavailable"),
            "poison": "https://github.com/jstedfast/MailKit/issues/361",
        },
        greeting=(
            b"* OK The Microsoft Exchange IMAP4 service is ready. "
            b"[TQBXAEgAUABSADIAMQBDAEEAMAAwADYAMAA=]"
        ),
        before=_EXCHANGE,
        after=_EXCHANGE_AFTER,
        folders=_PLAIN,
        wrong=b"NO LOGIN failed.",
        throttled=b"NO Server Unavailable. 15",
        throttled_at="EXAMINE",
        poison="bye",
        poisoned=b"Connection is closed. 13",
        goodbye=b"* BYE Microsoft Exchange Server IMAP4 server signing off.",
        pop3=_EXCHANGE_POP3,
    ),
    Personality(
        "exchange",
        "Exchange on premises",
        {
            "greeting": _MAILKIT + "exchange/greeting-2007.txt",
            "wrong": "https://github.com/imapsync/imapsync/issues/234",
            "throttled": _source("user is authenticated but not connected"),
            "poison": "https://imapsync.lamiral.info/FAQ.d/FAQ.Exchange.txt",
        },
        greeting=b"* OK Microsoft Exchange Server 2007 IMAP4 service is ready",
        before=(
            b"IMAP4 IMAP4rev1 AUTH=NTLM AUTH=GSSAPI AUTH=PLAIN STARTTLS IDLE NAMESPACE LITERAL+ "
            b"UIDPLUS"
        ),
        after=b"IMAP4 IMAP4rev1 IDLE NAMESPACE LITERAL+ UIDPLUS",
        folders=_PLAIN,
        wrong=b"NO Logon failure: unknown user name or bad password.",
        throttled=b"BAD User is authenticated but not connected.",
        throttled_at="EXAMINE",
        poison="bad",
        poisoned=b"BAD Command Argument Error. 11",
        goodbye=b"* BYE Server logging out.",
        pop3=_EXCHANGE_POP3,
    ),
    Personality(
        "yahoo",
        "Yahoo Mail",
        {
            "greeting": _MAILKIT + "yahoo/greeting.txt",
            "namespace": _MAILKIT + "yahoo/namespace.txt",
            "wrong": "https://github.com/postalsys/imapflow/issues/300",
            "throttled": _source("rate limit hit"),
            "poison": "https://github.com/imapsync/imapsync/issues/119",
        },
        greeting=(
            b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID MOVE "
            b"NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ CHILDREN X-MSG-EXT OBJECTID] IMAP4rev1 "
            b"Hello"
        ),
        before=(
            b"IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID MOVE NAMESPACE "
            b"UIDPLUS LITERAL+ CHILDREN"
        ),
        after=(
            b"IMAP4rev1 ID MOVE NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ CHILDREN X-MSG-EXT "
            b"OBJECTID IDLE"
        ),
        folders=_PLAIN,
        wrong=b"NO [AUTHENTICATIONFAILED] AUTHENTICATE Invalid credentials",
        throttled=b"NO [LIMIT] LOGIN Rate limit hit.",
        poisoned=_UNKNOWN_POISON,
        goodbye=b"* BYE IMAP4rev1 Server logging out",
        pop3=Pop3(
            greeting=b"+OK Hello from jpop-0.1",
            capabilities=(b"SASL PLAIN XOAUTH2", b"UIDL", b"TOP", b"USER"),
            wrong=b"-ERR [AUTH] invalid user or password",
            throttled=b"-ERR [SYS/TEMP] Server error, try again later",
            sources={"wrong": "https://help.yahoo.com/kb/SLN4724.html"},
        ),
    ),
    Personality(
        "aol",
        "AOL Mail",
        {
            "greeting": "https://github.com/Enough-Software/enough_mail/issues/245",
            "wrong": "https://github.com/Enough-Software/enough_mail/issues/245",
            "throttled": "https://github.com/postalsys/imapflow/issues/75",
        },
        greeting=b"* OK Welcome! IMAP Server up and ready to accept your request",
        before=b"IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 ID NAMESPACE UIDPLUS LITERAL+ CHILDREN",
        after=b"IMAP4rev1 ID NAMESPACE UIDPLUS LITERAL+ CHILDREN IDLE",
        folders=_PLAIN,
        wrong=b"NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials",
        throttled=b"* BYE [LIMIT] Rate limit hit.",
        throttled_at="greeting",
        poison="missing",
        goodbye=b"* BYE IMAP4rev1 Server logging out",
    ),
    Personality(
        "icloud",
        "iCloud Mail",
        {
            "greeting": _MAILKIT + "icloud/greeting.txt",
            "after": _MAILKIT + "icloud/capability.txt",
            "namespace": _MAILKIT + "icloud/namespace.txt",
            "wrong": "https://support.apple.com/102654",
        },
        greeting=(
            b"* OK [CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN "
            b"AUTH=ATOKEN2 AUTH=XOAUTH2] (2428B47-26126cfe23cd) p00-iscream-f9f7bf749-qjr87"
        ),
        before=(
            b"XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN AUTH=ATOKEN2 "
            b"AUTH=XOAUTH2"
        ),
        after=(
            b"XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 CONDSTORE ENABLE QUOTA NAMESPACE UIDPLUS CHILDREN "
            b"BINARY UNSELECT SORT ESEARCH ESORT WITHIN SASL-IR SEARCHRES METADATA ID XMSEARCH "
            b"IDLE"
        ),
        tells="code",
        folders=_PLAIN,
        wrong=b"NO [AUTHENTICATIONFAILED] Authentication Failed",
        logged_in=b"OK user logged in",
        throttled=b"NO [UNAVAILABLE] Temporary authentication failure",
        poison="nil",
    ),
    Personality(
        "yandex",
        "Yandex",
        {
            "greeting": _MAILKIT + "yandex/greeting.txt",
            "before": _MAILKIT + "yandex/capability.txt",
            "namespace": _MAILKIT + "yandex/namespace.txt",
            "wrong": "https://github.com/Foundry376/Mailspring/issues/2111",
            "poison": _DEFECTS,
        },
        greeting=(
            b"* OK Yandex IMAP4rev1 at mail-imap-production-171.sas.yp-c.yandex.net:993 ready to "
            b"talk with ::ffff:91.77.169.5:50580, 2024-Feb-13 08:17:42, gHfsEJKZ3Gk0"
        ),
        before=_YANDEX,
        after=_YANDEX,
        tells="untagged",
        namespace=b'(("" "|")) NIL NIL',
        delimiter=b"|",
        folders={b"Lists|news": b"\\Unmarked \\NoInferiors", b"Trash": b"\\Unmarked \\Trash"},
        wrong=(
            b"NO [AUTHENTICATIONFAILED] LOGIN invalid credentials or IMAP is disabled "
            b"sc=cYXlpv732Cg1_010534_2-1e59ad28a72c"
        ),
        throttled=b"NO [UNAVAILABLE] LOGIN internal server error sc=cYXlpv732Cg1",
        poison="no",
        poisoned=b"NO [UNAVAILABLE] UID FETCH Backend error sc=cYXlpv732Cg1",
        goodbye=b"* BYE IMAP4rev1 Server logging out",
        logged_in=b"OK LOGIN Completed.",
        pop3=Pop3(
            greeting=b"+OK POP Ya! v1.0.0na@26 HtjJitcPRuQ1",
            capabilities=(b"USER", b"UIDL", b"TOP", b"RESP-CODES"),
            wrong=b"-ERR [AUTH] login failure or POP3 disabled, try later. sc=HtjJitcPRuQ1",
            throttled=b"-ERR [SYS/TEMP] internal server error",
            sources={"greeting": _source("login failure or pop3 disabled")},
        ),
    ),
    Personality(
        "mailru",
        "Mail.ru",
        {
            "wrong": "https://github.com/thunderbird/thunderbird-android/issues/9069",
            "server": "https://help.mail.ru/mail/mailer/popsmtp",
        },
        greeting=b"* OK Welcome",
        before=(
            b"IMAP4rev1 ID XLIST UIDPLUS UNSELECT MOVE LIST-STATUS AUTH=PLAIN AUTH=XOAUTH2 SASL-IR"
        ),
        after=b"IMAP4rev1 ID XLIST UIDPLUS UNSELECT MOVE LIST-STATUS IDLE",
        folders=_PLAIN,
        wrong=(
            b"NO [AUTHENTICATIONFAILED] NEOBHODIM parol prilozheniya "
            b"https://help.mail.ru/mail/security/protection/external / Application password is "
            b"REQUIRED"
        ),
        throttled="NO Слишком много попыток входа, повторите через 15 минут".encode(),
        poison="close",
        pop3=Pop3(
            greeting=b"+OK",
            capabilities=None,
            wrong=(
                b"-ERR NEOBHODIM parol prilozheniya "
                b"https://help.mail.ru/mail/security/protection/external / Application password "
                b"is REQUIRED"
            ),
            throttled="-ERR Слишком много попыток входа".encode("cp1251"),
            sources={"wrong": "https://github.com/lmanukyan/print-designer/issues/5"},
        ),
    ),
    Personality(
        "rambler",
        "Rambler",
        {
            "server": (
                "https://github.com/MailCore/mailcore2/blob/master/src/core/imap/MCIMAPSession.cpp"
            ),
            "wrong": "https://help.rambler.ru/mail/mail-nastrojki-pochtovogo-yashika/2129/",
        },
        greeting=(
            b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ "
            b"AUTH=PLAIN AUTH=LOGIN] Rambler ready."
        ),
        before=b"IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN AUTH=LOGIN",
        after=b"IMAP4rev1 SASL-IR ID ENABLE IDLE NAMESPACE UIDPLUS UNSELECT CHILDREN LITERAL+",
        tells="code",
        folders=_PLAIN,
        wrong=b"NO [AUTHENTICATIONFAILED] Authentication failed.",
        logged_in=b"OK Logged in",
        throttled=b"NO [LIMIT] Maximum number of connections from user+IP exceeded",
        poison="bye",
        poisoned=b"FETCH failed: Internal error occurred",
        pop3=Pop3(
            greeting=b"+OK Rambler ready.",
            capabilities=(b"CAPA", b"TOP", b"UIDL", b"PIPELINING", b"USER", b"SASL PLAIN LOGIN"),
            wrong=b"-ERR [AUTH] Authentication failed.",
            throttled=b"-ERR [IN-USE] Too many connections",
        ),
    ),
    Personality(
        "netease",
        "NetEase 163",
        {
            "greeting": (
                "https://github.com/MailCore/mailcore2/blob/master/src/core/imap/MCIMAPSession.cpp"
            ),
            "needs-id": _DEFECTS + "25",
            "no-sasl-ir": _DEFECTS + "54",
            "wrong": _source("login error or password error"),
        },
        greeting=(
            b"* OK Coremail System IMap Server Ready(163com[10774b260cc7a37d26d71b52404dcf5c])"
        ),
        before=_COREMAIL.replace(b"AUTH=XOAUTH2", b"AUTH=PLAIN"),
        after=_COREMAIL,
        folders={b"Lists/news": b"", b"&XfJSIJZk-": b"\\Trash", b"&V4NXPpCuTvY-": b"\\Junk"},
        quirks=frozenset({"needs-id", "no-sasl-ir"}),
        wrong=b"NO LOGIN Login error or password error",
        throttled="NO 登录太频繁，请15分钟后再试".encode(),
        poison="no",
        poisoned=b"NO UID FETCH Fetch failed",
        goodbye=b"* BYE IMAP4rev1 Server logging out",
        pop3=Pop3(
            greeting=(
                b"+OK Welcome to coremail Mail Pop3 Server "
                b"(163coms[10774b260cc7a37d26d71b52404dcf5cs])"
            ),
            capabilities=(b"TOP", b"USER", b"PIPELINING", b"UIDL", b"LANG", b"UTF8", b"STLS"),
            wrong=b"-ERR Unable to log on",
            throttled="-ERR 登录太频繁，请稍后再试".encode("gbk"),
            sources={"throttled": "https://github.com/zhangyunhao116/zmail/issues/30"},
        ),
    ),
    Personality(
        "coremail",
        "Coremail",
        {
            "greeting": (
                "https://github.com/MailCore/mailcore2/blob/master/src/core/imap/MCIMAPSession.cpp"
            ),
            "no-sasl-ir": _DEFECTS + "54",
            "wrong": _source("login login error password error"),
        },
        greeting=b"* OK Coremail System IMap Server Ready(XT5.0.9[20190929])",
        before=b"IMAP4rev1 ID STARTTLS SASL-IR AUTH=PLAIN",
        after=b"IMAP4rev1 ID UIDPLUS",
        folders=_PLAIN,
        quirks=frozenset({"no-sasl-ir"}),
        wrong=b"NO LOGIN Login error password error",
        throttled=b"NO ERR.LOGIN.SYSTEMBUSY",
        poison="missing",
    ),
    Personality(
        "qq",
        "QQ Mail",
        {
            "greeting": _MAILKIT + "qqmail/greeting.txt",
            "wrong": _source("using authorized code to login"),
            "poison": _DEFECTS,
        },
        greeting=(
            b"* OK [CAPABILITY IMAP4 IMAP4rev1 ID AUTH=PLAIN AUTH=LOGIN NAMESPACE] QQMail "
            b"IMAP4Server ready"
        ),
        before=b"IMAP4 IMAP4rev1 ID AUTH=PLAIN AUTH=LOGIN NAMESPACE",
        after=(
            b"IMAP4 IMAP4rev1 XLIST MOVE IDLE XAPPLEPUSHSERVICE NAMESPACE CHILDREN ID UIDPLUS "
            b"COMPRESS=DEFLATE"
        ),
        folders=_PLAIN,
        wrong=(
            b"NO Login fail. Account is abnormal, service is not open, password is incorrect, "
            b"login frequency limited, or system is busy. More information at "
            b"https://help.mail.qq.com/"
        ),
        throttled="NO 登录过于频繁".encode("gbk"),
        logged_in=b"OK Success login ok",
        poison="close",
        pop3=Pop3(
            greeting=b"+OK XMail POP3 Server v1.0 Service Ready(XMail v1.0)",
            capabilities=None,
            wrong=b"-ERR Please using authorized code to login.",
            throttled=b"-ERR Download exceed",
            throttled_at="LIST",
            sources={"throttled": _source("download exceed")},
        ),
    ),
    Personality(
        "exmail",
        "Tencent Exmail",
        {
            "greeting": _MAILKIT + "qqmail/greeting.txt",
            "wrong": _source("please using weixin token"),
        },
        greeting=(
            b"* OK [CAPABILITY IMAP4 IMAP4rev1 ID AUTH=PLAIN AUTH=LOGIN NAMESPACE] QQMail "
            b"IMAP4Server ready"
        ),
        before=b"IMAP4 IMAP4rev1 ID AUTH=PLAIN AUTH=LOGIN NAMESPACE",
        after=b"IMAP4 IMAP4rev1 IDLE NAMESPACE ID UIDPLUS",
        folders=_PLAIN,
        wrong=b"NO Login fail. Please using weixin token",
        throttled=b"NO System is busy",
        poison="nil",
    ),
    Personality(
        "gmx",
        "GMX",
        {
            "greeting": "https://hilfe.gmx.net/pop-imap/imap/imap-serverdaten.html",
            "wrong": "https://hilfe.gmx.net/pop-imap/einschalten.html",
            "throttled": "https://hilfe.gmx.net/account/gesperrt.html",
        },
        greeting=(
            b"* OK [CAPABILITY IMAP4rev1 CHILDREN ENABLE ID IDLE LIST-EXTENDED LIST-STATUS "
            b"LITERAL- MOVE NAMESPACE SASL-IR SORT SPECIAL-USE STATUS=SIZE THREAD=ORDEREDSUBJECT "
            b"UIDPLUS UNSELECT WITHIN AUTH=LOGIN AUTH=PLAIN] IMAP server ready H migmx001 0M00000"
        ),
        before=(
            b"IMAP4rev1 ID IDLE LIST-EXTENDED NAMESPACE SASL-IR SPECIAL-USE UIDPLUS AUTH=LOGIN "
            b"AUTH=PLAIN"
        ),
        after=b"IMAP4rev1 ID IDLE LIST-EXTENDED NAMESPACE SASL-IR SPECIAL-USE UIDPLUS",
        folders=_PLAIN,
        wrong=b"NO authentication failed",
        poison="no",
        poisoned=b"NO [SERVERBUG] FETCH failed",
        throttled=(
            "NO [LIMIT] Login vorübergehend nicht möglich, bitte in 10 Minuten erneut versuchen"
        ).encode(),
        pop3=Pop3(
            greeting=b"+OK POP server ready H migmx001 0M00000",
            capabilities=(b"TOP", b"UIDL", b"USER", b"SASL PLAIN"),
            wrong=b"-ERR authentication failed",
            throttled="-ERR Zu häufige Logins".encode("latin-1"),
        ),
    ),
    Personality(
        "webde",
        "WEB.DE",
        {"wrong": "https://hilfe.web.de/pop-imap/einschalten.html"},
        greeting=b"* OK IMAP server ready H miweb001 0M00000",
        before=b"IMAP4rev1 ID IDLE NAMESPACE SASL-IR SPECIAL-USE UIDPLUS AUTH=LOGIN AUTH=PLAIN",
        after=b"IMAP4rev1 ID IDLE NAMESPACE SPECIAL-USE UIDPLUS",
        folders=_PLAIN,
        wrong=b"NO IMAP ist nicht freigeschaltet",
        throttled=b"* BYE Zu viele Verbindungen",
        throttled_at="greeting",
        poison="missing",
        pop3=Pop3(
            greeting=b"+OK POP server ready H miweb001",
            capabilities=(b"TOP", b"UIDL", b"USER"),
            wrong=b"-ERR POP3 ist nicht freigeschaltet",
            throttled=b"-ERR Zu viele Verbindungen",
            throttled_at="greeting",
        ),
    ),
    Personality(
        "zoho",
        "Zoho Mail",
        {
            "greeting": _MAILKIT + "zoho/greeting.txt",
            "before": _MAILKIT + "zoho/capability.txt",
            "namespace": _MAILKIT + "zoho/namespace.txt",
            "wrong": _source("yet to enable imap"),
        },
        greeting=b"* OK svwall.zoho.com IMAP4 Server (Zoho Mail IMAP4rev1 Server version 1.0)",
        before=(
            b"IMAP4rev1 UNSELECT CHILDREN XLIST NAMESPACE IDLE MOVE ID AUTH=PLAIN SASL-IR UIDPLUS "
            b"ESEARCH LIST-EXTENDED LIST-STATUS WITHIN LITERAL- APPENDLIMIT=10485760 CONDSTORE"
        ),
        after=(
            b"IMAP4rev1 UNSELECT CHILDREN XLIST NAMESPACE IDLE MOVE ID UIDPLUS ESEARCH "
            b"LIST-EXTENDED WITHIN LITERAL-"
        ),
        folders=_PLAIN,
        poison="no",
        wrong=(
            b"NO [ALERT] You are yet to enable IMAP for your account. Please contact your "
            b"administrator (Failure)"
        ),
        throttled=b"NO [ALERT] Too many simultaneous connections. (Failure)",
        pop3=Pop3(
            greeting=b"+OK POP3 Server",
            capabilities=(b"TOP", b"UIDL", b"USER"),
            wrong=b"-ERR You are yet to enable POP for your account",
            throttled=b"-ERR [IN-USE] locked",
        ),
    ),
    Personality(
        "fastmail",
        "Fastmail",
        {
            "greeting": _MAILKIT + "cyrus/greeting.txt",
            "wrong": "https://www.fastmail.help/hc/en-us/articles/360058752854",
        },
        greeting=b"* OK IMAP4 ready",
        before=b"IMAP4 IMAP4rev1 LITERAL+ ID ENABLE AUTH=PLAIN SASL-IR",
        after=(
            b"IMAP4 IMAP4rev1 LITERAL+ ID ENABLE CHILDREN NAMESPACE UIDPLUS UNSELECT MULTIAPPEND "
            b"BINARY CATENATE CONDSTORE ESEARCH SORT LIST-EXTENDED SPECIAL-USE IDLE"
        ),
        tells="code",
        logged_in=b"OK User logged in",
        folders=_PLAIN,
        wrong=(
            b"NO Sorry, you need to create an app password to use this service, please use an app "
            b"password"
        ),
        throttled=b"NO [LIMIT] Too many connections",
        poison="missing",
        pop3=Pop3(
            greeting=b"+OK POP3 ready <1.2@pop.fastmail.com>",
            capabilities=(
                b"SASL PLAIN",
                b"TOP",
                b"UIDL",
                b"PIPELINING",
                b"RESP-CODES",
                b"AUTH-RESP-CODE",
                b"USER",
            ),
            wrong=b"-ERR [AUTH] please use an app password",
            throttled=b"-ERR [LOGIN-DELAY 60] too often",
        ),
    ),
    Personality(
        "protonbridge",
        "Proton Mail Bridge",
        {
            "greeting": _MAILKIT + "protonmail/greeting.txt",
            "after": _MAILKIT + "protonmail/capability.txt",
            "throttled": _source("too many recent logins"),
        },
        greeting=(
            b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN AUTH=LOGIN ID APPENDLIMIT] IMAP4rev1 "
            b"Service Ready"
        ),
        before=b"IMAP4rev1 STARTTLS AUTH=PLAIN AUTH=LOGIN ID APPENDLIMIT",
        after=b"IMAP4rev1 AUTH=PLAIN AUTH=LOGIN ID IDLE MOVE UIDPLUS UNSELECT APPENDLIMIT",
        starttls=True,
        folders=_PLAIN,
        wrong=b"NO no such user",
        throttled=b"NO too many recent logins, try again in 60 seconds",
        poison="bye",
        poisoned=b"internal error",
    ),
    Personality(
        "davmail",
        "DavMail",
        {
            "greeting": (
                "https://github.com/mguessan/davmail/blob/master/src/java/davmail/imap/ImapConnection.java"
            ),
            "spaced": "https://github.com/python/cpython/issues/117152",
            "throttled": _source("request is throttled"),
        },
        greeting=(
            b"* OK [CAPABILITY IMAP4REV1 AUTH=LOGIN MOVE] IMAP4rev1 DavMail 6.2.1 server ready"
        ),
        before=b"IMAP4REV1 AUTH=LOGIN MOVE SPECIAL-USE UIDPLUS",
        after=b"IMAP4REV1 AUTH=LOGIN MOVE SPECIAL-USE UIDPLUS IDLE",
        quirks=frozenset({"spaced"}),
        folders=_PLAIN,
        wrong=b"NO LOGIN failed",
        throttled=b"NO Request is throttled, retry after 120 seconds",
        throttled_at="EXAMINE",
        poison="bad",
        poisoned=b"BAD unable to handle request: HTTP response read timeout",
        pop3=Pop3(
            greeting=b"+OK DavMail 6.2.1 POP ready at 2024",
            capabilities=(b"USER", b"UIDL", b"TOP"),
            wrong=b"-ERR Authentication failed: invalid user or password",
            throttled=b"-ERR Request is throttled, retry after 120 seconds",
            throttled_at="LIST",
        ),
    ),
    Personality(
        "domino",
        "Domino",
        {
            "greeting": _MAILKIT + "domino/greeting.txt",
            "before": _MAILKIT + "domino/capability.txt",
            "namespace": _MAILKIT + "domino/namespace.txt",
            "unquoted": "https://github.com/IndySockets/Indy/issues/329",
        },
        greeting=b"* OK Domino IMAP4 Server Release 9.0.1FP9 ready Fri, 14 Dec 2018 08:38:25 +0100",
        before=b"IMAP4rev1 AUTH=PLAIN LITERAL+ NAMESPACE QUOTA UIDPLUS",
        after=b"IMAP4rev1 AUTH=PLAIN LITERAL+ NAMESPACE QUOTA UIDPLUS",
        delimiter=b"\\",
        namespace=b'(("" "\\\\")) (("Other\\\\" "\\\\")) (("Shared\\\\" "\\\\"))',
        quirks=frozenset({"unquoted"}),
        folders={b"Lists\\news": b"\\HasNoChildren", b"Folder\\Subfolder 1": b"\\HasNoChildren"},
        wrong=b"NO LOGIN invalid name or password",
        throttled=b"NO Server Unavailable",
        poison="no",
        poisoned=b"NO FETCH Cannot convert message",
        pop3=Pop3(
            greeting=b"+OK Lotus Notes POP3 server version 9.0.1 ready",
            capabilities=None,
            wrong=b"-ERR Invalid user name or password",
            throttled=b"-ERR mail file is in use by another POP3 session",
        ),
    ),
    Personality(
        "groupwise",
        "GroupWise",
        {
            "greeting": _NMAP,
            "wrong": (
                "https://github.com/closeio/sync-engine/blob/33a5453a2f448ed942ca8c432cb19d20e05cd191/tests/auth/test_utils.py"
            ),
        },
        greeting=b"* OK GroupWise IMAP4rev1 Server Ready",
        before=b"IMAP4rev1 AUTH=XGWTRUSTEDAPP QUOTA NAMESPACE IDLE",
        after=b"IMAP4rev1 QUOTA NAMESPACE IDLE UIDPLUS",
        folders=_PLAIN,
        wrong=b"NO LOGIN GroupWise login failed",
        throttled=b"NO [INUSE] Mailbox in use",
        poison="close",
        throttled_at="EXAMINE",
        pop3=Pop3(
            greeting=b"+OK GroupWise POP3 server ready",
            capabilities=None,
            wrong=b"-ERR invalid username or password",
            throttled=b"-ERR unable to lock mailbox",
        ),
    ),
    Personality(
        "hmailserver",
        "hMailServer",
        {
            "greeting": (
                "https://www.hmailserver.com/documentation/latest/?page=reference_imapsettings"
            ),
            "pop3": "https://github.com/hmailserver/hmailserver/pull/594",
        },
        greeting=b"* OK IMAPrev1",
        before=b"IMAP4 IMAP4rev1 CHILDREN IDLE QUOTA SORT ACL NAMESPACE RIGHTS=texk",
        after=b"IMAP4 IMAP4rev1 CHILDREN IDLE QUOTA SORT ACL NAMESPACE RIGHTS=texk",
        delimiter=b".",
        namespace=b'(("" ".")) NIL (("#Public" "."))',
        folders={b"Lists.news": b"\\HasNoChildren"},
        wrong=b"NO Invalid user name or password.",
        throttled=b"NO Server error: Failed to fetch messages in Inbox.",
        throttled_at="EXAMINE",
        poison="nil",
        pop3=Pop3(
            greeting=b"+OK POP3",
            capabilities=(b"USER", b"UIDL", b"TOP"),
            wrong=b"-ERR Invalid user name or password.",
            throttled=b"+ERR Server error: Failed to fetch messages in Inbox.",
            sources={"throttled": "https://github.com/hmailserver/hmailserver/pull/594"},
        ),
    ),
    Personality(
        "mdaemon",
        "MDaemon",
        {"greeting": _NMAP},
        greeting=b"* OK example.org IMAP4rev1 MDaemon 23.5.1 ready",
        before=b"IMAP4rev1 NAMESPACE AUTH=CRAM-MD5 AUTH=LOGIN AUTH=PLAIN IDLE ACL UNSELECT UIDPLUS",
        after=b"IMAP4rev1 NAMESPACE IDLE ACL UNSELECT UIDPLUS",
        folders=_PLAIN,
        quirks=frozenset({"login-only"}),
        wrong=b"NO LOGIN failed",
        throttled=b"NO Too many failed login attempts",
        poison="no",
        poisoned=b"NO FETCH failed",
        pop3=Pop3(
            greeting=b"+OK example.org POP MDaemon 23.5.1 ready",
            capabilities=(b"TOP", b"UIDL", b"USER", b"SASL LOGIN"),
            wrong=b"-ERR access denied",
            throttled=b"-ERR Too many failed login attempts",
        ),
    ),
    Personality(
        "smartermail",
        "SmarterMail",
        {
            "greeting": _MAILKIT + "smartermail/greeting.txt",
            "wrong": _source("invalid login or password"),
        },
        greeting=b"* OK IMAP4rev1 SmarterMail",
        before=b"IMAP4rev1 AUTH=CRAM-MD5 AUTH=PLAIN UIDPLUS QUOTA XLIST CHILDREN NAMESPACE IDLE",
        after=b"IMAP4rev1 UIDPLUS QUOTA XLIST CHILDREN NAMESPACE IDLE",
        folders=_PLAIN,
        quirks=frozenset({"login-only"}),
        wrong=b"NO Invalid login or password",
        throttled=b"* BYE Too many connections",
        throttled_at="greeting",
        poison="bye",
        poisoned=b"FETCH failed",
        pop3=Pop3(
            greeting=b"+OK SmarterMail",
            capabilities=(b"USER", b"UIDL", b"TOP"),
            wrong=b"-ERR Invalid login",
            throttled=b"-ERR Too many connections",
            throttled_at="greeting",
        ),
    ),
    Personality(
        "uw",
        "UW imapd",
        {"greeting": _MAILKIT + "uw/greeting.txt", "after": _MAILKIT + "uw/preauth-greeting.txt"},
        greeting=(
            b"* OK [CAPABILITY IMAP4REV1 I18NLEVEL=1 LITERAL+ SASL-IR LOGIN-REFERRALS STARTTLS "
            b"LOGINDISABLED] [192.0.2.1] IMAP4rev1 2007f.404 at Wed, 27 Mar 2019 09:40:23 -0400 "
            b"(EDT)"
        ),
        before=(
            b"IMAP4REV1 I18NLEVEL=1 LITERAL+ SASL-IR LOGIN-REFERRALS AUTH=PLAIN AUTH=LOGIN STARTTLS"
        ),
        after=(
            b"IMAP4REV1 I18NLEVEL=1 LITERAL+ IDLE UIDPLUS NAMESPACE CHILDREN BINARY UNSELECT "
            b"ESEARCH"
        ),
        starttls=True,
        tells="code",
        logged_in=b"OK User user authenticated",
        folders=_PLAIN,
        wrong=b"NO LOGIN failed",
        throttled=b"NO [ALERT] Too many login failures",
        poison="missing",
        pop3=Pop3(
            greeting=b"+OK POP3 example.org 2007f.104 server ready",
            capabilities=(b"TOP", b"UIDL", b"USER", b"SASL LOGIN"),
            wrong=b"-ERR Bad login",
            throttled=b"-ERR Can't get lock.  Mailbox in use",
        ),
    ),
    Personality(
        "mailutils",
        "GNU mailutils",
        {
            "greeting": "https://git.savannah.gnu.org/cgit/mailutils.git/tree/imap4d",
            "lone-lf": "https://git.savannah.gnu.org/cgit/mailutils.git/tree/imap4d/auth_gss.c",
        },
        greeting=b"* OK IMAP4rev1 GNU mailutils",
        before=b"IMAP4rev1 NAMESPACE ID IDLE LITERAL+ UNSELECT UIDPLUS AUTH=PLAIN",
        after=b"IMAP4rev1 NAMESPACE ID IDLE LITERAL+ UNSELECT UIDPLUS",
        folders=_PLAIN,
        quirks=frozenset({"lone-lf"}),
        wrong=b"NO AUTHENTICATE PLAIN authentication failed",
        throttled=b"* BYE Service not available",
        throttled_at="greeting",
        poison="bad",
        poisoned=b"BAD FETCH failed",
        pop3=Pop3(
            greeting=b"+OK POP3 Ready <1234.1700000000@example.org>",
            capabilities=(b"TOP", b"USER", b"UIDL", b"RESP-CODES", b"PIPELINING"),
            wrong=b"-ERR [AUTH] Bad login",
            throttled=b"-ERR [IN-USE] Mailbox in use",
        ),
    ),
    Personality(
        "seznam",
        "Seznam",
        {"greeting": "https://github.com/jstedfast/MailKit/issues/1954"},
        greeting=b"* OK Seznam IMAP server ready",
        before=b"XLIST IMAP4rev1 AUTH=PLAIN CHILDREN SORT I18NLEVEL=1 UIDPLUS ID MOVE UNSELECT",
        after=b"XLIST IMAP4rev1 CHILDREN SORT UIDPLUS ID MOVE UNSELECT IDLE",
        folders=_PLAIN,
        wrong=b"NO LOGIN Authentication failed",
        throttled="NO Příliš mnoho přihlášení".encode(),
        poison="no",
        logged_in=b"OK LOGIN Authentication succeeded",
    ),
    Personality(
        "sohu",
        "Sohu",
        {"greeting": "https://github.com/jstedfast/MailKit/issues/2006"},
        greeting=b"* OK IMAP4 ready",
        before=b"IMAP4 IMAP4rev1 UIDPLUS IDLE AUTH=PLAIN",
        after=b"IMAP4 IMAP4rev1 AUTH=LOGIN IDLE MOVE NAMESPACE",
        folders=_PLAIN,
        wrong=b"NO LOGIN failed",
        throttled=b"NO Too many connections",
        poison="close",
        logged_in=b"OK LOGIN completed",
    ),
)
