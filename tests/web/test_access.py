"""Who may ask: known names, addresses where others are let in, and those who show the token."""

import pytest

from hifa_cli.config import ServeConfig
from hifa_cli.errors import HifaError
from hifa_cli.web import access


def config(host: str = "127.0.0.1", *allowed: str, token: str | None = None) -> ServeConfig:
    return ServeConfig(host=host, allow_hosts=allowed, token=token)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::", "10.0.0.5"])
@pytest.mark.parametrize(
    "header", ["localhost", "localhost:8321", "LOCALHOST.", "127.0.0.1:1", "[::1]:8321", "[::1]"]
)
def test_loopback_is_always_answered(host: str, header: str) -> None:
    assert access.is_allowed(header, config(host))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::", "10.0.0.5", "shapes.lan"])
@pytest.mark.parametrize(
    "header", ["evil.example", "evil.example:8321", "localhost.evil.example", "", None,
               "127.0.0.1.evil.example", "shapes.example.evil", "[::1", "evil.example#127.0.0.1"]
)  # fmt: skip
def test_a_strangers_name_is_never_answered(host: str, header: str | None) -> None:
    known = header == "[::1"  # a browser cannot send it, and it names this machine
    assert access.is_allowed(header, config(host, "shapes.example")) == known


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "shapes.lan"])
def test_a_container_and_a_network_reach_it_by_address_and_by_its_own_name(host: str) -> None:
    for header in ("10.9.8.7:8321", "[fd00::5]:80", f"{access.own_names()[0]}:8321", f"{host}:8321"):
        if host != "::" or header != ":::8321":
            assert access.is_allowed(header, config(host)), header


def test_on_loopback_another_address_needs_to_be_allowed() -> None:
    assert not access.is_allowed("10.9.8.7", config())
    assert access.is_allowed("10.9.8.7", config("127.0.0.1", "10.9.8.7"))


def test_a_proxys_name_is_answered_where_it_is_allowed() -> None:
    assert access.is_allowed("Shapes.Example.org:443", config("127.0.0.1", "shapes.example.org"))
    assert not access.is_allowed("x.shapes.example.org", config("127.0.0.1", "shapes.example.org"))


@pytest.mark.parametrize("wish", ["short", "with space in it", "semi;colon;inside", "ümlautümlautümlaut", ""])
def test_a_token_that_protects_nothing_is_refused(wish: str) -> None:
    with pytest.raises(HifaError, match="at least 12 letters"):
        access.new_token(wish)


def test_a_random_token_is_long_and_new() -> None:
    first, second = access.new_token("random"), access.new_token("random")
    assert first is not None
    assert first != second
    assert access.new_token(first) == first
    assert len(first) >= 32
    assert access.new_token(None) is None


@pytest.mark.parametrize(
    ("cookies", "authorization", "passes"),
    [
        ("", "", False),
        ("hifa-80=secretsecret", "", True),
        ("a=b; hifa-80=secretsecret", "", True),
        ("hifa-81=secretsecret", "", False),
        ("hifa-80=secretsecreT", "", False),
        ("", "Bearer secretsecret", True),
        ("", "Basic secretsecret", False),
        ("", "Bearer sécret", False),
        ('hifa-80="; ;;=', "", False),
    ],
)
def test_only_the_token_lets_pass(cookies: str, authorization: str, passes: bool) -> None:
    shown = access.shows_token("secretsecret", cookies=cookies, authorization=authorization, port=80)
    assert shown == passes


def test_without_a_token_everybody_passes_and_the_user_is_warned() -> None:
    assert access.shows_token(None, cookies="", authorization="", port=80)
    assert access.warning(config()) is None
    assert access.warning(config("::1")) is None
    assert "no password" in (access.warning(config("0.0.0.0")) or "")
    assert "without encryption" in (access.warning(config("0.0.0.0", token="secretsecret")) or "")


@pytest.mark.parametrize(
    ("host", "first"),
    [("127.0.0.1", "http://127.0.0.1:7/"), ("::1", "http://[::1]:7/"), ("0.0.0.0", "http://127.0.0.1:7/"),
     ("::", "http://[::1]:7/"), ("shapes.lan", "http://shapes.lan:7/")],
)  # fmt: skip
def test_the_address_that_is_printed_can_be_opened(host: str, first: str) -> None:
    assert access.addresses(config(host), 7)[0] == first
    assert access.addresses(config(host, token="abc"), 7)[0] == first + "?token=abc"
