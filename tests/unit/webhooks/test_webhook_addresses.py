"""No webhook reaches a private network: 0 connections to any refused address, by number or by name, first or later."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from tasks.webhooks.addresses import RefusedAddressError, check_url
from tasks.webhooks.request import send
from tests.webhook_receivers import LOOPBACK, Receiver, allowing_loopback, answers, receiving

REFUSED = (
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1"),  # noqa: S104 - refused
    *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::7f00:1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1"),
    *("64:ff9b::169.254.169.254", "64:ff9b:1::1", "2001:db8::1", "2002:7f00:1::", "2001:0:4136:e378::1", "100::1"),
    *("fe80::1%lo", "4000::1", "3fff::1", "::ffff:0:0"),
)
PUBLIC = ("93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")
NUMBERS = ("127.1", "2130706433", "0x7f000001", "017700000001", "0")
"""Other spellings of addresses of this machine. The resolver of the system accepts them as names."""


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the addresses to which a connection was begun. None of them is made."""
    begun: list[object] = []

    def connect(_: socket.socket, address: object) -> None:
        begun.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return begun


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(answers("200 OK")) as running:
        yield running


def post(url: str, *, resolve: Callable[[str, int], list[str]]) -> str:
    return send(url, body=b"{}", headers={}, timeout_s=1, resolve=resolve).error


@pytest.mark.parametrize("address", REFUSED)
def test_no_connection_is_begun_when_a_name_has_a_private_or_reserved_address(
    address: str, connected: list[object]
) -> None:
    error = post("https://hooks.example.org/", resolve=lambda *_: ["93.184.215.14", address])
    assert error.startswith("REFUSED hooks.example.org")
    assert connected == []


@pytest.mark.parametrize("address", REFUSED)
def test_no_connection_is_begun_when_the_url_has_a_private_or_reserved_address(
    address: str, connected: list[object]
) -> None:
    host = f"[{address}]" if ":" in address else address
    assert post(f"https://{host}/", resolve=lambda *_: [address]).startswith("REFUSED ")
    assert connected == []


@pytest.mark.parametrize("host", [*NUMBERS, "localhost"])
def test_no_connection_is_begun_when_the_system_resolves_a_host_to_this_machine(
    host: str, connected: list[object]
) -> None:
    assert send(f"https://{host}/", body=b"{}", headers={}, timeout_s=1).error
    assert connected == []


@pytest.mark.parametrize("address", PUBLIC)
def test_connection_is_begun_to_the_checked_address_when_it_is_public(address: str, connected: list[object]) -> None:
    assert post("https://hooks.example.org/", resolve=lambda *_: [address]).startswith("CONNECTION")
    assert [place[:2] for place in connected] == [(address, 443)]


def test_name_is_resolved_once_when_its_address_changes_after_the_check(connected: list[object]) -> None:
    answers_of_dns = [["93.184.215.14"], ["127.0.0.1"], ["169.254.169.254"]]
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return answers_of_dns[len(asked) - 1]

    post("https://hooks.example.org/", resolve=resolve)
    assert asked == [("hooks.example.org", 443)]
    assert [place[:2] for place in connected] == [("93.184.215.14", 443)]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "ftp://hooks.example.org/",
        "file:///etc/hostname",
        "gopher://hooks.example.org/",
        "//hooks.example.org/",
        "https:///path",
        "https://",
        "https://user@hooks.example.org/",
        "https://user:password@hooks.example.org/",
        "https://hooks.example.org@10.0.0.1/",
        "https://hooks.example.org:22/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org/#part",
        "https://hooks.example.org\\@10.0.0.1/",
        "https://hooks.example.org/ a",
        "https://hooks.example.org/\r\nHost: other",
        "https://hooks.example.org/\u00e9",
        "https://[::1/",
        "https://hooks.example.org/" + "a" * 2000,
    ],
)
def test_url_is_refused_when_it_is_not_plain_https(url: str, connected: list[object]) -> None:
    with pytest.raises(RefusedAddressError):
        check_url(url)
    assert post(url, resolve=lambda *_: ["93.184.215.14"]).startswith("REFUSED ")
    assert connected == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://hooks.example.org/", {"webhook_allow_http"}),
        ("https://hooks.example.org:9911/", {"webhook_ports", "webhook_private_hosts"}),
        ("https://127.0.0.1/", {"webhook_private_hosts"}),
        ("https://169.254.169.254/", set()),  # allowed by no setting
        ("ftp://hooks.example.org/", set()),
    ],
)
def test_refusal_names_the_settings_when_they_could_allow_the_url(url: str, expected: set[str]) -> None:
    with pytest.raises(RefusedAddressError) as refused:
        check_url(url)
    assert set(re.findall(r"webhook_\w+", str(refused.value))) == expected


def test_url_keeps_its_host_port_and_path_when_it_is_accepted(settings: Settings) -> None:
    target = check_url("https://HOOKS.Example.org./a%20b?c=d")
    assert (target.host, target.port, target.path, target.host_header) == (
        *("hooks.example.org", 443, "/a%20b?c=d", "hooks.example.org"),
    )
    assert check_url("https://b\u00fccher.example/").host == "xn--bcher-kva.example"
    settings.BATCHREEL = {"webhook_ports": [443, 8443]}
    assert check_url("https://hooks.example.org:8443/").host_header == "hooks.example.org:8443"
    settings.DEBUG = True
    assert check_url("http://hooks.example.org/").port == 80


def test_private_host_is_reached_when_it_is_listed(receiver: Receiver, settings: Settings) -> None:
    settings.BATCHREEL = allowing_loopback()
    outcome = send(receiver.url, body=b"{}", headers={"webhook-id": "1"}, timeout_s=1)
    assert (outcome.status, outcome.error) == (200, "")
    ((headers, body),) = receiver.requests
    assert (headers["host"], headers["webhook-id"], body) == (f"{LOOPBACK}:{receiver.port}", "1", b"{}")


def test_metadata_address_is_refused_when_its_host_is_listed_as_private(
    settings: Settings, connected: list[object]
) -> None:
    settings.BATCHREEL = allowing_loopback(webhook_private_hosts=["intranet.example"])
    for address in ("169.254.169.254", "fd00:ec2::254", "fe80::1", "224.0.0.1", "::ffff:169.254.169.254"):
        assert post("http://intranet.example/", resolve=lambda *_, found=address: [found]).startswith("REFUSED ")
    assert connected == []
    assert post("http://intranet.example:8080/", resolve=lambda *_: ["10.0.0.1"]).startswith("CONNECTION")
    assert [place[:2] for place in connected] == [("10.0.0.1", 8080)]


def test_redirect_is_not_followed_when_a_receiver_answers_with_one(receiver: Receiver, settings: Settings) -> None:
    settings.BATCHREEL = allowing_loopback()
    with receiving(answers("302 Found", headers=f"Location: {receiver.url}\r\n")) as redirecting:
        outcome = send(redirecting.url, body=b"{}", headers={}, timeout_s=1)
    assert (outcome.status, outcome.error) == (302, "STATUS 302: redirects are not followed")
    assert receiver.connections == 0


def test_proxy_is_not_used_when_the_environment_names_one(
    receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BATCHREEL = allowing_loopback()
    with receiving(answers("200 OK")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{LOOPBACK}:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert send(receiver.url, body=b"{}", headers={}, timeout_s=1).status == 200
    assert (receiver.connections, proxy.connections) == (1, 0)
