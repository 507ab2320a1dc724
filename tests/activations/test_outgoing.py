"""The one way out: what may be sent to, and that nothing else ever gets a byte."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from segment_copilot.activations.addresses import LOOPBACK, Address, Allowed, is_public, read_networks
from segment_copilot.activations.outgoing import MAX_ANSWER, Outgoing, OutgoingFailed, OutgoingRefused, Resolve
from segment_copilot.errors import InvalidInput
from tests.support.receiver import Reply, receiving

NOWHERE = Allowed()
HERE = read_networks(LOOPBACK)


def words(text: str) -> list[str]:
    """A list, where one is easier to read as a table."""
    return text.split()


# Addresses that public lists of server-side request forgery name, and what each reaches where it works.
NEVER = words("""
127.0.0.1 127.0.1.3 127.127.127.127 127.255.255.254 0.0.0.0 0.1.2.3 ::1 :: 10.0.0.1 172.16.0.1 172.31.255.255
192.168.0.1 fc00::1 fd12:3456:789a::1 169.254.169.254 169.254.170.2 169.254.170.23 fd00:ec2::254 fd00:ec2::23
fd20:ce::254 fe80::a9fe:a9fe 100.100.100.200 100.64.0.1 100.127.255.255 168.63.129.16 192.0.0.192 192.0.0.8
192.88.99.1 198.18.0.1 198.19.255.255 192.0.2.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255 ff02::1 ff05::2 fec0::1 100::1 2001:db8::1 3fff::1 5f00::1 ::ffff:127.0.0.1 ::ffff:7f00:1
::ffff:a9fe:a9fe ::ffff:10.0.0.1 ::ffff:100.100.100.200 ::ffff:0:127.0.0.1 ::127.0.0.1 ::a9fe:a9fe
64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::a9fe:a9fe 2002:7f00:1:: 2002:a9fe:a9fe::
2002:c0a8:1:: 2002:808:808:: 2001:0:7f00:1:: 2001:0:4136:e378:8000:63bf:5601:5601 2001:0:808:808::f7f7:f7f7
2001:10::1 2001:2::1
""")

PUBLIC = words("""
8.8.8.8 93.184.215.14 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 192.0.1.1 2606:2800:21f:cb07::1
::ffff:8.8.8.8 64:ff9b::808:808
""")

# Hosts as such lists spell them: decimal, octal, hex, short and mixed forms, dots and digits of other scripts.
SPELLINGS = words("""
2130706433 017700000001 0x7f000001 0x7F.0.0.1 0177.0.0.1 0177.0.0.01 127.1 127.0.1 0 0x0 127.0.0.0x1
00000177.1 3232235521 2852039166 0xa9fea9fe 0xA9.0xFE.0xA9.0xFE 0251.0376.0251.0376 169.254.43518 169.16689662
0251.254.169.254 425.510.425.510 127.0.0.1. 1.2.3.4. localhost. example.com. 256.256.256.256 1.2.3
999999999999 ①②⑦.⓪.⓪.① 127。0。0。1 １２７.0.0.1 ⑯⑨。②⑤④。⑯⑨｡②⑤④ ℓocalhost ⓔxample.com l\u00adocalhost ٠.0.0.0
%31%32%37.0.0.1 127%2e0.0.1 %6c%6fcalhost a..b -a.com a_.-b ex*mple.com [::1 ::1 [::1]x [fe80::1%25eth0]
[fe80::1%eth0] [v1.127.0.0.1] [127.0.0.1] []
""")

URLS = (
    "",
    "hooks.example.com/x",
    "//hooks.example.com/x",
    "http://hooks.example.com/x",
    "HTTP://hooks.example.com/x",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:11211/stat",
    "data:text/plain,x",
    "javascript:alert(1)",
    "jar:http://127.0.0.1!/",
    "unix:///run/docker.sock",
    "https:///x",
    "https://",
    "https:/hooks.example.com",
    "https:hooks.example.com",
    "https://user@hooks.example.com/",
    "https://user:password@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://127.0.0.1\\@hooks.example.com/",
    "https://hooks.example.com\\.internal/",
    "https://hooks.example.com#@127.0.0.1/ ",
    "https://127.0.0.1#@hooks.example.com/",
    "https://127.0.0.1?@hooks.example.com/",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:25/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:-1/",
    "https://hooks.example.com:٨٠/",
    "https://hooks.example.com:80:80/",
    "https://hooks.example.com/a b",
    "https://hooks.example.com/\r\nHost: 127.0.0.1",
    "https://hooks.example.com/\x00",
    "https://hooks.example.com/é",
    " https://hooks.example.com/",
    f"https://hooks.example.com/{'a' * 2_000}",
    f"https://{'a' * 64}.com/",
)


@pytest.mark.parametrize("text", NEVER)
async def test_an_address_that_is_not_the_public_internets_is_refused(text: str):
    address = ip_address(text)
    host = text if isinstance(address, IPv4Address) else f"[{text}]"

    assert not is_public(address)
    with pytest.raises(InvalidInput):
        Outgoing(NOWHERE).check(f"https://{host}/")
    with pytest.raises(OutgoingRefused):  # as the address of a name, among others that are public
        await Outgoing(NOWHERE, resolve=resolving(["8.8.8.8", text])).post("https://hooks.example.com/")


@pytest.mark.parametrize("text", PUBLIC)
def test_an_address_of_the_public_internet_is_allowed(text: str):
    assert is_public(ip_address(text))


@pytest.mark.parametrize("host", [*SPELLINGS, "loc\talhost", "lo\ncalhost", "local host", "127.0.0.1\x00"])
def test_a_host_in_an_odd_spelling_is_refused(host: str):
    with pytest.raises(InvalidInput) as refused:
        Outgoing(NOWHERE).check(f"https://{host}/")
    assert refused.value.code == "url_not_allowed"


@pytest.mark.parametrize("url", URLS)
async def test_a_url_that_is_none_to_send_to_is_refused(url: str):
    outgoing = Outgoing(NOWHERE, resolve=resolving(["127.0.0.1"]))

    with pytest.raises(InvalidInput) as refused:
        outgoing.check(url)
    assert refused.value.detail.endswith((".", ")."))
    with pytest.raises(OutgoingRefused):
        await outgoing.post(url)


def test_a_url_is_kept_in_its_one_spelling():
    outgoing = Outgoing(NOWHERE)

    assert outgoing.check("HTTPS://Hooks.Example.com:443/A?b=%20#c") == "https://hooks.example.com/A?b=%20"
    assert outgoing.check("https://8.8.8.8:8443?x") == "https://8.8.8.8:8443/?x"
    assert outgoing.check("https://[2606:2800:021F::1]/") == "https://[2606:2800:21f::1]/"
    assert outgoing.check("https://xn--nxasmq6b.example_x.com") == "https://xn--nxasmq6b.example_x.com/"


async def test_not_a_byte_reaches_an_address_that_is_refused():
    """Names that stand for a private address, DNS that changes its answer, and a redirect to within."""
    async with receiving() as inside, receiving() as outside:
        for answers in (["127.0.0.1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"]):
            with pytest.raises(OutgoingRefused, match="does not send to"):
                await Outgoing(NOWHERE, resolve=resolving(answers)).post(f"https://hooks.example.com:{inside.port}/")

        rebinding = Outgoing(read_networks(["127.0.0.2/32"]), resolve=resolving(["127.0.0.2"], ["127.0.0.1"]))
        rebinding.check(f"http://hooks.example.com:{inside.port}/")
        with pytest.raises(OutgoingFailed):  # the first answer is allowed, and nobody listens there
            await rebinding.post(f"http://hooks.example.com:{inside.port}/")
        with pytest.raises(OutgoingRefused):
            await rebinding.post(f"http://hooks.example.com:{inside.port}/")

        for status in (301, 302, 303, 307, 308):
            outside.replies.append(Reply(status, {"location": f"{inside.url}/"}))
            assert (await Outgoing(HERE).post(f"{outside.url}/")).status == status
        assert (inside.connections, outside.connections) == (0, 5)


async def test_a_name_is_resolved_once_and_asked_for_under_itself():
    calls = list[str]()

    async def once(host: str, port: int) -> Sequence[Address]:
        calls.append(f"{host}:{port}")
        return [ip_address("127.0.0.1")] if len(calls) == 1 else []

    async with receiving() as receiver:
        answer = await Outgoing(HERE, resolve=once).request(
            "PUT",
            f"http://Hooks.example.com:{receiver.port}/a%20b?c=d",
            headers={"X-Number": "7", "Content-Type": "text/plain"},
            body="tea ☕".encode(),
        )
    (request,) = receiver.received
    assert answer.is_good
    assert calls == [f"hooks.example.com:{receiver.port}"]
    assert (request.method, request.target, request.body.decode()) == ("PUT", "/a%20b?c=d", "tea ☕")
    assert request.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert (request.headers["x-number"], request.headers["content-type"]) == ("7", "text/plain")


async def test_the_next_address_is_taken_where_one_does_not_answer():
    async with receiving() as receiver:
        outgoing = Outgoing(HERE, resolve=resolving(["127.0.0.9", "127.0.0.1"]))
        assert (await outgoing.post(f"http://hooks.example.com:{receiver.port}/")).status == 200


async def test_of_an_answer_the_beginning_is_kept():
    async with receiving() as receiver:
        receiver.replies.append(Reply(503, {"Retry-After": "7"}, b"x" * (MAX_ANSWER + 7)))
        answer = await Outgoing(HERE).request("GET", receiver.url)
    assert (answer.status, answer.headers["retry-after"], len(answer.body)) == (503, "7", MAX_ANSWER)
    assert not answer.is_good


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(does="stall"), "did not answer within 0.2 seconds"),
        (Reply(does="reset"), "broke off, or does not speak HTTP"),
        (Reply(does="half", body=b"half"), "broke off, or does not speak HTTP"),
    ],
)
async def test_no_answer_is_said_in_a_sentence(reply: Reply, said: str):
    async with receiving() as receiver:
        receiver.replies.append(reply)
        timeout = timedelta(seconds=0.2 if reply.does == "stall" else 30)
        with pytest.raises(OutgoingFailed, match=f"127.0.0.1 {said}"):
            await Outgoing(HERE).post(receiver.url, timeout=timeout)
    with pytest.raises(OutgoingFailed, match="takes no connections"):
        await Outgoing(HERE).post(receiver.url)


async def test_a_header_that_cannot_be_sent_is_refused():
    async with receiving() as receiver:
        for headers in ({"X-A": "b\r\nX-C: d"}, {"X\nA": "b"}, {"X-é": "b"}):
            with pytest.raises(OutgoingRefused, match="header"):
                await Outgoing(HERE).post(receiver.url, headers=headers)
        assert receiver.received == []


async def test_a_name_without_an_address_is_said():
    async def nothing(_host: str, _port: int) -> Sequence[Address]:
        raise OSError

    with pytest.raises(OutgoingFailed, match=r"The name hooks\.example\.com cannot be resolved"):
        await Outgoing(NOWHERE, resolve=nothing).post("https://hooks.example.com/")


async def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(tmp_path: Path):
    server, trust = certified(tmp_path, "hooks.example.com")
    async with receiving(server) as receiver:
        outgoing = Outgoing(HERE, resolve=resolving(["127.0.0.1"]), tls=lambda: trust)
        assert (await outgoing.post(f"https://hooks.example.com:{receiver.port}/")).status == 200
        for host in ("other.example.com", "127.0.0.1"):
            with pytest.raises(OutgoingFailed, match="certificate of"):
                await outgoing.post(f"https://{host}:{receiver.port}/")
        with pytest.raises(OutgoingFailed, match="certificate of"):  # by the authorities of the machine
            await Outgoing(HERE, resolve=resolving(["127.0.0.1"])).post(f"https://hooks.example.com:{receiver.port}/")
    assert len(receiver.received) == 1


def test_networks_are_read_or_named_as_wrong():
    assert read_networks(["10.0.0.0/8", "fd00::/8", "192.168.1.7"]).covers(ip_address("::ffff:10.1.1.1"))
    for wrong in ("10.0.0.1/8", "example.com", "10.0.0.0/33"):
        with pytest.raises(InvalidInput, match="OUTGOING_ALLOW"):
            read_networks([wrong])


def resolving(*answers: list[str]) -> Resolve:
    """A resolver that gives these answers in turn, and then the last."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [ip_address(text) for text in (left.pop(0) if len(left) > 1 else left[0])]

    return resolve


def certified(directory: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for *host*, and a client's that trusts it alone."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "server.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())
