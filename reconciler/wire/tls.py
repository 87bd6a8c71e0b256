"""TLS that always verifies: chain and name, or the pinned certificate (hazards T5, T6, T8, T10).

A context made here cannot be used without its check: a pinned certificate is compared in the
handshake itself, before any octet of ours is sent.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import socket
import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from reconciler.model.errors import ConnectionFailed, TlsRefused
from reconciler.model.manifest_policy import allowed
from reconciler.wire.confined_files import opened_within
from reconciler.wire.endpoint import Endpoint

_PROBE_SECONDS = 5.0
"""For the second connection that asks for a certificate's names."""
_CA_FILE = 4 << 20
"""Octets of the largest CA file; the system's whole collection has 220 KB."""
_PEM = re.compile("-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\\s]*)-----END ")
_REFUSALS = {  # X509_V_ERR_… of OpenSSL
    9: "its certificate is not valid yet; is the clock right?",
    10: "its certificate has expired",
    18: "its certificate is self-signed; declare {}.caFile to trust it",
    19: "its certificate's CA is not known here; declare {}.caFile to trust it",
    20: "its certificate's CA is not known here; declare {}.caFile to trust it",
    21: (
        "its certificate's CA is not known here, or the server does not send its intermediate "
        "certificates"
    ),
    23: "its certificate is revoked",
}
_NAME_MISMATCH = (62, 64)
_FAILURES = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port; is `tls: starttls` meant?",
    "HTTP_REQUEST": "it does not speak TLS on this port",
    "UNSUPPORTED_PROTOCOL": "it offers only TLS versions older than 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it offers only TLS versions older than 1.2",
}


def client_context(ca_file: str | None, fingerprint: str | None) -> ssl.SSLContext:
    """Return a context of TLS 1.2 or later that checks chain and name, or a pinned certificate.

    Contexts are shared where possible: loading the system's CAs costs more than a handshake.
    Raises `TlsRefused` where `ca_file` cannot be read.
    """
    if fingerprint is not None:
        return _Pinned(fingerprint)
    try:
        return _shared(ca_file, _version(ca_file))
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise TlsRefused(
            f"The CAs in {ca_file or 'the system'} cannot be read: {reason}"
        ) from error


def wrap(raw: socket.socket, endpoint: Endpoint) -> ssl.SSLSocket:
    """Wrap a socket in TLS; `handshake` must follow.

    An end without close_notify is an error (hazard T11). Raises `ConnectionFailed`.
    """
    context = client_context(endpoint.ca_file, endpoint.fingerprint)
    try:
        return context.wrap_socket(
            raw,
            server_hostname=endpoint.tls_name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
    except (OSError, ValueError) as error:
        raise ConnectionFailed(f"{endpoint}: TLS cannot begin: {error}") from error


def handshake(wrapped: ssl.SSLSocket, endpoint: Endpoint) -> None:
    """Make the handshake within the socket's time-out.

    Raises `TlsRefused`, or OSError where the connection breaks.
    """
    try:
        wrapped.do_handshake()
    except ssl.SSLCertVerificationError as error:
        raise TlsRefused(f"{endpoint}: {_refusal(error, wrapped, endpoint)}") from error
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
        raise
    except ssl.SSLError as error:
        reason = _FAILURES.get(error.reason or "", f"TLS failed: {error.reason or error}")
        raise TlsRefused(f"{endpoint}: {reason}") from error


class _Pinned(ssl.SSLContext):
    """A context that trusts one certificate, whatever its issuer and its names are."""

    digest: str

    def __new__(cls, fingerprint: str) -> _Pinned:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.digest = fingerprint.removeprefix("sha256:").replace(":", "").lower()
        return context

    def __init__(self, fingerprint: str) -> None:
        """Do nothing: `__new__` sets everything, as `ssl.SSLContext` demands."""

    def wrap_bio(self, *arguments: object, **options: object) -> NoReturn:
        """Refuse: in-memory TLS would escape the check of `_PinnedSocket`."""
        raise NotImplementedError("a pinned certificate is checked by the socket")


class _PinnedSocket(ssl.SSLSocket):
    """Compares the certificate as a part of the handshake."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        pinned = self.context.digest if isinstance(self.context, _Pinned) else None
        found = hashlib.sha256(self.getpeercert(binary_form=True) or b"").hexdigest()
        if found != pinned:
            raise ssl.SSLCertVerificationError(
                f"its certificate's fingerprint is now sha256:{found}, not the declared one; if "
                "the operator confirms the new certificate, declare it in the field fingerprint"
            )


_Pinned.sslsocket_class = _PinnedSocket


# `version` is a part of the cache's key only
@functools.lru_cache(maxsize=64)
def _shared(ca_file: str | None, version: tuple[int, int, int]) -> ssl.SSLContext:  # noqa: ARG001
    return _verifying(ca_file)


def _version(ca_file: str | None) -> tuple[int, int, int]:
    """Return what changes when the CA file does: mtime, inode and size."""
    path = ca_file or ssl.get_default_verify_paths().cafile
    if not path:
        return (0, 0, 0)
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


def _verifying(ca_file: str | None) -> ssl.SSLContext:
    # CERT_REQUIRED and check_hostname are the defaults of PROTOCOL_TLS_CLIENT.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        with opened_within(ca_file, allowed().ca_files, "CA file") as place:
            context.load_verify_locations(cadata=_certificates(place))
        # The file may hold the server's certificate itself, without its CA.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def _certificates(path: str) -> str | bytes:
    """Return the certificates of a file: PEM as text, DER as octets. Raises OSError, ValueError."""
    # Read here with a bound, from a regular file only: OpenSSL would read a FIFO or /dev/zero for
    # ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a file")
        data = file.read(_CA_FILE + 1)
    if len(data) > _CA_FILE:
        raise ValueError(f"it is over {_CA_FILE >> 20} MiB")
    if b"-----BEGIN" not in data:
        return data
    # Texts between the blocks may be in any encoding.
    blocks = _PEM.findall(data.decode("latin-1"))
    return "\n".join(
        f"-----BEGIN CERTIFICATE-----{block}-----END CERTIFICATE-----" for block in blocks
    )


def _refusal(
    error: ssl.SSLCertVerificationError, wrapped: ssl.SSLSocket, endpoint: Endpoint
) -> str:
    code = getattr(error, "verify_code", None)
    if code is None:
        return str(error.args[0])
    if code in _NAME_MISMATCH:
        names = ", ".join(_names(wrapped, endpoint)) or "other names"
        return f"its certificate is for {names}, not for {endpoint.tls_name}"
    known = _REFUSALS.get(code)
    return (
        known.format(endpoint.declared_in)
        if known
        else f"its certificate is refused: {error.verify_message}"
    )


def _names(refused: ssl.SSLSocket, endpoint: Endpoint) -> list[str]:
    """Return the names in a certificate whose chain is good but whose name was refused.

    OpenSSL does not tell them, so a second connection asks for them, through which nothing is
    sent. Empty with STARTTLS, which `wire` does not speak.
    """
    if endpoint.tls != "implicit":
        return []
    context = _verifying(endpoint.ca_file)
    context.check_hostname = False
    try:
        with (
            socket.create_connection(refused.getpeername()[:2], _PROBE_SECONDS) as raw,
            context.wrap_socket(raw, server_hostname=endpoint.tls_name) as probe,
        ):
            certificate: Mapping[str, Any] = probe.getpeercert() or {}
            return [name for _, name in certificate.get("subjectAltName", ())]
    except OSError:
        return []
