from __future__ import annotations

import base64
from pathlib import Path

import pytest

from streams.errors import SettingsError, UnauthorizedError
from streams.http.access import Access, credentials, ephemeral_keys, mint_visitor
from streams.keys import Keys, ServerKey, TokenSecret, WriteKey, load_keys
from tests.http.support import KEYS, SHOP

NOW_S = 1_795_000_000
TTL_S = 3600


@pytest.fixture
def access() -> Access:
    return Access(KEYS, "minted", TTL_S)


# --- tokens


def test_a_token_holds_until_its_last_second(access: Access) -> None:
    token, expires_s = access.issue_token("v", NOW_S)
    assert expires_s == NOW_S + TTL_S
    assert [access.token_holds("v", token, expires_s + after) for after in (-1, 0, 1)] == [True, False, False]


def test_a_token_is_for_one_visitor(access: Access) -> None:
    token, _ = access.issue_token("v", NOW_S)
    assert [access.token_holds(who, token, NOW_S) for who in ("v", "w", "", "v ", "V")] == [True, *[False] * 4]


def test_no_part_of_a_token_can_be_changed_or_left_out(access: Access) -> None:
    token, _ = access.issue_token("v", NOW_S)
    for at in range(len(token)):
        other = "B" if token[at] != "B" else "C"
        assert not access.token_holds("v", token[:at] + other + token[at + 1 :], NOW_S), at
        assert not access.token_holds("v", token[:at], NOW_S), at
    assert not access.token_holds("v", token + "A", NOW_S)


def test_a_token_has_one_spelling(access: Access) -> None:
    token, expires_s = access.issue_token("v", NOW_S)
    secret, expires, signature = token.split(".")
    for spelling in (expires.upper(), "0" + expires, "0x" + expires, "+" + expires, f"{expires}_0", " " + expires):
        if spelling != expires:
            assert not access.token_holds("v", f"{secret}.{spelling}.{signature}", NOW_S), spelling
    later = f"{expires_s + 1:x}"
    assert not access.token_holds("v", f"{secret}.{later}.{signature}", NOW_S)


@pytest.mark.parametrize("token", [None, "", ".", "..", "k2", "k2.", "k2..", "k9.1.x", "ü.1.x", "k2.1." + "x" * 300])
def test_what_is_no_token_opens_nothing(access: Access, token: str | None) -> None:
    assert not access.token_holds("v", token, 0)


def test_secrets_can_be_exchanged() -> None:
    before = Access(Keys(token_secrets=(TokenSecret("a", "first secret"),)), "minted", TTL_S)
    during = Access(Keys(token_secrets=(TokenSecret("b", "second"), TokenSecret("a", "first secret"))), "minted", TTL_S)
    after = Access(Keys(token_secrets=(TokenSecret("b", "second"),)), "minted", TTL_S)
    old, new = before.issue_token("v", NOW_S)[0], during.issue_token("v", NOW_S)[0]
    assert [side.token_holds("v", old, NOW_S) for side in (before, during, after)] == [True, True, False]
    assert [side.token_holds("v", new, NOW_S) for side in (before, during, after)] == [False, True, True]


def test_the_same_secret_under_another_id_is_another_secret() -> None:
    one = Access(Keys(token_secrets=(TokenSecret("a", "same"),)), "minted", TTL_S)
    both = Access(Keys(token_secrets=(TokenSecret("b", "same"), TokenSecret("a", "x"))), "minted", TTL_S)
    assert not both.token_holds("v", one.issue_token("v", NOW_S)[0].replace("a.", "b.", 1), NOW_S)


def test_a_token_is_renewed_in_its_second_half_and_only_while_it_holds(access: Access) -> None:
    token, expires_s = access.issue_token("v", NOW_S)
    half_s = NOW_S + TTL_S // 2
    renewed = [access.renewed_token("v", token, at) is not None for at in (NOW_S, half_s, half_s + 1)]
    assert renewed == [False, False, True]
    assert access.renewed_token("v", token, expires_s) is None
    assert access.renewed_token("w", token, half_s + 1) is None


def test_a_renewal_is_no_token_and_a_token_no_renewal(access: Access) -> None:
    token, renewal = access.issue_token("v", NOW_S)[0], access.issue_renewal("v", NOW_S)
    assert access.renewal_holds("v", renewal, NOW_S)
    assert not access.token_holds("v", renewal, NOW_S)
    assert not access.renewal_holds("v", token, NOW_S)
    assert access.renewed_token("v", renewal, NOW_S + 29 * 86_400) is None


def test_a_renewal_is_for_one_visitor_until_its_last_second() -> None:
    access = Access(KEYS, "minted", TTL_S, renewal_ttl_s=1000)
    renewal = access.issue_renewal("v", NOW_S)
    assert [access.renewal_holds("v", renewal, NOW_S + after) for after in (999, 1000, 1001)] == [True, False, False]
    assert not access.renewal_holds("w", renewal, NOW_S)


# --- keys


def test_a_server_key_may_do_what_its_scopes_say() -> None:
    keys = Keys(
        server_keys=(ServerKey("sk_reads", scopes=("read",)), ServerKey("sk_gone", revoked=True)),
        token_secrets=KEYS.token_secrets,
    )
    access = Access(keys, "minted", TTL_S)
    assert access.is_server_key("sk_reads", "read")
    assert not access.is_server_key("sk_reads", "tokens")
    assert not access.is_server_key("sk_gone", "read")
    with pytest.raises(UnauthorizedError):
        access.check_writer("sk_reads", None)


def test_new_keys_take_the_old_ones_out(access: Access) -> None:
    token = access.issue_token("v", NOW_S)[0]
    new = WriteKey("wk_new", ("https://new.example",))
    access.use(Keys(write_keys=(new,), token_secrets=(TokenSecret("k3", "x"),)))
    assert access.check_writer("wk_new", "https://new.example") is False
    assert not access.origin_allowed(SHOP)
    assert not access.token_holds("v", token, NOW_S)
    assert not access.is_server_key("sk_secret", "read")
    with pytest.raises(UnauthorizedError):
        access.check_writer("wk_shop", None)


def test_the_audit_log_calls_a_visitor_by_the_same_name_each_time(access: Access) -> None:
    assert access.disguised("v") == access.disguised("v") != access.disguised("w")
    assert "v" not in access.disguised("v")


def test_a_write_key_works_from_its_own_origins_and_without_one(access: Access) -> None:
    assert access.check_writer("wk_shop", SHOP) is False
    assert access.check_writer("wk_shop", None) is False


@pytest.mark.parametrize(
    ("key", "origin"),
    [
        (None, None), ("", None), ("wk_none", None), ("wk_gone", None), ("wk_gone", "https://gone.example"),
        ("wk_shop", "https://blog.example"), ("wk_shop", SHOP + "/"), ("wk_shop", SHOP.upper()),
        ("wk_shop", "http://shop.example"), ("wk_shop", SHOP + ":8443"), ("wk_shop", SHOP + ".evil.example"),
        ("wk_shop", "null"), ("wk_shop", "http://localhost:3000"), ("sk_secre", None), ("sk_secret2", None),
    ],
)
def test_everything_else_gets_the_same_refusal(access: Access, key: str | None, origin: str | None) -> None:
    with pytest.raises(UnauthorizedError, match=r"^no valid key or token for this$"):
        access.check_writer(key, origin)


def test_any_server_key_writes_and_no_key_is_a_token(access: Access) -> None:
    for key in KEYS.server_keys:
        assert access.is_server_key(key, "read")
        assert access.check_writer(key, None) is True
        assert not access.may_read("v", key, NOW_S)
    assert not access.is_server_key("wk_shop", "events")
    assert not access.may_read("v", "wk_shop", NOW_S)


def test_knowing_the_id_suffices_where_the_site_said_so() -> None:
    assert Access(KEYS, "capability", TTL_S).may_read("v", None, NOW_S)
    assert not Access(KEYS, "minted", TTL_S).may_read("v", None, NOW_S)


def test_a_revoked_keys_origin_is_no_origin_any_more(access: Access) -> None:
    assert access.origin_allowed(SHOP)
    assert access.origin_allowed("https://blog.example")
    assert not access.origin_allowed("https://gone.example")


def test_only_developing_opens_loopback_origins() -> None:
    origins = ("http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:1", "http://localhost.evil.example", "http://[")
    developing = Access(KEYS, "minted", TTL_S, development=True)
    assert [developing.origin_allowed(origin) for origin in origins] == [True, True, True, False, False]
    assert not any(Access(KEYS, "minted", TTL_S).origin_allowed(origin) for origin in origins)


# --- the header


@pytest.mark.parametrize(
    ("header", "presented"),
    [
        (None, None), ("", None), ("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Digest x", None), ("abc", None),
        ("Basic " + base64.b64encode(b"wk_1:").decode(), "wk_1"),
        ("Basic " + base64.b64encode(b"wk_1:ignored").decode(), "wk_1"),
        ("Basic !!!", None), ("Basic " + base64.b64encode(b"\xff:").decode(), None), ("Basic", ""),
    ],
)
def test_what_an_authorization_header_presents(header: str | None, presented: str | None) -> None:
    assert credentials(header) == presented


# --- made up and loaded


def test_minted_ids_have_128_bits_and_no_two_are_the_same() -> None:
    ids = {mint_visitor() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(base64.urlsafe_b64decode(visitor + "==")) == 16 for visitor in ids)


def test_ephemeral_keys_are_new_each_time_and_work() -> None:
    keys = ephemeral_keys()
    assert keys != ephemeral_keys()
    assert Access(keys, "minted", TTL_S).check_writer(keys.write_keys[0].key, None) is False


def test_a_keys_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"write_keys":[{"key":"wk","origins":["https://a"]}],"token_secrets":[{"id":"k","secret":"0123456789abcdef"}]}')
    keys = load_keys(path)
    assert keys.write_keys == (WriteKey("wk", ("https://a",)),)
    assert keys.token_secrets == (TokenSecret("k", "0123456789abcdef"),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "truncated"),
        ("{}", "token_secrets"),
        ('{"token_secrets":[{"id":"k","secret":"too short"}]}', "shorter than 16"),
        ('{"token_secrets":[{"id":"a.b","secret":"0123456789abcdef"}]}', "without a dot"),
        ('{"write_key":[],"token_secrets":[]}', "unknown field"),
    ],
)
def test_a_wrong_keys_file_is_named_and_its_secrets_are_not(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=complaint) as refused:
        load_keys(path)
    assert str(path) in str(refused.value)
    assert "too short" not in str(refused.value)


def test_a_missing_keys_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_keys(tmp_path / "keys.json")
