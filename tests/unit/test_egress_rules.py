"""Which URLs, addresses, ports and headers may go out; no socket is opened."""

from ipaddress import ip_address, ip_network
from typing import get_args

import pytest

from flows.core.errors import WrongSetting
from flows.core.outbound.addresses import carried, is_allowed, is_public
from flows.core.outbound.egress import CODES, METADATA_NAMES, Code, Outgoing, Policy, Refusal, Vetted, head
from flows.core.outbound.urls import Target
from flows.core.settings import Ports, load
from tests.kit.urls import INSIDE, PUBLIC, Bypass, corpus

POLICY = Policy.of(load({}))
TESTING = Policy.of(load({}, egress_allow="127.0.0.0/8, ::1/128"))
OPEN = Policy.of(load({}, egress_allow="0.0.0.0/0,::/0"))
URLS = corpus()


def judged(policy: Policy, url: str, resolves: tuple[str, ...]) -> Vetted | Refusal:
    target = policy.judge(url)
    if isinstance(target, Refusal):
        return target
    found = policy.vet(target.host, (target.host,) if target.literal else resolves)
    return found if isinstance(found, Refusal) else policy.port(target, found) or found


def target_of(url: str, policy: Policy = POLICY) -> Target:
    target = policy.judge(url)
    assert isinstance(target, Target), target
    return target


def test_the_list_is_long_and_says_each_thing_once() -> None:
    assert len(URLS) >= 600
    assert len({(row.url, row.resolves) for row in URLS}) == len(URLS)


@pytest.mark.parametrize("row", URLS, ids=lambda row: f"{row.why}: {row.url}"[:100].encode("unicode_escape").decode())
def test_no_url_of_the_list_is_called(row: Bypass) -> None:
    assert isinstance(judged(POLICY, row.url, row.resolves), Refusal)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://example.com", "example.com", 443, "/", "example.com"),
        ("HTTPS://Example.COM.:8443/a/../b?c=d@e:f", "example.com", 8443, "/a/../b?c=d@e:f", "example.com:8443"),
        ("http://example.com:80?x=[1]", "example.com", 80, "/?x=[1]", "example.com"),
        ("https://example.com:80/", "example.com", 80, "/", "example.com:80"),
        ("https://bücher.example/ä?q=ü|{}%20%", "xn--bcher-kva.example", 443, "/%C3%A4?q=%C3%BC%7C%7B%7D%20%", "xn--bcher-kva.example"),
        ("https://xn--strae-oqa.example/", "xn--strae-oqa.example", 443, "/", "xn--strae-oqa.example"),
        ("http://my_service-1.example/", "my_service-1.example", 80, "/", "my_service-1.example"),
        ("http://1.2.3.example/", "1.2.3.example", 80, "/", "1.2.3.example"),
        ("http://1password.example/", "1password.example", 80, "/", "1password.example"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        ("https://[2606:4700:4700:0:0:0:0:1111]:8443/", "2606:4700:4700::1111", 8443, "/", "[2606:4700:4700::1111]:8443"),
    ],
)
def test_plain_urls_are_read(url: str, host: str, port: int, path: str, authority: str) -> None:
    assert target_of(url)[1:5] == (host, port, path, authority)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert POLICY.vet("x", (address,)) == Vetted((address,), listed=False)


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_refuses_the_whole_name(address: str) -> None:
    assert isinstance(POLICY.vet("x", (*PUBLIC, address)), Refusal)
    assert isinstance(POLICY.vet("x", (address, *PUBLIC)), Refusal)


def test_a_name_without_addresses_is_refused() -> None:
    assert isinstance(POLICY.vet("x", ()), Refusal)


@pytest.mark.parametrize("network", ["2000::/16", "2a00::/12", "1.0.0.0/8", "9.0.0.0/8", "223.0.0.0/8"])
def test_what_was_given_out_is_public(network: str) -> None:
    assert is_public(ip_network(network)[77])


def test_the_list_of_networks_opens_them_on_every_port() -> None:
    assert judged(TESTING, "http://127.0.0.1:9999/", ()) == Vetted(("127.0.0.1",), listed=True)
    assert judged(TESTING, "http://[::1]:9999/", ()) == Vetted(("::1",), listed=True)
    assert judged(TESTING, "http://localhost:9999/", ("127.0.0.1", "::1")) == Vetted(("127.0.0.1", "::1"), listed=True)
    assert judged(TESTING, "http://both.test:80/", ("127.0.0.1", "8.8.8.8")) == Vetted(("127.0.0.1", "8.8.8.8"), listed=False)


@pytest.mark.parametrize(
    ("url", "resolves"), [("http://10.0.0.1/", ()), ("http://both.test:81/", ("127.0.0.1", "8.8.8.8")), ("http://x.test/", ("::ffff:127.0.0.1",))]
)
def test_the_list_of_networks_opens_nothing_else(url: str, resolves: tuple[str, ...]) -> None:
    assert isinstance(judged(TESTING, url, resolves), Refusal)


@pytest.mark.parametrize("name", sorted(METADATA_NAMES))
def test_metadata_names_stay_closed_when_everything_is_open(name: str) -> None:
    assert isinstance(OPEN.judge(f"http://{name}/"), Refusal)


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fd00:ec2::254", "100.100.100.200"])
def test_metadata_addresses_stay_closed_when_everything_is_open(address: str) -> None:
    assert isinstance(OPEN.vet("x", (address,)), Refusal)
    assert isinstance(OPEN.vet("x", ("10.0.0.1",)), Vetted)


def test_an_address_that_carries_another_is_judged_by_both() -> None:
    assert carried(ip_address("64:ff9b::7f00:1")) == ip_address("127.0.0.1")
    assert carried(ip_address("::1")) is None
    nat64 = (ip_network("64:ff9b::/96"),)
    assert is_allowed(ip_address("64:ff9b::808:808"), nat64)
    assert not is_allowed(ip_address("64:ff9b::7f00:1"), nat64)


def test_a_refusal_says_what_to_do_and_shows_neither_address_nor_query() -> None:
    found = POLICY.vet("inside.test", ("10.9.8.7",))
    assert isinstance(found, Refusal)
    assert "10.9.8.7" not in found.detail
    assert "INTEGRATION_EGRESS_ALLOW" in found.detail
    port = POLICY.judge("https://example.com:22/?token=secret")
    assert port == Refusal("port_not_allowed", "Port 22 of example.com is not among INTEGRATION_EGRESS_PORTS (80, 443, 8080, 8443).")


def sent_head(target: Target, request: Outgoing) -> bytes:
    found = head(target, request)
    assert isinstance(found, bytes), found
    return found


def test_the_head_of_a_request() -> None:
    target = target_of("https://example.com:8443/a?b")
    sent = head(target, Outgoing("POST", "", (("Content-Type", "text/plain"), ("X-Empty", "")), b"abc"))
    assert sent == (
        b"POST /a?b HTTP/1.1\r\nHost: example.com:8443\r\nContent-Type: text/plain\r\nX-Empty: \r\nAccept-Encoding: identity\r\nContent-Length: 3\r\n\r\n"
    )
    assert b"Content-Length: 0" in sent_head(target, Outgoing("POST", ""))
    assert b"Content-Length" not in sent_head(target, Outgoing("GET", "", (("accept-encoding", "gzip"),)))


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        *(
            ("GET", name, "x")
            for name in ("", "a b", "a:", "a\r\nb", "é", "Host", "CONTENT-LENGTH", "transfer-encoding", "Connection", "te", "Upgrade", "Expect")
        ),
        *(("GET", "x", value) for value in ("a\r\nb: c", "a\n", "a\0", "€", "\x7f", "x" * 16_385)),
        *((method, "x", "y") for method in ("get", "", "G T", "GET /", "CONNECT", "TRACE", "POST\r\n", "A" * 17)),
    ],
)
def test_what_could_be_read_as_something_else_is_not_sent(method: str, name: str, value: str) -> None:
    found = head(target_of("https://example.com"), Outgoing(method, "", ((name, value),)))
    assert isinstance(found, Refusal)
    assert found.code == "request_invalid"


def test_every_code_has_its_row() -> None:
    assert [row.code for row in CODES] == list(get_args(Code))


def test_ports_and_networks_are_read() -> None:
    settings = load({"INTEGRATION_EGRESS_PORTS": "443, 8000-8100", "INTEGRATION_EGRESS_ALLOW": "10.1.0.0/16,fd12::/48"})
    assert settings.egress_ports == (Ports(443, 443), Ports(8000, 8100))
    assert ", ".join(map(str, settings.egress_ports)) == "443, 8000-8100"
    assert settings.egress_allow == (ip_network("10.1.0.0/16"), ip_network("fd12::/48"))
    assert target_of("http://example.com:8050/", Policy.of(settings))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("INTEGRATION_EGRESS_PORTS", value) for value in ("0", "65536", "http", "443,", "9-8", "1-", "-1", "٨٠")),
        *(("INTEGRATION_EGRESS_ALLOW", value) for value in ("10.1.2.3/8", "localhost", "10.0.0.0/33", "fe80::1%eth0/64", "10.0.0.0-10.0.0.9")),
    ],
)
def test_a_wrong_setting_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(WrongSetting, match=variable):
        load({variable: value})
