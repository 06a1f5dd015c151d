"""One webhook ends in time whatever its receiver does, and a certificate is checked for the name of the URL."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_django import Settings

from tasks.webhooks import request
from tasks.webhooks.request import EXCERPT_BYTES, send
from tests.webhook_receivers import LOOPBACK, Receiver, allowing_loopback, answers, closes, drips, hangs, receiving


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> None:
    settings.BATCHREEL = allowing_loopback(webhook_private_hosts=[LOOPBACK, "hooks.example.org", "other.example.org"])


@pytest.mark.parametrize(
    ("behave", "status", "error"),
    [
        (answers("200 OK"), 200, ""),
        (answers("204 No Content"), 204, ""),
        (answers("500 Internal Server Error"), 500, "STATUS 500"),
        (answers("410 Gone"), 410, "STATUS 410"),
        (answers("307 Temporary Redirect"), 307, "STATUS 307: redirects are not followed"),
        (hangs, None, "TIMEOUT no response within 0.5 s"),
        (drips, None, "TIMEOUT no response within 0.5 s"),
        (closes, None, "CONNECTION "),
    ],
)
def test_outcome_is_known_in_time_when_a_receiver_misbehaves(
    behave: Callable[[Receiver, socket.socket], None], status: int | None, error: str
) -> None:
    with receiving(behave) as receiver:
        outcome = send(receiver.url, body=b"{}", headers={}, timeout_s=0.5)
    assert (outcome.status, outcome.error[: len(error)]) == (status, error)
    assert outcome.is_success == (not error)
    assert outcome.duration_s < 2
    assert [body for _, body in receiver.requests] == [b"{}"]


def test_little_of_the_body_is_read_when_a_response_never_ends() -> None:
    def endless(receiver: Receiver, client: socket.socket) -> None:
        receiver.read(client)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not receiver.stopped.is_set():
            client.sendall(b"\x00<b>\n" * 1000)

    with receiving(endless) as receiver:
        outcome = send(receiver.url, body=b"{}", headers={}, timeout_s=1)
    assert outcome.is_success
    assert outcome.excerpt.startswith("<b> <b>")
    assert len(outcome.excerpt) <= EXCERPT_BYTES
    assert outcome.excerpt.isprintable()


def test_status_counts_when_only_the_body_of_the_response_hangs() -> None:
    def hanging_body(receiver: Receiver, client: socket.socket) -> None:
        receiver.read(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
        receiver.stopped.wait()

    with receiving(hanging_body) as receiver:
        outcome = send(receiver.url, body=b"{}", headers={}, timeout_s=0.5)
    assert (outcome.status, outcome.error) == (200, "")


def test_nothing_is_sent_when_resolving_the_name_took_all_the_time() -> None:
    def slow(*_: object) -> list[str]:
        ends_at_s = time.monotonic() + 0.2
        while time.monotonic() < ends_at_s:
            pass
        return [LOOPBACK]

    with receiving(answers("200 OK")) as receiver:
        outcome = send(receiver.url, body=b"{}", headers={}, timeout_s=0.1, resolve=slow)
    assert outcome.error == "TIMEOUT no response within 0.1 s"
    assert receiver.connections == 0


def test_second_address_is_used_when_the_first_refuses_connections() -> None:
    with socket.create_server((LOOPBACK, 0)) as unused:
        port = unused.getsockname()[1]
    with receiving(answers("200 OK")) as receiver:
        url = f"http://hooks.example.org:{receiver.port}/"
        outcome = send(url, body=b"{}", headers={}, timeout_s=1, resolve=lambda *_: ["127.0.0.2", LOOPBACK])
        assert outcome.is_success
        ((headers, _),) = receiver.requests
        assert headers["host"] == f"hooks.example.org:{receiver.port}"
    assert send(f"http://{LOOPBACK}:{port}/", body=b"", headers={}, timeout_s=1).error.startswith("CONNECTION")


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a certificate for hooks.example.org with its key; webhooks trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.org")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.org")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(cafile=str(path))
    monkeypatch.setattr(request, "_ssl_context", lambda: context)
    return path


def test_certificate_is_checked_for_the_name_when_the_connection_goes_to_an_address(certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    names: list[str | None] = []
    server.sni_callback = lambda _, name, __: names.append(name)

    def over_tls(receiver: Receiver, client: socket.socket) -> None:
        with server.wrap_socket(client, server_side=True) as secured:
            answers("200 OK")(receiver, secured)

    with receiving(over_tls) as receiver:
        outcomes = {
            host: send(
                f"https://{host}:{receiver.port}/", body=b"{}", headers={}, timeout_s=2, resolve=lambda *_: [LOOPBACK]
            )
            for host in ("hooks.example.org", "other.example.org")
        }
    assert outcomes["hooks.example.org"].status == 200
    assert outcomes["other.example.org"].error.startswith("CERTIFICATE Hostname mismatch")
    assert names == ["hooks.example.org", "other.example.org"]
    assert len(receiver.requests) == 1


def test_handshake_ends_in_time_when_a_receiver_drips(certificate: Path) -> None:
    def dripping(receiver: Receiver, client: socket.socket) -> None:
        client.sendall(b"\x16\x03\x03\x40\x00")
        while not receiver.stopped.wait(0.05):
            client.sendall(b"\x02")

    with receiving(dripping) as receiver:
        url = f"https://hooks.example.org:{receiver.port}/"
        outcome = send(url, body=b"{}", headers={}, timeout_s=0.5, resolve=lambda *_: [LOOPBACK])
    assert outcome.error == "TIMEOUT no response within 0.5 s"
    assert outcome.duration_s < 2
