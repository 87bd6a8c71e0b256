"""Rules for refusals that are not in the table `sourced_replies`, in any language.

An idea is a list of words in lower case. Each is compared with the beginning of a word, so endings
do not matter. `_` at the end asks for the whole word; `*` stands for any text in between. A rule
names the ideas that one clause of a reply must have together, and those that it must not have. The
first rule that fits counts. All of this follows from the languages alone. Known sentences of
providers are in `sourced_replies`, which is read first.

One file: a table whose order counts, and the words that it uses.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from reconciler.model.refusal_meaning import Meaning as M  # as in the tables beside it

IDEAS: dict[str, str] = {
    "protocol": (
        "imap|pop_|pop3|pop/|third-party|third party|mail client|email client|e-mail client|"
        "mail program|external client|external access|this service_|почтовых клиент|"
        "почтовых програм|почтовые клиент|почтовые програм|сторонних програм|mailprogram|"
        "e-mail-program|客户端|メールソフト|메일 프로그램|외부 메일"
    ),
    "off": (
        "disabled|disable_|deactivated|off_|switched off|turned off|not enabled|not * enabled|"
        "isn't * enabled|isn't enabled|hasn't been enabled|aren't enabled|not activated|not active|"
        "not * activated|not available|isn't available|not allowed|not * allowed|isn't allowed|"
        "aren't allowed|not permitted|isn't permitted|not * permitted|not authorized|"
        "not authorised|unauthorized|no permission|not open_|not opened|not included|"
        "does not include|doesn't include|not part of|restricted|prohibited|forbidden|denied|"
        "blocked|paid users|paid plan|premium|upgrade|pro users only|requires a paid|"
        "not subscribed|not supported for|not provisioned|отключ|выключ|запрещ|не разреш|не включ|"
        "недоступен для|закрыт доступ|нет доступа|вимкнен|заборонен|deaktiviert|nicht aktiv|"
        "nicht * aktiviert|abgeschaltet|ausgeschaltet|nicht erlaubt|nicht * erlaubt|"
        "nicht freigeschaltet|nicht * freigeschaltet|nicht freigegeben|nicht zugelassen|"
        "nicht * zugelassen|gesperrt|désactiv|desactiv|refusé|rechazad|rifiutat|non autoris|"
        "pas autoris|pas * autoris|n'est pas activ|pas activ|non activ|interdit|deshabilit|"
        "no está habilitad|no habilitad|no permitid|no está permitid|desabilit|não está habilitad|"
        "não habilitad|não permitid|não está ativ|não ativ|bloquead|disabilitat|disattivat|"
        "non abilitat|non attiv|non * attiv|non * abilitat|non consentit|wyłączon|nie jest włączon|"
        "niedozwolon|zablokowan|nie jest aktywn|nieaktywn|zakázán|vypnut|není povolen|nepovolen|"
        "uitgeschakeld|niet ingeschakeld|niet toegestaan|niet geactiveerd|devre dışı|inaktiverad|"
        "已关闭|关闭|關閉|未开启|未開啟|未启用|未啟用|未开通|未開通|没有开启|没有开通|禁用|停用|"
        "不支持|不允许|无效になって|無効|許可されて|利用できません|有効になっていません|사용 안함|"
        "사용안함|사용하지 않|비활성|꺼져|허용되지|허용하지 않"
    ),
    "on": (
        "enable_|enabling|turn on_|turn it on|switch on_|switch it on|activate_|must be enabled|"
        "must be activated|needs to be enabled|has to be enabled|включите|разрешите|увімкніть|"
        "aktivieren|einschalten|freischalten|activez|activer|veuillez activer|habilite_|habilitar|"
        "active_ el|activar|ative_|ativar|abilita_|abilitare|attiva_|attivare|włącz|povolte|"
        "zapněte|inschakelen|schakel|开启|開啟|启用|啟用|开通|有効に|설정해|사용하도록"
    ),
    "account": (
        "account|user_|users_|login is|login has|your login|username is|mailbox|profile|"
        "subscription|licen|domain is|domain has|учетн|учётн|аккаунт|пользовател|ящик|почтов|конто|"
        "обліков|скриньк|konto|kontos|benutzer|postfach|zugang_|compte|boîte|utilisateur|cuenta|"
        "usuario|buzón|conta_|usuário|caixa|utente|utenza|casella|użytkownik|skrzynk|účet|uživatel|"
        "schránk|gebruiker|postbus|hesap|kontot|账户|账号|帐号|帐户|帳號|帳戶|用户|用戶|邮箱|郵箱|"
        "アカウント|ユーザ|계정|사용자"
    ),
    "locked": (
        "locked|lockout|lock-out|disabled|blocked|suspended|frozen|deactivated|inactive|not active|"
        "isn't active|terminated|banned|closed_|cancelled|canceled|has expired|is expired|expired_|"
        "on hold|restricted|barred|revoked|not activated|logged out|abnormal|заблок|отключ|"
        "приостанов|деактив|закрыт|удален|неактив|блокирован|заморож|gesperrt|sperrung|deaktiviert|"
        "gelöscht|bloqué|suspendu|désactivé|verrouill|bloquead|suspendid|deshabilitad|suspens|"
        "desativad|inativ|bloccat|sospes|disabilitat|disattivat|scadut|zablokowan|zawieszon|"
        "wyłączon|nieaktywn|zablokován|zakázán|pozastaven|deaktivován|geblokkeerd|opgeschort|"
        "vergrendeld|askıya|kilitl|spärra|låst|冻结|凍結|锁定|鎖定|停用|封禁|封停|被封|异常|禁用|"
        "ロック|停止|無効|잠겼|잠김|잠겨|정지|차단"
    ),
    "password": (
        "password|anwendungspasswort|anwendungskennwort|gerätepasswort|apppasswort|app-passwort|"
        "applicatiewachtwoord|app-wachtwoord|passwd|passcode|passwort|kennwort|пароль|пароля|"
        "паролем|паролі|mot de passe|contraseña|clave_|senha|parola_|hasł|hesl|wachtwoord|şifre|"
        "lösenord|密码|密碼|パスワード|비밀번호|암호"
    ),
    "credentials": (
        "password|passwd|passcode|credential|user name|username|userid|user id|login_|login/|"
        "passwort|kennwort|benutzername|zugangsdaten|anmeldedaten|парол|логин|имя пользовател|"
        "учётные данные|учетные данные|логін|mot de passe|identifiant|nom d'utilisateur|contraseña|"
        "usuario|senha|usuário|credenciais|credencial|utente|credenzial|parola_|hasł|użytkownik|"
        "nazwa|login|hesl|jméno|přihlašovac|wachtwoord|gebruikersnaam|şifre|lösenord|密码|密碼|"
        "用户名|用戶名|账号或|帐号或|パスワード|ユーザー名|비밀번호|아이디|암호"
    ),
    "wrong": (
        "wrong|incorrect|invalid|bad_|not accepted|not correct|mismatch|doesn't match|"
        "does not match|not recogni|unknown user|falsch|ungültig|nicht korrekt|stimmt nicht|неверн|"
        "неправильн|ошибочн|некорректн|невірн|erroné|non valide|invalide|mauvais|erróne|inválid|"
        "no válid|equivocad|incorret|errad|errat|sbagliat|non valid|non corret|błędn|nieprawidłow|"
        "niepoprawn|zły|špatn|chybn|neplatn|nesprávn|onjuist|verkeerd|ongeldig|yanlış|hatalı|"
        "felaktig|错误|錯誤|不正确|不正確|有误|不匹配|間違|正しくありません|誤り|違い|올바르지|"
        "잘못|일치하지|틀렸"
    ),
    "application": (
        "application|app_|app-|apps_|third-party|third party|external|device|generated|приложени|"
        "внешн|застосунк|anwendung|gerät|aplicación|aplicaciones|aplicativo|applicazion|aplikac|"
        "toepassing|uygulama|アプリ|应用|應用|专用|專用|授权|授權|독립|애플리케이션|앱"
    ),
    "second factor": (
        "two-factor|two factor|2-factor|second factor|2-step|two-step|two step|2fa_|mfa_|tfa_|otp_|"
        "totp|multi-factor|multifactor|multi factor|двухфактор|двухэтапн|двофактор|zwei-faktor|"
        "zweifaktor|2-faktor|zwei-schritt|deux facteurs|double authentification|deux étapes|"
        "dos factores|doble factor|dos pasos|dois fatores|duas etapas|due fattori|due passaggi|"
        "dwuskładnik|dwuetap|dvoufáz|dvoufaktor|tweestaps|twee-factor|二次验证|两步|兩步|双重认证|"
        "二段階|2段階|2단계"
    ),
    "oauth": "oauth|xoauth2|oauthbearer|modern auth|sign in with|bearer token",
    "wanted": (
        "use_|using_|required|requires|require_|must|only|instead|please|need|mandatory|necessary|"
        "upgrade|необходим|требует|используйте|нужен|только|потрібен|erforderlich|benötig|"
        "verwenden|nutzen|nur_|nécessaire|obligatoire|utilise|requis|necesari|obligatori|obrigat|"
        "necessári|utilizza|necessari|richiest|wymagan|użyj|konieczn|vyžad|použijte|vereist|"
        "gebruik|gerekli|请|請|需要|使用|必要|ください|필요|사용"
    ),
    "basic": (
        "basic auth|legacy auth|basic-auth|password login|password authentication|password-based|"
        "username and password auth|plain password|passwords are|passwords for"
    ),
    "no more": (
        "disabled|blocked|not supported|unsupported|no longer|not accepted|deprecated|retired|"
        "turned off|not allowed|not permitted|switched off|removed|refused|isn't supported"
    ),
    "traffic": (
        "bandwidth|traffic|download|transfer limit|transfer quota|data transfer|transfer allowance|"
        "data volume|data allowance|data limit|трафик|скачив|загрузк|datenvolumen|"
        "übertragungsvolumen|datentransfer|volumen|trafic_|bande passante|téléchargement|"
        "ancho de banda|tráfico|descarga|tráfego|largura de banda|traffico|transfer_|transferu|"
        "łącza|přenos|dataverkeer|流量|下载|下載|带宽|頻寬|転送量|ダウンロード|帯域|트래픽|다운로드"
    ),
    "exceeded": (
        "limit|quota|exceed|превысил|used up|exhausted|too much|reached|over_|allowance|maxed|"
        "превыш|исчерп|лимит|überschritten|erschöpft|aufgebraucht|erreicht|dépass|atteint|épuisé|"
        "superad|excedid|agotad|ultrapass|esgotad|superat|raggiunt|esaurit|przekroczon|wyczerpan|"
        "osiągnięt|překročen|vyčerpán|overschreden|bereikt|aşıldı|超过|超過|超出|上限|用完|已达|"
        "초과"
    ),
    "storage": (
        "quota|mailbox|storage|disk|inbox|speicher|postfach|ящик|хранилищ|boîte|espace|buzón|"
        "almacenamiento|caixa|armazenamento|casella|spazio|skrzynk|schránk|postbus|邮箱|郵箱|容量|"
        "空间|メールボックス|메일함|용량"
    ),
    "full": (
        "full_|voll_|переполн|заполнен|pleine_|plein_|saturée|lleno|llena|cheia|cheio|piena|pieno|"
        "pełn|zapełnion|plná|plný|vol_|dolu|已满|已滿|いっぱい|가득"
    ),
    "mailbox": (
        "mailbox|maildrop|mail drop|mail file|inbox|folder|spool|account|post office|postfach|"
        "konto|ящик|почт|boîte|compte|buzón|cuenta|caixa|conta_|casella|skrzynk|schránk|postbus|"
        "邮箱|郵箱|信箱|メールボックス|메일함"
    ),
    "in use": (
        "in use|already used|being used|is used|is busy|is open_|opened by|open by|already open|"
        "being accessed|locked by|exclusive|already logged in|in gebrauch|verwendet|benutzt|"
        "bereits geöffnet|использу|занят|уже открыт|открыт друг|en cours d'utilisation|utilisée|"
        "utilisé par|déjà ouvert|en uso|está siendo|em uso|já está aberta|in uso|già aperta|"
        "w użyciu|używan|otwart|používán|otevřen|in gebruik|占用|使用中|사용 중|사용중"
    ),
    "lock": (
        "unable to lock|can't get lock|cannot get lock|can't lock|cannot lock|could not lock|"
        "failed to lock|already locked|lock busy|waiting for lock|obtain lock|acquire lock|"
        "get * lock|lockfile|lock file|is your mailbox locked|maildrop is locked|maildrop locked|"
        "mail drop is locked|another pop3 session|using this mailbox|using the mailbox"
    ),
    "other": (
        "another|other_|second_|different|concurrent|someone|multiple|andere|weitere|zweite|друг|"
        "иной|еще один|autre|otra_|otro_|outra|outro|altra|altro|altri_|inna_|inną|inny|innego|"
        "jiná|jinou|jiný|een ander|另一|其他|其它|別の|他の|다른"
    ),
    "program": (
        "session|client|process|program|device|connection|instance|login_|sitzung|prozess|"
        "verbindung|сесси|сеанс|клиент|программ|процесс|подключен|logiciel|sesión|cliente|sessão|"
        "programa|sessione|processo|sesj|sesję|relac|proces|sessie|会话|會話|终端|程序|客户端|"
        "セッション|クライアント|プログラム|세션|프로그램|기기"
    ),
    "holds": (
        "lock|use_|used|using|open|active|access|holds|running|logged|gesperrt|aktiv|geöffnet|"
        "verwendet|benutzt|verrouill|ouverte|utilis|bloquea|abierta|aberta|usando|apert|bloccat|"
        "blokuje|otwart|zamyk|používá|заблок|открыт|использ|активн|занят|占用|打开|使用|锁|ロック|"
        "開い|사용|열"
    ),
    "connections": (
        "connection|session|simultan|concurrent|parallel|login sessions|logins at once|clients_|"
        "подключени|соединени|сесси|одновременн|з'єднан|підключен|verbindung|sitzungen|"
        "gleichzeitig|connexion|conexi|conexõ|sesiones|sessõ|connession|sessioni|contemporane|"
        "połącze|połączn|sesji|jednoczesn|równoczesn|připojení|spojení|relací|současn|verbinding|"
        "gelijktijdig|bağlantı|anslutning|连接|連接|連線|并发|会话|终端|在线|同時|接続|접속|연결|"
        "세션|동시"
    ),
    "many": (
        "too many|already has|too much|limit|maximum|max_|max.|exceed|reached|so many|more than|"
        "allowed per|already open|cap_|zu viele|maximal|anzahl|höchst|erreicht|überschritten|"
        "слишком много|превыш|максимальн|лимит|много|исчерп|забагато|перевищен|trop|nombre max|"
        "limite|atteint|dépass|demasiad|límite|máximo|superad|excedid|muitas|muitos|excesso|troppe|"
        "troppi|massimo|superat|raggiunt|zbyt wiele|zbyt dużo|przekroczon|maksymaln|příliš|"
        "překročen|maximáln|te veel|çok fazla|för många|过多|太多|超过|超過|超出|上限|超限|已满|"
        "过大|限制|多すぎ|초과|많|제한"
    ),
    "attempts": (
        "attempt|request|login|logon|sign-in|sign in|command|poll|quer|access|failures|failed|retr|"
        "operations|попыт|запрос|вход|авторизац|спроб|versuche|anfragen|anmeld|abruf|fehlversuch|"
        "tentative|requête|connexion|intento|solicitud|petición|peticiones|tentativa|requisiç|"
        "acesso|tentativi|richiest|prób|żądań|logowa|pokus|požadav|přihláš|pogingen|verzoeken|"
        "deneme|försök|登录|登入|请求|尝试|次数|操作|失败|ログイン|試行|リクエスト|アクセス|回数|"
        "로그인|시도|요청|횟수"
    ),
    "often": (
        "too many|too often|too frequent|frequently|too fast|too quick|too rapid|rate limit|"
        "rate-limit|rate exceeded|excessive|throttl|frequency|slow down|slow-down|polling rate|"
        "request rate|connection rate|login rate|flood|back off|backoff|back-off|too high|занадто|"
        "превысил|слишком много|слишком част|часто|превыш|забагато|zu häufig|zu oft|zu schnell|"
        "zu viele|trop souvent|trop fréquen|trop de|trop rapide|trop nombreu|demasiad|muy a menudo|"
        "muy rápid|con demasiada|muitas|muitos|com muita frequência|muito rápid|excesso|"
        "troppo spesso|troppi|troppe|troppo frequen|zbyt często|zbyt wiele|zbyt szybk|příliš|"
        "te vaak|te veel|te snel|çok sık|çok fazla|för ofta|för många|频繁|過於頻繁|过多|太多|过快|"
        "太快|频率|超过|多すぎ|頻繁|頻度|너무 많|너무 자주|초과|과도"
    ),
    "spacing": (
        "between logins|before checking|before logging|before connecting|before your next|"
        "only every|once every|once per|at most every|minimum interval|polling interval|"
        "check interval|reduce the frequency|reduce your|less often|less frequent|per minute|"
        "per hour|per day|wait at least"
    ),
    "address": (
        "ip_|ip address|ip-address|ip-adresse|your address|this address|client address|"
        "from your host|from this host|location|country|region_|geo|network_|subnet|ip-адрес|адрес|"
        "стран|регион|land_|standort|adresse ip|votre adresse|pays_|dirección ip|su ip|país|"
        "endereço ip|seu ip|indirizzo ip|paese_|adres ip|kraju|ip adresa|ip adresy|země|locatie|"
        "ip地址|您的ip|所在地|地区|地區|ipアドレス|海外|国外|국가|해외|ip 주소"
    ),
    "barred": (
        "blocked|banned|blacklist|black list|blocklist|denied|not allowed|isn't allowed|refused|"
        "rejected|forbidden|not permitted|restricted|brute force|brute-force|disallowed|prohibited|"
        "unauthorized|listed_|reputation|заблок|запрещ|черн|gesperrt|blockiert|nicht erlaubt|"
        "nicht zugelassen|bloqué|interdit|refusé|bloquead|denegad|prohibid|negad|bloccat|vietat|"
        "zablokowan|odrzucon|zablokován|zakázán|geblokkeerd|geweigerd|engellen|被封|封禁|拒绝|拒絕|"
        "禁止|屏蔽|限制|拒否|ブロック|制限|차단|거부|제한"
    ),
    "person": (
        "browser|suspicious|unusual|captcha|unlock|verify your|verify that|verification|"
        "confirm your identity|confirm it was you|confirm that it|security check|security alert|"
        "sign-in attempt|sign in via|sign in at|log in via|log in at|log in on|login via web|"
        "login on the web|login at http|log in to the web|web login|visit the web|use webmail|"
        "via webmail|through webmail|браузер|подозрительн|подтвердите|веб-интерфейс|разблокир|капч|"
        "підтверд|verdächtig|ungewöhnlich|bestätigen sie|verifizier|im web ein|webmailer|"
        "navigateur|suspecte|inhabituel|vérifi|navegador|sospechos|inusual|verifique|suspeit|"
        "incomum|sospett|insolit|verific|przeglądark|podejrzan|zweryfikuj|prohlížeč|podezřel|ověř|"
        "verdacht|tarayıcı|浏览器|瀏覽器|可疑|异地|网页|验证身份|ブラウザ|不審|本人確認|브라우저|"
        "의심|본인 확인|웹에서"
    ),
    "terms": (
        "terms|eula|agreement|privacy policy|consent|conditions|соглашени|условия|политик|угод|"
        "bedingungen|agb_|datenschutz|términos|condiciones|termos|termini|condizioni|regulamin|"
        "warunki|podmínk|voorwaarden|şartlar|协议|條款|条款|規約|약관"
    ),
    "agree": (
        "accept|agree|confirm|review|прим|принят|согла|прийм|akzept|zustimm|bestätig|accepter|"
        "acept|aceit|accett|akcept|zaakcept|souhlas|přijm|potvrď|accepteer|kabul|同意|接受|동의"
    ),
    "tls": (
        "tls_|ssl_|ssl/tls|starttls|stls|encrypt|secure connection|secure channel|verschlüssel|"
        "шифрован|защищенн|chiffr|cifrad|criptograf|crittograf|szyfrow|šifrov|加密|暗号化|암호화"
    ),
    "in the clear": (
        "plaintext|plain text|plain-text|cleartext|clear text|clear-text|unencrypted|insecure|"
        "non-secure|unsecured|unverschlüssel|klartext|незащищ|открытым|en clair|sin cifrar|"
        "in chiaro"
    ),
    "tls wanted": (
        "required|requires|require_|must|need|only|first|enforced|mandatory|use_|erforderlich|"
        "требует|необходим|nécessaire|exigé|necesari|requerid|necessári|obrigat|necessari|richiest|"
        "wymagan|vyžad|vereist|需要|必要|필요"
    ),
    "refused": (
        "disallow|disabled|not allowed|not permitted|refused|forbidden|denied|prohibited|requires|"
        "required|first|must|not supported|nicht erlaubt|erforderlich|запрещ|требует|interdit|"
        "necesari|must issue|must use|needed|only"
    ),
    "expired": (
        "has expired|is expired|expired|must be changed|must change|must be reset|"
        "needs to be reset|needs reset|needs to be changed|has to be changed|change required|"
        "change is required|has to be reset|too old|no longer valid|abgelaufen|geändert werden|"
        "истек|истёк|устарел|необходимо сменить|смените|закінчив|expiré|changer votre|caducad|"
        "expirad|vencid|scadut|wygas|zmienić|vypršel|změnit|verlopen|süresi dol|过期|過期|失效|"
        "期限|만료"
    ),
    "maintenance": (
        "maintenance|mainten.|maintenance_mode|upgrade in progress|being upgraded|обслуживани|"
        "техническ|профилакт|регламентн|wartung|gewartet|en maintenance|mantenimiento|manutenção|"
        "manutenzione|konserwac|prace techniczne|údržb|onderhoud|bakım|underhåll|维护|維護|升级|"
        "メンテナンス|点検|점검"
    ),
    "temporary": (
        "temporar|unavailable|overload|too busy|busy|shutting down|shutdown|shut down|going down|"
        "restarting|internal error|internal server|internal failure|system error|system failure|"
        "system problem|server error|server failure|server problem|server fault|backend|back-end|"
        "back end|upstream|database|cannot connect to|can't connect to|could not connect to|"
        "unable to connect to|connection to storage|i/o error|input/output error|disk error|"
        "offline|out of order|unreachable|not reachable|not ready|out of memory|out of resources|"
        "resources|timed out|timeout|time-out|being migrated|migration|is migrating|"
        "unable to process|could not process|cannot process|being moved|relocat|recovering|"
        "in recovery|session expired|session has expired|session invalid|session timed|"
        "connection is closed|connection closed|service closing|technical problem|"
        "technical difficult|временн|недоступ|перегруж|внутренняя ошибка|ошибка сервера|сбой|"
        "технические неполадк|тимчасов|недоступн|vorübergehend|zeitweise|nicht verfügbar|"
        "nicht erreichbar|überlastet|interner fehler|serverfehler|störung|momentané|temporaire|"
        "indisponible|surchargé|erreur interne|erreur serveur|incident|temporal|no disponible|"
        "no está disponible|sobrecarg|error interno|error del servidor|temporári|indisponív|"
        "erro interno|erro no servidor|erro do servidor|temporane|non disponibile|sovraccaric|"
        "errore interno|errore del server|chwilow|tymczasow|niedostępn|przeciążon|błąd serwera|"
        "błąd wewnętrzny|dočasně|nedostupn|přetížen|vnitřní chyba|chyba serveru|tijdelijk|"
        "niet beschikbaar|overbelast|geçici|tillfällig|暂时|暫時|不可用|繁忙|忙_|系统忙|系統忙|"
        "服务器忙|内部错误|系统错误|服务器错误|一時的|混み合って|サーバーエラー|内部エラー|"
        "利用できない状態|일시적|서버 오류|내부 오류|시스템 오류"
    ),
    "again": (
        "try again|please wait|must wait|have to wait|подожд|bitte warten|patienter|espere_|"
        "attendere|poczekaj|počkejte|请等待|請等待|お待ち|기다려|retry|try later|try once more|"
        "try after|come back|later_|reconnect in|reconnect after|reconnect later|повтор|попробуйте|"
        "позже|позднее|через несколько|спробуйте|пізніше|erneut versuchen|versuchen sie|später|"
        "noch einmal|réessay|ultérieurement|plus tard|intent|intént|más tarde|reinténtelo|tente|"
        "mais tarde|riprov|più tardi|ritent|spróbuj|później|ponów|zkuste|později|opnieuw|probeer|"
        "tekrar dene|försök igen|重试|重試|再试|再試|稍后|稍後|稍候|再度|再試行|後ほど|しばらく|"
        "다시 시도|나중에|잠시 후"
    ),
    "syntax": (
        "command|syntax|argument|parameter|state_|parse|line too long|literal|capability|mechanism|"
        "extension|mailbox name|folder name|characters|flag|keyword|charset|search|message number|"
        "sequence|uid_|uids_|команд|befehl|commande|comando|polecen|příkaz|命令|コマンド|명령"
    ),
    "or": "or_|either|или|oder_|ou_|o_|lub_|nebo|或|または|또는",
    "thing": (
        "attachment|recipient|attach|hop|nested|mime|header|literal|argument|parameter|flag|"
        "keyword|folder|mailboxes|messages|redirect|errors|vertices|levels|parts|unknown command|"
        "invalid command|bad command|invalid imap command|invalid pop|syntax|неизвестн"
    ),
}


class Rule(NamedTuple):
    """The meaning of a clause with all of `ideas` and none of `without`."""

    meaning: M | None
    ideas: tuple[str, ...]
    without: tuple[str, ...] = ()


def _rule(meaning: M | None, ideas: str, without: str = "") -> Rule:
    return Rule(meaning, tuple(ideas.split(", ")), tuple(without.split(", ")) if without else ())


RULES: tuple[Rule, ...] = (
    _rule(M.TLS_WANTED, "in the clear, refused"),
    _rule(M.TLS_WANTED, "tls, tls wanted", "wrong, temporary, many"),
    _rule(M.TEMPORARY, "maintenance"),
    _rule(M.OAUTH2, "oauth, wanted", "wrong, expired, temporary, many, application, syntax"),
    _rule(M.OAUTH2, "basic, no more", "application"),
    _rule(M.PASSWORD_EXPIRED, "password, expired", "application"),
    _rule(M.OFF_OR_PASSWORD, "protocol, off, credentials, wrong"),
    _rule(M.OFF_OR_PASSWORD, "protocol, off, credentials, or"),
    _rule(M.OFF_OR_PASSWORD, "protocol, on, credentials, or"),
    _rule(M.WRONG_PASSWORD, "credentials, wrong, or, locked"),
    _rule(M.APP_PASSWORD, "application, password", "many, often"),
    _rule(M.APP_PASSWORD, "second factor", "many, often"),
    _rule(M.BANDWIDTH, "traffic, exceeded"),
    _rule(M.THROTTLED, "attempts, often", "thing, in use"),
    _rule(M.CONNECTIONS, "connections, many", "thing, often, spacing, temporary"),
    _rule(M.CONNECTIONS, "connections, many", "thing, spacing"),
    _rule(M.THROTTLED, "spacing"),
    _rule(M.THROTTLED, "often", "thing"),
    _rule(M.BLOCKED, "address, barred", "protocol, account"),
    _rule(M.IN_USE, "mailbox, in use", "syntax"),
    _rule(M.IN_USE, "other, program, holds", "syntax"),
    _rule(M.IN_USE, "lock"),
    _rule(M.OVER_QUOTA, "storage, full"),
    _rule(M.OVER_QUOTA, "storage, exceeded", "attempts"),
    _rule(M.TERMS, "terms, agree"),
    _rule(M.WEB_LOGIN, "person", "address"),
    _rule(M.BLOCKED, "address, barred", "protocol"),
    _rule(M.TEMPORARY, "temporary, protocol", "locked"),
    _rule(M.PROTOCOL_OFF, "protocol, off", "syntax, wrong"),
    _rule(M.PROTOCOL_OFF, "protocol, on", "syntax, wrong"),
    _rule(M.LOCKED, "account, locked", "in use"),
    _rule(M.WRONG_PASSWORD, "credentials, wrong", "syntax"),
    _rule(M.TEMPORARY, "temporary", "syntax"),
    _rule(M.LATER, "again"),
)
_SENTENCE = re.compile(r"[.;!?](?= |$)|[。；！？]|: | - | -- ")
_CLAUSE = re.compile(r"[.;!?,](?= |$)|[。；！？，、]|: | - | -- ")
_QUOTED = re.compile(r'(?<![=\w])"[^"]*"|«[^«»]*»')
_NAMED = re.compile(
    r"(?:no such|unknown|nonexistent|not exist|n't exist|not found|invalid)(?: mailbox| folder)?"
    r"(?: name)?:|"
    r"\bsubject:"
)
"""Words before a name, or before a text that a person wrote; both are not read."""


def clauses(words: str, *, commas: bool = False) -> list[str]:
    """Return the sentences of a normalised reply, without quoted texts.

    With `commas`, commas end a part, too.
    """
    bare = _QUOTED.sub(" ", words)
    if not any(letter.isalnum() for letter in bare):
        bare = words.replace('"', " ")
    if named := _NAMED.search(bare):
        bare = bare[: named.start()]
    return [
        clause
        for part in (_CLAUSE if commas else _SENTENCE).split(bare)
        if (clause := part.strip())
    ]
