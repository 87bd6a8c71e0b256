"""Sentences that nobody has written into the table, in many languages: what they mean counts."""

from __future__ import annotations

import pytest

from reconciler.model.errors import (
    AccountNotReady,
    AuthenticationFailed,
    SourceError,
    SourceUnavailable,
    Throttled,
    TlsRefused,
)
from reconciler.replies.refusals import refused_login
from reconciler.replies.reply_meaning import decoded, normalised, understand
from reconciler.replies.vocabulary import IDEAS, RULES, clauses
from tests.replies.test_refusals import refused

THROTTLED = """\
You have reached the maximum number of simultaneous logins for this account
Sorry, this account already has 15 open connections.
Please close other mail programs, connection count exceeded
The number of IMAP connections for this mailbox is at its limit
Server is throttling this client, retry in 120 seconds
Command rate too high
You are sending commands too quickly
You have been rate-limited for 3600 seconds
Please wait 10 min before checking mail again
Login attempts are limited to one per minute
Account temporarily locked because of too many failed login attempts. Try again in 15 min
Your daily download allowance (2500 MB) is gone
Download volume for today used up
mailbox is busy
The maildrop is locked
Mailbox locked by another process (pid 311)
You are already logged in from another device
can't open mailbox: in use by IMAP session
Exclusive lock held by other client
Your IP has been blocked due to too many failed logins
Connections from this country are blocked
Mailbox quota exceeded
Вы превысили допустимое число входов, подождите 15 минут
Слишком частые обращения к серверу
Почтовый ящик занят другой сессией
Исчерпан лимит скачивания на сегодня
Ваш IP-адрес заблокирован
Занадто багато з'єднань
Zu viele Anmeldeversuche, bitte warten Sie 15 Minuten
Postfach bereits geöffnet
Ihr Downloadvolumen ist aufgebraucht
Boîte en cours d'utilisation
Quota de téléchargement dépassé
Limite de connexions atteinte
Se ha superado el número máximo de conexiones
Demasiados intentos, espere 5 minutos
Troppe connessioni contemporanee
登录过于频繁，请1小时后再试
同一账号连接数过多
邮箱正在被其他客户端使用
您的IP被限制登录
下载流量已超过今日上限
同時接続数が多すぎます
海外からのアクセスを制限しています
メールボックスは使用中です
너무 많은 로그인 시도가 있었습니다. 10분 후 다시 시도하세요
해외 IP 차단
STAT Command failed because maximum number of sessions reached
Слишком много одновременных соединений
Превышено число одновременных подключений
Превышен суточный лимит трафика
登录失败次数过多，请10分钟后重试
同时连接数超过限制
流量超过限制
mailbox is being used by another session
[AUTH] Sie rufen Ihre E-Mails zu häufig ab. Bitte warten Sie 15 Minuten.
Postfach ist gesperrt, da eine andere Sitzung aktiv ist
Das Postfach wird bereits verwendet
Übertragungsvolumen überschritten
Trop de connexions simultanées
Boîte aux lettres verrouillée par une autre session
Trop de tentatives, réessayez dans une heure
Numero massimo di connessioni raggiunto
Casella di posta già in uso
Limite di traffico superato
Zbyt wiele połączeń
Příliš mnoho současných připojení
Muitas conexões simultâneas
Limite de conexões excedido
Demasiadas conexiones simultáneas
接続数が上限に達しました
ログイン試行回数が多すぎます。30分後に再試行してください
현재 접속자가 많습니다
동시 접속 수 초과
[UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=20)
[IN-USE] Couldn't open INBOX: Timeout while waiting for lock
[ALERT] Mailbox is over quota
Maximum connection limit reached for 1.2.3.4
too many concurrent connections from your IP address
[UNAVAILABLE] LOGIN failed: too many connections for user
Server is not accepting new connections: session limit reached
too many TCP connections with this address
the account is already in use
mailbox already in use
The number of concurrent connections to the server has exceeded the limit
Sorry, too many sessions are currently active
Location screening refused your connection
Maximum number of IMAP sessions reached
IP is blocked by brute force protection
Account is locked by another session
Too many invalid logon attempts.
Your mailbox is already locked
Too many failed logins, blocked for 300 seconds
Connection rate exceeded, slow down
Daily transfer limit reached; resets in 6 hours
You have downloaded too much data today
Traffic quota exhausted for this mailbox
Monthly bandwidth allowance used up
Mailbox opened by another client
Another session is using this mailbox, wait
Concurrent access limit for the account
10 sessions already open, maximum is 10
Connection limit exceeded
Too many requests (429)
Requests are coming too fast
Too frequent logins, wait 60 s
Please reduce your polling rate
login allowed only every 15 minutes
minimum interval between logins is 10 minutes
Your IP address is blacklisted
Access from your location is not allowed
Your IP 1.2.3.4 has been banned for 1 hour
"""
TEMPORARY = """\
Backend timed out
We are experiencing technical difficulties
LDAP server unreachable
Service is undergoing maintenance, back at 14:30 UTC
The mail store is currently unavailable
System under maintenance
Mailbox server is restarting
Please try again in a few minutes
Unable to process your request at this time
Ведутся технические работы
Внутренняя ошибка сервера
Der Dienst ist zurzeit nicht verfügbar
Interner Serverfehler
Erreur interne du serveur
服务器繁忙，请稍后再试
サーバーが混み合っています
[ALERT] Мы не смогли открыть ваш ящик, попробуйте позже
[UNAVAILABLE] Ошибка сервера, попробуйте ещё раз через несколько минут
Сервис временно недоступен, повторите через 5 минут
系统忙，请稍后重试
服务器维护中
Server wird gewartet
Wartungsarbeiten, bitte versuchen Sie es in 20 Minuten erneut
Service momentanément indisponible, veuillez réessayer dans 10 minutes
Servizio temporaneamente non disponibile
Spróbuj ponownie za 5 minut
Usługa chwilowo niedostępna
Služba je dočasně nedostupná
Serviço temporariamente indisponível, tente novamente em 10 minutos
Servicio no disponible temporalmente
Inténtelo de nuevo en 10 minutos
ただいまメンテナンス中です
잠시 후 다시 시도해 주세요
[UNAVAILABLE] Temporary authentication failure. [host:2026]
[SYS/TEMP] Internal error occurred. Refer to server log for more information. [2026]
Login is temporarily disabled due to server maintenance
authentication failed: account is in maintenance mode
LOGIN failed: account.MAINTENANCE_MODE
maintenance in progress; try again later
This post office is unavailable
[UNAVAILABLE] Account is temporarily unavailable.
Server is too busy
Service shutting down
Server shutting down.
Down for maintenance until 14:30 UTC
Try again in an hour
Database connection error, please retry
backend unreachable
cannot connect to storage
internal failure
I/O error on mailbox
mailbox is being migrated, try later
Mailbox temporarily offline
"""
CREDENTIALS = """\
Ordinary passwords are not accepted here; create an app-specific password
Please sign in with an application password
Two step verification is active, a device password is needed
Plain passwords are no longer accepted. Use OAuth 2.0
This server requires OAuth2 authentication
Legacy authentication has been turned off
Basic auth retired
Your password has expired, change it in webmail
You must change your password
bad username/password
The username or password you entered is incorrect
Login incorrect
Логин или пароль неверны
Для входа нужен пароль приложения
Срок действия пароля истёк
Für externe Programme ist ein Anwendungspasswort erforderlich
Benutzername oder Kennwort ungültig
Mot de passe expiré
Password errata
Senha incorreta
密码不正确
请使用客户端授权码登录
Неверный логин или пароль
Требуется пароль приложения
Используйте пароль для внешних приложений
ERR.LOGIN.REQCODE&您的账号未开启客户端授权码登录功能
请使用授权码登录。详情请看:http://service.mail.qq.com
用户名或密码错误
Un mot de passe d'application est nécessaire
Utente o password errati
Błędny login lub hasło
Špatné jméno nebo heslo
Usuário ou senha inválidos
Usuario o contraseña incorrectos
Es necesaria una contraseña de aplicación
パスワードが正しくありません
아이디 또는 비밀번호가 올바르지 않습니다
Invalid user name or password
must authenticate with two-factor application passcode
LOGIN invalid user name or password
incorrect password or account name
This account requires an app password
IMAP login disabled; use modern authentication (OAuth)
Multi-factor authentication enabled: use a personal access token
Two-factor authentication is enabled; generate an app password
2FA required: use an application-specific passcode
Password login is not supported, please use XOAUTH2
Password authentication is no longer accepted, use OAuth
Modern auth only
Password expired, please change it
Your password needs to be reset
"""
NOT_READY = """\
IMAP access for this mailbox is switched off. Please enable it in webmail
The administrator has not permitted IMAP for this user
POP3 access was disabled by the domain administrator
IMAP4 protocol is not enabled on this mailbox
Access via POP is off
To use IMAP, first activate it in your account settings
External mail programs are not allowed to access this mailbox
IMAP is only available to premium customers
Your account was suspended for non-payment
User account has been deactivated by administrator
This mailbox has been closed
Account frozen: please contact support
Account is on hold
For your safety we locked your account; sign in on our website to unlock it
We noticed unusual activity. Please verify your identity
You must accept the new Terms of Use before using IMAP
Please read and accept our privacy policy in webmail
Consent required: accept the data processing agreement
Доступ по IMAP для вашего ящика отключён
Протокол POP3 отключен администратором
Ящик заблокирован
Подтвердите вход в веб-интерфейсе
Примите пользовательское соглашение
Der IMAP-Zugang wurde nicht freigeschaltet
IMAP ist für dieses Konto nicht erlaubt
Bitte aktivieren Sie POP3 in den Einstellungen
Ihr Postfach ist gesperrt
Bitte bestätigen Sie die AGB
Ungewöhnliche Aktivität festgestellt, melden Sie sich im Webmailer an
Accès IMAP refusé pour ce compte
L'accès POP n'est pas activé
Veuillez activer IMAP dans vos paramètres
Activité suspecte, connectez-vous avec un navigateur
El protocolo POP3 no está habilitado
L'accesso POP3 è disabilitato
Il servizio IMAP non è attivo
Account bloccato, accedi via browser
O protocolo IMAP não está habilitado
Sua conta foi suspensa
您的IMAP服务未开启，请到设置中开启
账号被锁定
该账号已停用
郵箱服務未啟用IMAP
您的账户存在异常登录，请登录网页验证
アカウントが停止されています
IMAPの利用が許可されていません
Доступ к IMAP выключен пользователем
Включите доступ по IMAP в настройках почтового ящика
Учётная запись временно заблокирована
Ваш ящик заблокирован за рассылку спама
[AUTH] 您的帐号异常，请登录网页邮箱处理
账户已被冻结
IMAP服务已关闭
请开启POP3/SMTP服务
邮箱被锁定，请联系管理员
Konto vorübergehend gesperrt
Votre compte est bloqué
L'accès IMAP est désactivé pour ce compte
Accès POP non autorisé
Veuillez accepter les conditions d'utilisation
Casella bloccata
Account sospeso
Protokół IMAP jest wyłączony
Dostęp przez IMAP nie jest włączony
Włącz dostęp POP3/IMAP w ustawieniach
Přístup přes IMAP je zakázán
Účet je zablokován
Cuenta bloqueada
El acceso IMAP está deshabilitado
IMAPアクセスが無効になっています
アカウントがロックされています
IMAP/SMTP 사용 안함 상태입니다
POP3/IMAP을 사용하도록 설정해 주세요
계정이 잠겼습니다
IMAP access is available for paid users only
POP3 service is available to Rediffmail Pro users only
[AUTHORIZATIONFAILED] User is disabled
User is not allowed to access the server from this host (IMAP)
account not active
IMAP is disabled for this account
account lockout
User is locked out
this service is not enabled for the account
account login is disabled
Account is disabled
IMAP service not enabled for mailbox
Account access via IMAP has been disabled
account frozen
authentication failed: account locked due to brute force detection
IMAP is not enabled for this user by your organization's access control rules
Third party email access is disabled. Enable it in Titan settings
Third-party app access has not been enabled
Account not permitted to use IMAP
Your subscription has expired
Suspicious login detected, confirm it was you in your browser
Sign-in attempt blocked. Visit https://x to unlock your account
New terms of service must be accepted
Please agree to the updated privacy policy on our web site
IMAP has been turned off in your settings
POP3 has been turned off by your administrator
You must enable IMAP access first
Turn on POP access in Settings
IMAP protocol is not permitted for this account
"""
TLS = """\
SSL/TLS required for login
Must issue a STARTTLS command first
You must use a secure connection
Cleartext login disallowed
Encryption required for requested authentication mechanism
[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.
[PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.
Plaintext authentication disabled.
"""
NOTHING = """\
access denied from 10.0.0.1
Mailbox doesn't exist: Too many connections
Unknown folder: Account locked
Folder not found: IMAP disabled
[NONEXISTENT] Mailbox does not exist: throttled/2026
BAD Could not parse command
Command not allowed in this state
IMAP command IDLE not permitted in this state
IMAP extension not enabled
Unsupported authentication mechanism
Invalid SASL mechanism
Error in IMAP command UID FETCH: Invalid uidset
Some messages could not be FETCHed (Failure)
Message 5 could not be read
Message has too many MIME parts
message too large
Permission denied
Access denied
Disconnected for inactivity
Autologout; idle for too long
Logging out
IMAP server logging out
bye
Mailbox is read-only
Folder name contains invalid characters
Invalid folder name
Subject: "Your account has been suspended"
no such message, only 3 messages in maildrop
Internal date not available
invalid message number
[ALERT] Fatal error: max atom size too small
chdir Maildir: No such file or directory
Login failed.
Error in IMAP command received by server.
LOGIN Mailbox access denied
User not found or access denied
Mailbox does not exist: "too many"
[TRYCREATE] Mailbox "Locked accounts" doesn't exist
no such mailbox "IMAP is disabled"
[CANNOT] Mailbox name too long
[NOPERM] You have no permission to open "Too many requests"
[BADCHARSET] unsupported
no such message
FETCH failed for message with Subject: Account suspended - act now
message 5 "Your mailbox is full" cannot be read
Invalid mailbox name: Passwords expired
Could not parse command: too many arguments
Too many arguments
Too many recipients
too many invalid commands
Too many invalid IMAP commands.
line too long
"""


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (THROTTLED, Throttled),
        (TEMPORARY, SourceUnavailable),
        (CREDENTIALS, AuthenticationFailed),
        (NOT_READY, AccountNotReady),
        (TLS, TlsRefused),
        (NOTHING, type(None)),
    ],
    ids=["throttled", "temporary", "credentials", "not ready", "TLS", "nothing"],
)
def test_it_is_understood_by_its_meaning(texts: str, kind: type[SourceError]) -> None:
    found = {text: type(refused(text)) for text in texts.splitlines()}
    assert {text: other for text, other in found.items() if other is not kind} == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Login failed, try again in 30 minutes", 1800),
        ("Server overloaded, come back in 2 minutes", 120),
        ("Your IP 192.0.2.1 has been banned for 1 hour", 3600),
        ("Wartungsarbeiten, noch 20 Minuten", 1200),
    ],
)
def test_the_time_is_read_too(text: str, seconds: float) -> None:
    error = refused(text) or refused_login(text, text, host="mx.example.com", protocol="imap")
    assert error.retry_after == seconds
    assert not isinstance(error, AuthenticationFailed)


@pytest.mark.parametrize("code", ["NONEXISTENT", "TRYCREATE", "CANNOT", "CLIENTBUG", "PARSE"])
def test_a_code_that_blames_the_command_leaves_nothing_to_understand(code: str) -> None:
    assert understand(f"[{code}] Too many connections", code) is None


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("L'accès IMAP est désactivé pour ce compte", "latin-1"),
        ("Účet je zablokován", "cp1250"),
        ("동시 접속 수 초과", "cp949"),
        ("郵箱服務未啟用IMAP", "big5"),
        ("アカウントがロックされています", "shift_jis"),
        ("Почтовый ящик занят другой сессией", "koi8-r"),
    ],
)
def test_in_old_encodings_too(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)) == text


def test_what_is_quoted_or_named_is_not_read() -> None:
    assert clauses(normalised('Cannot open "Too many, really". See: help')) == [
        "cannot open",
        "see",
        "help",
    ]
    assert clauses(normalised("No such mailbox: Locked")) == []
    assert clauses(normalised('"IMAP is disabled"')) == ["imap is disabled"]


def test_every_rule_is_of_known_ideas_and_every_idea_of_use() -> None:
    used = {idea for rule in RULES for idea in (*rule.ideas, *rule.without)}
    assert used == set(IDEAS)
    for idea, stems in IDEAS.items():
        for stem in stems.split("|"):
            assert normalised(stem) == stem, (idea, stem)
            assert stem.strip("_"), idea


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Too many connections from your IP address, try again in 20 seconds", True),
        ("too many logins from this host, slow down", True),
        ("Rate limit for your IP exceeded", True),
        ("Слишком много соединений с вашего адреса", True),
        (
            "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            False,
        ),
        ("Too many simultaneous connections to this account", False),
        ("Too many connections", False),
        ("This IP address is not allowed for this mailbox", False),
    ],
)
def test_whether_it_is_about_the_address_that_asks(text: str, found: bool) -> None:
    error = refused(text)
    assert error is not None
    assert error.of_address is found
