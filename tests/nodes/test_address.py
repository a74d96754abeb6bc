"""Which addresses may be registered, by whom."""

import pytest

from parley.nodes.address import NO_IP, NO_URL, NOT_HERE, OURSELVES, AddressError, Ip, Trusted

HERE = {"10.9.8.7", "fd00::7", "127.0.0.1"}
PATH = "/v1/chat/completions"


def trusted(*networks: str) -> Trusted:
    return Trusted(networks or ("127.0.0.0/8",), lambda address: str(address) in HERE, [("127.0.0.1", 4242)])


def verdict(api: str, *networks: str, keyed: bool = False) -> str:
    """The address as it is called, or why not."""
    try:
        return trusted(*networks).checked(api, keyed=keyed)
    except AddressError as error:
        return str(error)


@pytest.mark.parametrize(
    ("api", "called"),
    [
        (f"http://127.0.0.1:1088{PATH}", f"http://127.0.0.1:1088{PATH}"),
        (f"http://localhost:1088{PATH}?a=b", f"http://127.0.0.1:1088{PATH}?a=b"),
        ("http://127.0.0.9", "http://127.0.0.9:80/"),
        ("https://[::1]", "https://[::1]:443/"),
    ],
)
def test_loopback_needs_no_key(api: str, called: str) -> None:
    assert verdict(api) == called


@pytest.mark.parametrize(
    ("api", "said"),
    [
        (f"http://0x7f000001:80{PATH}", NO_IP),
        (f"http://2130706433{PATH}", NO_IP),
        (f"http://127.1{PATH}", NO_IP),
        (f"http://0177.0.0.1{PATH}", NO_IP),
        (f"http://[::ffff:127.0.0.1]{PATH}", NO_IP),
        (f"http://[::127.0.0.1]{PATH}", NO_IP),
        (f"http://[2002:7f00:1::]{PATH}", NO_IP),
        (f"http://[fe80::1%25eth0]{PATH}", NO_IP),
        (f"http://rebinding.example.org{PATH}", NO_IP),
        (f"http://localhost.example.org{PATH}", NO_IP),
        (f"http://user@127.0.0.1{PATH}", NO_URL),
        (f"http://127.0.0.1#@10.0.0.1{PATH}", NO_URL),
        (f"http://127.0.0.1\\@10.0.0.1{PATH}", NO_URL),
        (f"ftp://127.0.0.1{PATH}", NO_URL),
        ("file:///etc/passwd", NO_URL),
        ("http://127.0.0.1:0/", NO_URL),
        ("http://127.0.0.1:99999/", NO_URL),
        ("http:///x", NO_URL),
        ("http://127.0.0.1/a b", NO_URL),
        ("nothing", NO_URL),
        (f"http://169.254.169.254{PATH}", NOT_HERE),
        (f"http://10.0.0.1{PATH}", NOT_HERE),
        (f"http://10.9.8.7{PATH}", NOT_HERE),
        (f"http://93.184.216.34{PATH}", NOT_HERE),
        (f"http://0.0.0.0:1088{PATH}", NOT_HERE),
        (f"http://[::]:1088{PATH}", NO_IP),
        (f"http://224.0.0.1{PATH}", NOT_HERE),
        (f"http://127.0.0.1:4242{PATH}", OURSELVES),
    ],
)
def test_everything_else_is_refused(api: str, said: str) -> None:
    assert verdict(api) == said


def test_an_address_of_this_machine_takes_a_key() -> None:
    assert verdict("http://10.9.8.7:80/", keyed=True) == "http://10.9.8.7:80/"
    assert verdict("http://[fd00::7]:80/", keyed=True) == "http://[fd00::7]:80/"
    assert verdict("http://10.9.8.8:80/", keyed=True) == NOT_HERE


def test_a_named_network_takes_a_key_too() -> None:
    assert verdict("http://10.1.2.3:80/", "10.1.0.0/16", keyed=True) == "http://10.1.2.3:80/"
    assert verdict("http://10.1.2.3:80/", "10.1.0.0/16") == NOT_HERE
    assert verdict("http://10.2.2.3:80/", "10.1.0.0/16", keyed=True) == NOT_HERE


def test_no_network_at_all_refuses_loopback() -> None:
    def here(address: Ip) -> bool:
        return True

    with pytest.raises(AddressError, match="same machine"):
        Trusted((), here).checked("http://127.0.0.1/", keyed=True)


def test_metadata_takes_more_than_a_key() -> None:
    everywhere = Trusted(("127.0.0.0/8",), lambda address: True)
    with pytest.raises(AddressError):
        everywhere.checked("http://169.254.169.254/", keyed=True)


def test_our_own_listener_on_every_address() -> None:
    open_house = Trusted(("127.0.0.0/8",), lambda address: str(address) in HERE, [("0.0.0.0", 4242)])
    for host in ("127.0.0.1", "10.9.8.7"):
        with pytest.raises(AddressError, match="own address"):
            open_house.checked(f"http://{host}:4242/", keyed=True)
    assert open_house.checked("http://127.0.0.1:4243/", keyed=False) == "http://127.0.0.1:4243/"
