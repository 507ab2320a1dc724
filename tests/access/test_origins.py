"""Which pages may use a public key: exactly those it lists, or one level below a domain."""

from __future__ import annotations

import pytest

from segment_copilot.access.origins import allows, check_origin, check_origins
from segment_copilot.errors import Forbidden, InvalidInput


@pytest.mark.parametrize(
    ("allowed", "origin", "right"),
    [
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example", "https://SHOP.example", True),
        ("https://shop.example", "http://shop.example", False),
        ("https://shop.example", "https://shop.example:8443", False),
        ("https://shop.example", "https://shop.example.evil.test", False),
        ("https://shop.example:8443", "https://shop.example:8443", True),
        ("https://*.tenant.com", "https://app.tenant.com", True),
        ("https://*.tenant.com", "https://tenant.com", False),
        ("https://*.tenant.com", "https://a.app.tenant.com", False),
        ("https://*.tenant.com", "https://eviltenant.com", False),
        ("https://*.tenant.com", "https://evil.test/.tenant.com", False),
        ("https://*.tenant.com", "http://app.tenant.com", False),
        ("https://*.tenant.com", "https://.tenant.com", False),
        ("https://shop.example", "null", False),
    ],
)
def test_an_origin_is_allowed_exactly_or_one_level_below(allowed, origin, right):
    assert allows([allowed], origin) is right


def test_an_app_sends_no_origin_and_its_key_lists_none():
    check_origin((), None)
    check_origin(("https://shop.example",), "https://shop.example")
    for allowed, origin in [((), "https://shop.example"), (("https://shop.example",), None)]:
        with pytest.raises(Forbidden) as raised:
            check_origin(allowed, origin)
        assert raised.value.code == "origin_not_allowed"


@pytest.mark.parametrize(
    "origin",
    [
        "shop.example",
        "https://shop.example/",
        "https://*",
        "https://*.com",
        "https://a.*.com",
        "*",
        "null",
        "ftp://a.b",
    ],
)
def test_what_is_no_origin_is_refused(origin):
    with pytest.raises(InvalidInput) as raised:
        check_origins(["https://shop.example", origin])

    assert [finding.pointer for finding in raised.value.findings] == ["/allowed_origins/1"]


def test_origins_are_kept_in_lower_case_and_once():
    listed = ["https://Shop.example", "https://shop.example", "http://localhost:3000", "http://[::1]:3000"]

    assert check_origins(listed) == ["https://shop.example", "http://localhost:3000", "http://[::1]:3000"]
