"""Every rule by its id. Ids are stable: people silence and search for them."""

from __future__ import annotations

RULES: dict[str, str] = {
    # The file
    "file-unreadable": "The file or directory cannot be opened or read.",
    "file-name": "The name of a file or directory is not UTF-8.",
    "file-not-regular": "What bears a manifest's name is a directory, FIFO, socket or device.",
    "file-too-large": "The file is larger than 1 MiB.",
    "directories-too-deep": "Directories are nested more than 64 deep.",
    "too-many-entries": "More than 200,000 names below the directory, or 20,000 behind a link that "
    "leads out.",
    "link-leads-out": "A link leads out of the directory to a file that holds no manifest, or to a "
    "directory that holds the manifests' own.",
    "internal": "Reading the file met a defect of mailcollector: please report it.",
    "empty-file": "The file holds no manifest, only comments or nothing at all.",
    "not-utf8": "The file is not UTF-8.",
    "control-character": "A control character, an unusual line separator, or a line break in a "
    "one-line value.",
    # YAML
    "syntax": "The file is not YAML.",
    "tab": "A tab where YAML wants spaces.",
    "duplicate-key": "A key stands twice in one mapping.",
    "bad-key": "A key is a list, a mapping or an alias.",
    "merge-key": "`<<` merges mappings; manifests do not.",
    "tag": "A tag such as `!!str` or `!include`.",
    "unknown-alias": "An alias whose anchor does not stand before it in the same document.",
    "recursive-alias": "An alias inside of what it stands for.",
    "alias-bomb": "Aliases add more than 1,000 values to the file.",
    "too-deep": "Values are nested more than 64 deep.",
    "too-many-values": "The file holds more than 20,000 values.",
    "ambiguous-number": "A number that YAML readers disagree about: 010, 0x1F, 1e400, .nan.",
    # The schema
    "too-many-errors": "A manifest that is invalid, below a thousand errors in the same file.",
    "unknown-version": "`apiVersion` is not `mailcollector/v1`.",
    "unknown-kind": "`kind` is none of `MailCollector`, `Destination` and `Template`.",
    "unknown-key": "No such field, or not here.",
    "missing-key": "A field that must be there is not.",
    "exactly-one": "None of several fields is there, or more than one, where exactly one must be.",
    "no-value": "A key without a value.",
    "empty-value": "A text or list without content.",
    "type": "A value of the wrong type, for example a number where text belongs.",
    "choice": "A word that is none of the allowed ones.",
    "out-of-range": "A number that is too small or too large.",
    "too-long": "A text that is too long.",
    "interval": "Not an interval from 5s to 24h.",
    "timeout": "Not a time from 10s to 10m.",
    "size": "Not a size such as 50MiB.",
    "name": "Not a DNS label.",
    "address": "Not a mail address, or one with an impossible domain.",
    "host": "Not a host name or IP address.",
    "domain": "Not a domain name.",
    "local-part": "Not the local part of an address.",
    "variable": "Not the name of an environment variable.",
    "fingerprint": "Not a SHA-256 fingerprint.",
    "header": "Not the name of a header.",
    "model": "Refused by the model although the schema accepts it: a defect of mailcollector, "
    "please report it.",
    # What fields say together
    "imap-only": "`folders` or `push` with `protocol: pop3`.",
    "fingerprint-and-ca": "`fingerprint` and `caFile` together: the fingerprint replaces the check "
    "that the CA is for.",
    "tls-option-without-tls": "`fingerprint` or `caFile` with `tls: none`, where nothing checks "
    "them.",
    "smtp-password-in-clear": "A Destination sends a password without TLS to another machine.",
    "token-url": "`provider: custom` without `tokenUrl` and `issuer`, one of these with a provider "
    "that has its own, an address that is not https, or one on this machine while the mail server "
    "is elsewhere.",
    "oauth2-incomplete": "`oauth2` without `clientId`, or with neither `refreshToken` nor "
    "`clientSecret`.",
    "placeholder": "A Maildir path with braces that are neither {domain} nor {local}, or a "
    "template with a word in braces that is not {name}.",
    "inline-secret": "A secret in the manifest itself. An error; a warning with "
    "--allow-inline-secrets.",
    "template-secret": "A collector takes its template's secret, and says itself where that goes: "
    "`host` or what else decides it, which the template states and does not list as `overridable`.",
    # The policy
    "policy-secret-file": "A file of a secret outside of the directories that the policy allows.",
    "policy-command": "A program that the policy does not allow to run for a secret.",
    "policy-env": "A variable that the policy does not allow.",
    "policy-ca-file": "A CA file outside of the directories that the policy allows.",
    "policy-socket": "A socket outside of the directories that the policy allows.",
    "policy-maildir": "Maildirs outside of the directories that the policy allows.",
    "policy-host": "A host that the policy does not allow to connect to.",
    # A change
    "several-manifests": "More than one manifest, where a change of a collector gives one.",
    "other-manifest": "A change gives a manifest of another kind or name than that of its "
    "collector.",
    # Warnings
    "tls-none": "Credentials or mail travel unencrypted to another machine.",
    "duplicate-item": "The same entry twice in one list.",
    "unreachable-default": "Mail without a known recipient goes to one of the remote domains, or a "
    "Destination is marked as default though every collector names one.",
    "interval-too-short": "The provider of this account does not like such frequent logins.",
    "provider-login": "The provider accepts no account password here: OAuth2 or an app password. A "
    "note; a warning where a password never works.",
    # The directory
    "all-delete-shared": "An all-delete collector takes away mail that another collector reads "
    "too.",
    "shared-account": "Two collectors read the same folder of the same account.",
    "shared-refresh-token": "Two collectors log in by the same OAuth2 refresh token. A note.",
    "refresh-token-in-git": "The file of a refresh token stands in a work tree of git that the "
    "next push replaces.",
    "directory-vanished": "The directory of manifests is not there: everything runs on as it was.",
    "duplicate-name": "Two manifests of one kind bear the same name.",
    "several-defaults": "More than one Destination is marked as default.",
    "unknown-destination": "The collector names a Destination that does not exist. A warning when "
    "only files were given, for it may be in another one.",
    "unknown-template": "The collector names a Template that does not exist. A warning when only "
    "files were given, for it may be in another one.",
    "invalid-template": "The collector names a Template that is invalid, or that stands in two "
    "places.",
    "unused-template": "A Template that no collector names.",
    "no-destination": "The collector names no Destination, and none of those that exist is marked "
    "as default.",
}

WARNINGS = frozenset(
    {
        "tls-none",
        "fingerprint-and-ca",
        "duplicate-item",
        "unreachable-default",
        "interval-too-short",
        "provider-login",
        "all-delete-shared",
        "shared-account",
        "unused-template",
        "shared-refresh-token",
        "refresh-token-in-git",
    }
)
"""Rules that never make a manifest invalid; all others do, but for what their texts say."""


def page(rule: str) -> str:
    """Return the path of a rule's page in the source."""
    return f"docs/rules/{rule}.md"
