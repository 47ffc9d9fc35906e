"""The keys file: who may do what, as the operator wrote it. Read by the API and, for the admin keys, by the workers.

1. Write keys are public, and bound to origins. Server keys and admin keys are secret, and may do what their scopes say.
2. An entry is taken out of force by `revoked: true` or by removing it; two entries side by side are a rotation.
3. A file that cannot be used never replaces anything: the keys from before stay, and a metric and the log say so.
4. No text made here contains a secret. A key is spoken of by its `id`, or by the beginning of its hash.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from typing import Literal

import msgspec

from streams.errors import SettingsError
from streams.telemetry import KEYS_BROKEN, KEYS_RELOADS, log

SECRET_CHARS_MIN = 16
_LOOK_S = 1.0  # between two looks at the file: how soon a revoked key is out

ServerScope = Literal["events", "read", "tokens", "rules", "impact"]
AdminScope = Literal["explain", "rules", "impact", "visitors_read", "visitors_erase"]


class WriteKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public key of one site and the exact origins (``https://shop.example``) whose pages may use it.

    `apps`: the app or site ids for which it stands, where trackers send no key (Snowplow's `aid`, Matomo's `idsite`);
    ``*`` is any other.
    """

    key: str
    origins: tuple[str, ...] = ()
    revoked: bool = False
    id: str = ""
    apps: tuple[str, ...] = ()


class ServerKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A secret key of the site's own servers. Without `scopes` it may do all that server keys can."""

    key: str
    id: str = ""
    scopes: tuple[ServerScope, ...] = ("events", "read", "tokens", "rules", "impact")
    revoked: bool = False


class AdminKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A secret key for the private port. Without `scopes` it may do all that admin keys can."""

    key: str
    id: str = ""
    scopes: tuple[AdminScope, ...] = ("explain", "rules", "impact", "visitors_read", "visitors_erase")
    revoked: bool = False


class TokenSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What visitor tokens are signed with. `id` stands in the token, so that secrets can be exchanged."""

    id: str
    secret: str


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys file. The first token secret signs; all verify. A plain string is a key with all scopes."""

    write_keys: tuple[WriteKey, ...] = ()
    server_keys: tuple[str | ServerKey, ...] = ()
    admin_keys: tuple[str | AdminKey, ...] = ()
    token_secrets: tuple[TokenSecret, ...] = ()

    def servers(self) -> list[ServerKey]:
        """The server keys in force."""
        entries = (ServerKey(entry) if isinstance(entry, str) else entry for entry in self.server_keys)
        return [entry for entry in entries if not entry.revoked]

    def admins(self) -> list[AdminKey]:
        """The admin keys in force."""
        entries = (AdminKey(entry) if isinstance(entry, str) else entry for entry in self.admin_keys)
        return [entry for entry in entries if not entry.revoked]


def key_digest(secret: str) -> bytes:
    """What secrets are compared by: of one length whatever was presented."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def key_name(key: ServerKey | AdminKey) -> str:
    """What a key is called in logs: its id, or the beginning of its hash."""
    return key.id or key_digest(key.key).hex()[:8]


def find_admin(keys: list[AdminKey], presented: str | None) -> AdminKey | None:
    """The admin key that was presented. Looks at all of them, however early one fits."""
    if not presented:
        return None
    digest = key_digest(presented)
    found = None
    for key in keys:
        if compare_digest(key_digest(key.key), digest):
            found = key
    return found


def load_keys(path: Path) -> Keys:
    """Read the keys file (JSON). Raises SettingsError naming the file and what is wrong; never shows a secret."""
    try:
        return parse_keys(path.read_bytes(), str(path))
    except OSError as error:
        raise SettingsError(f"keys file {path}: {error.strerror}") from error


def parse_keys(content: bytes, where: str) -> Keys:
    """The keys of a file's content; `where` is what an error calls it. Raises SettingsError."""
    try:
        keys = msgspec.json.decode(content, type=Keys)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"keys file {where}: {error}") from error
    if not keys.token_secrets:
        raise SettingsError(f"keys file {where}: `token_secrets` needs at least one entry; the first one signs")
    ids = [secret.id for secret in keys.token_secrets]
    for secret in keys.token_secrets:
        if len(secret.secret) < SECRET_CHARS_MIN:
            raise SettingsError(f"keys file {where}: token secret {secret.id!r} is shorter than {SECRET_CHARS_MIN}")
        if not secret.id or "." in secret.id or not secret.id.isascii():
            raise SettingsError(f"keys file {where}: token secret id {secret.id!r}: ASCII without a dot")
        if ids.count(secret.id) > 1:
            raise SettingsError(f"keys file {where}: two token secrets are called {secret.id!r}")
    return keys


class KeysFile:
    """Follows the file: `use` is called with the keys of each new content that can be used."""

    def __init__(self, path: Path, use: Callable[[Keys], None]) -> None:
        self._path = path
        self._use = use
        self._seen: bytes | None = self._content()

    async def follow(self) -> None:
        """Look at the file every second; for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """Look once. The file is small and local: this takes less than a millisecond."""
        content = self._content()
        if content == self._seen:
            return
        self._seen = content
        try:
            keys = parse_keys(content or b"", str(self._path))  # a file that is gone has no entry that signs
        except SettingsError as error:
            KEYS_RELOADS.labels("broken").inc()
            KEYS_BROKEN.set(1)
            log.error("keys_broken", error=str(error), in_force="the keys from before")
            return
        self._use(keys)
        KEYS_RELOADS.labels("applied").inc()
        KEYS_BROKEN.set(0)
        log.info(
            "keys_applied", write_keys=len([key for key in keys.write_keys if not key.revoked]),
            server_keys=len(keys.servers()), admin_keys=len(keys.admins()), token_secrets=len(keys.token_secrets),
        )

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except OSError:
            return None
