"""The configuration of a private Dovecot, for 2.3 (Debian 12) and for 2.4 (Debian 13): they read no
common one.

2.4 wants to be told the version that a configuration was written for, names the sections of passdb
and userdb, has settings of their own for what was written in `args`, `mail_location`, `ssl_cert`
and the like, and `%{user}` for `%u`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

Version = tuple[int, int]
NEW_SYNTAX: Version = (2, 4)
SERVE_MANY = "SERVE_MANY"
"""In `Wanted.more`: where a service's processes are to serve any number of connections."""
EVERY_SCRIPT = "EVERY_SCRIPT"
"""In `Wanted.more`: addresses of every script by LMTP, and IMAP's UTF8=ACCEPT. 2.3 can do
neither."""
_WORDS = {
    SERVE_MANY: ("service_count = 0", "restart_request_count = unlimited"),
    EVERY_SCRIPT: ("", "mail_utf8_extensions = yes"),
}
"""For the old syntax and for the new one."""


class TokenInfo(Struct, frozen=True):
    """Where to ask whose an access token is, and what of the answer says it. `mode`: get, or post
    (RFC 7662). With `key`, of HS256, tokens are JWTs, and nobody is asked."""

    url: str = ""
    mode: str = "get"
    username: str = "username"
    key: bytes = b""


class Wanted(Struct, frozen=True):
    """What a server is to be like. `unprivileged`: the user and the group that everything runs as,
    where that is not root."""

    root: Path
    addresses: Sequence[str]
    ports: Mapping[str, int]
    owner: tuple[int, int]
    password: str
    mechanisms: str
    token_info: TokenInfo | None = None
    unprivileged: tuple[str, str] | None = None
    more: str = ""


_COMMON = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
protocols = imap pop3 lmtp
listen = {listen}
ssl = yes
auth_mechanisms = {mechanisms}
auth_username_chars =
auth_failure_delay = 0
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_privileged_group =
mail_max_userip_connections = 1000
lmtp_rcpt_check_quota = no
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  SERVE_MANY
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  SERVE_MANY
  process_min_avail = 1
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@localhost
}}
"""
_OLD = """
ssl_cert = <{root}/server.pem
ssl_key = <{root}/server.pem
disable_plaintext_auth = no
auth_username_format = %u
passdb {{
  driver = static
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%u allow_all_users=yes
}}
mail_location = maildir:~/Maildir
"""
_OLD_OAUTH2 = """
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {root}/oauth2.conf
}}
"""
_NEW = """
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
ssl_server_cert_file = {root}/server.pem
ssl_server_key_file = {root}/server.pem
auth_allow_cleartext = yes
auth_username_format = %{{user}}
passdb static {{
  password = {password}
}}
userdb static {{
  allow_all_users = yes
  fields {{
    uid = {uid}
    gid = {gid}
    home = {root}/mail/%{{user}}
  }}
}}
mail_driver = maildir
mail_path = ~/Maildir
namespace inbox {{
  inbox = yes
}}
"""
_TOKENS = """
introspection_url = {url}
introspection_mode = {mode}
username_attribute = {username}
active_attribute = active
active_value = true
"""
_UNPRIVILEGED = """
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
}}
service pop3-login {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


def write(wanted: Wanted, version: Version) -> Path:
    """The configuration, below the server's root; a later call replaces it."""
    new = version >= NEW_SYNTAX
    uid, gid = wanted.owner
    text = (_NEW + _COMMON if new else _COMMON + _OLD).format(
        root=wanted.root,
        listen=" ".join(wanted.addresses),
        mechanisms=wanted.mechanisms,
        password=wanted.password,
        uid=uid,
        gid=gid,
        **wanted.ports,
    )
    if wanted.token_info is not None:
        tokens = (
            _jwt(wanted.root, wanted.token_info, new=new)
            if wanted.token_info.key
            else _TOKENS.format(**asdict(wanted.token_info))
        )
        text += _oauth2(wanted, tokens, new=new)
    if wanted.unprivileged is not None:
        user, group = wanted.unprivileged
        text += _UNPRIVILEGED.format(user=user, group=group)
    path = wanted.root / "dovecot.conf"
    text += wanted.more
    for word, said in _WORDS.items():
        text = text.replace(word, said[new])
    path.write_text(text)
    return path


def _jwt(root: Path, info: TokenInfo, *, new: bool) -> str:
    """The key lies where Dovecot looks for that of a client without a name,
    DIRECTORY/CLIENT/ALGORITHM/KEY."""
    place = root / "keys/default/HS256"
    place.mkdir(parents=True, exist_ok=True)
    (place / "default").write_bytes(base64.b64encode(info.key))
    keys = (
        "oauth2_local_validation {\n dict fs {\n fs posix {\n"
        f" prefix = {root}/keys/\n }}\n }}\n}}\n"
        if new
        else f"local_validation_key_dict = fs:posix:prefix={root}/keys/\n"
    )
    return f"\nintrospection_mode = local\nusername_attribute = {info.username}\n{keys}"


def _oauth2(wanted: Wanted, tokens: str, *, new: bool) -> str:
    if new:
        return f"oauth2 {{{tokens}}}\n"
    (wanted.root / "oauth2.conf").write_text(tokens)
    return _OLD_OAUTH2.format(root=wanted.root)
