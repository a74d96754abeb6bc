import click
import pytest

from parley.cli.listen import Address, refuse_public, split, url
from parley.settings import loopback


@pytest.mark.parametrize(
    ("address", "parts", "local"),
    [
        ("127.0.0.1:4242", ("127.0.0.1", 4242), True),
        ("127.9.9.9:1", ("127.9.9.9", 1), True),
        ("localhost:65535", ("localhost", 65535), True),
        ("LOCALHOST:80", ("LOCALHOST", 80), True),
        ("[::1]:4242", ("::1", 4242), True),
        ("0.0.0.0:4242", ("0.0.0.0", 4242), False),
        ("[::]:4242", ("::", 4242), False),
        ("192.168.1.7:4242", ("192.168.1.7", 4242), False),
        ("[fe80::1%eth0]:4242", ("fe80::1%eth0", 4242), False),
        ("localhost.evil.example:80", ("localhost.evil.example", 80), False),
        ("gateway:80", ("gateway", 80), False),
    ],
)
def test_addresses_and_who_can_reach_them(address, parts, local):
    assert split(address) == parts
    assert loopback(parts[0]) is local


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("4242", "127.0.0.1:4242"),
        (":4242", "0.0.0.0:4242 for every interface"),
        ("127.0.0.1", "HOST:PORT"),
        ("127.0.0.1:0", "from 1 to 65535"),
        ("127.0.0.1:70000", "from 1 to 65535"),
        ("::1:4242", "HOST:PORT"),
        ("http://127.0.0.1:4242", "HOST:PORT"),
        ("127.0.0.1:4242\n", "HOST:PORT"),
    ],
)
def test_what_is_no_address(value, hint):
    with pytest.raises(click.BadParameter) as error:
        Address().convert(value, None, None)
    assert hint in error.value.message


def test_a_public_address_is_refused_with_the_way_out(capsys):
    with pytest.raises(click.exceptions.Exit) as ended:
        refuse_public(("127.0.0.1:4242", "0.0.0.0:8000"))
    said = capsys.readouterr().err
    assert ended.value.exit_code == 2
    assert "0.0.0.0:8000" in said
    assert "--public" in said
    assert "127.0.0.1:8000" in said


def test_loopback_addresses_pass():
    assert refuse_public(("127.0.0.1:4242", "[::1]:4242")) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:4242", "http://127.0.0.1:4242"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("gateway:80", "http://gateway:80"),
    ],
)
def test_the_url_to_try_it_with(address, expected):
    assert url(address) == expected
