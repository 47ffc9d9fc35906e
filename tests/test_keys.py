from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from streams.errors import SettingsError
from streams.keys import AdminKey, Keys, KeysFile, ServerKey, TokenSecret, find_admin, key_name, load_keys, parse_keys
from streams.telemetry import REGISTRY

SECRETS = [{"id": "k", "secret": "0123456789abcdef"}]


def written(path: Path, **fields: object) -> Path:
    """A keys file, replaced as an editor would."""
    beside = path.with_suffix(".new")
    beside.write_bytes(msgspec.json.encode({"token_secrets": SECRETS, **fields}))
    beside.replace(path)
    return path


def reloads(result: str) -> float:
    return REGISTRY.get_sample_value("avert_keys_reloads_total", {"result": result}) or 0.0


def test_a_plain_string_is_a_key_with_all_scopes(tmp_path: Path) -> None:
    keys = load_keys(written(tmp_path / "keys.json", server_keys=["sk_1"], admin_keys=["ak_1"]))
    assert keys.servers() == [ServerKey("sk_1")]
    assert keys.admins() == [AdminKey("ak_1")]
    assert "tokens" in keys.servers()[0].scopes
    assert "visitors_erase" in keys.admins()[0].scopes


def test_a_revoked_key_is_not_in_force() -> None:
    keys = Keys(server_keys=("a", ServerKey("b", revoked=True)), admin_keys=(AdminKey("c", revoked=True),))
    assert [key.key for key in keys.servers()] == ["a"]
    assert keys.admins() == []


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"server_keys": [{"key": "sk", "scopes": ["everything"]}]}, "everything"),
        ({"server_keys": [{"key": "sk", "scope": []}]}, "unknown field `scope`"),
        ({"token_secrets": SECRETS * 2}, "two token secrets are called 'k'"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        parse_keys(msgspec.json.encode({"token_secrets": SECRETS, **fields}), "keys.json")


def test_an_admin_key_is_found_by_the_whole_of_it() -> None:
    keys = Keys(admin_keys=("ak_one", AdminKey("ak_two", id="carla"))).admins()
    assert find_admin(keys, "ak_two") == keys[1]
    assert [find_admin(keys, presented) for presented in (None, "", "ak_tw", "ak_two ", "AK_TWO")] == [None] * 5


def test_a_key_is_spoken_of_without_being_told() -> None:
    assert key_name(AdminKey("ak_secret", id="carla")) == "carla"
    assert key_name(AdminKey("ak_secret")) not in ("", "ak_secret")
    assert "secret" not in key_name(AdminKey("ak_secret"))


def test_what_changes_in_the_file_comes_into_force(tmp_path: Path) -> None:
    used: list[Keys] = []
    file = KeysFile(written(tmp_path / "keys.json", server_keys=["one"]), used.append)
    file.look()
    assert used == []
    written(tmp_path / "keys.json", server_keys=["two"])
    file.look()
    file.look()
    assert [keys.server_keys for keys in used] == [("two",)]
    assert used[0].token_secrets == (TokenSecret("k", "0123456789abcdef"),)


@pytest.mark.parametrize("broken", ["", "{", '{"token_secrets": []}', None])
def test_a_broken_file_leaves_the_keys_from_before_and_says_so_once(tmp_path: Path, broken: str | None) -> None:
    used: list[Keys] = []
    path = written(tmp_path / "keys.json", server_keys=["one"])
    file = KeysFile(path, used.append)
    before = reloads("broken")
    path.unlink() if broken is None else path.write_text(broken)
    file.look()
    file.look()
    assert used == []
    assert reloads("broken") == before + 1
    assert REGISTRY.get_sample_value("avert_keys_broken") == 1
    written(path, server_keys=["two"])
    file.look()
    assert [keys.server_keys for keys in used] == [("two",)]
    assert REGISTRY.get_sample_value("avert_keys_broken") == 0
