"""Who may do what: write keys and their origins, server keys, visitor tokens. Pure: the time is an argument.

1. A write key is public (it stands in the page): it lets events in, from its own origins when a browser says one.
2. A server key is secret: it lets events in, reads any visitor's suggestions, and issues tokens.
3. A visitor token opens one visitor's suggestions for a short time; it comes with an id that the API minted, or from
   a server key. Knowing an id opens nothing, unless the site has declared its ids to be capabilities.
4. Unknown, forged, expired, foreign: one answer. Secrets are compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from hmac import compare_digest
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from streams.errors import SettingsError, UnauthorizedError

_MINTED_BYTES = 16  # 128 random bits: nobody guesses one
_TOKEN_CHARS_MAX = 256  # longest token worth looking at
_SECRET_CHARS_MIN = 16
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class WriteKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public key of one site and the exact origins (``https://shop.example``) whose pages may use it."""

    key: str
    origins: tuple[str, ...] = ()
    revoked: bool = False


class TokenSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What visitor tokens are signed with. `id` stands in the token, so that secrets can be exchanged."""

    id: str
    secret: str


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys file. The first token secret signs; all verify."""

    write_keys: tuple[WriteKey, ...] = ()
    server_keys: tuple[str, ...] = ()
    admin_keys: tuple[str, ...] = ()
    token_secrets: tuple[TokenSecret, ...] = ()


def load_keys(path: Path) -> Keys:
    """Read the keys file (JSON). Raises SettingsError naming the file and what is wrong; never shows a secret."""
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=Keys)
    except OSError as error:
        raise SettingsError(f"keys file {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"keys file {path}: {error}") from error
    if not keys.token_secrets:
        raise SettingsError(f"keys file {path}: `token_secrets` needs at least one entry; the first one signs")
    for secret in keys.token_secrets:
        if len(secret.secret) < _SECRET_CHARS_MIN:
            raise SettingsError(f"keys file {path}: token secret {secret.id!r} is shorter than {_SECRET_CHARS_MIN}")
        if not secret.id or "." in secret.id or not secret.id.isascii():
            raise SettingsError(f"keys file {path}: token secret id {secret.id!r}: ASCII without a dot")
    return keys


def ephemeral_keys() -> Keys:
    """New random keys, for developing; gone with the process."""
    return Keys(
        write_keys=(WriteKey("wk_" + secrets.token_urlsafe(16)),),
        server_keys=("sk_" + secrets.token_urlsafe(32),),
        admin_keys=("ak_" + secrets.token_urlsafe(32),),
        token_secrets=(TokenSecret("dev", secrets.token_urlsafe(32)),),
    )


def mint_visitor() -> str:
    """A new visitor id: url-safe, unguessable."""
    return secrets.token_urlsafe(_MINTED_BYTES)


class Access:
    """The checks. `development` lets pages of any loopback origin use the keys (they are ephemeral then)."""

    def __init__(
        self, keys: Keys, visitor_ids: Literal["minted", "capability"], token_ttl_s: int, *, development: bool = False
    ) -> None:
        active = [key for key in keys.write_keys if not key.revoked]
        self._origins_by_key = {key.key: frozenset(key.origins) for key in active}
        self._origins = frozenset(origin for key in active for origin in key.origins)
        self._server_digests = [_digest(key) for key in keys.server_keys]
        self._secrets = {secret.id: secret.secret.encode() for secret in keys.token_secrets}
        self._signing_id = keys.token_secrets[0].id
        self._capability = visitor_ids == "capability"
        self._token_ttl_s = token_ttl_s
        self._development = development

    # --- keys

    def is_server_key(self, presented: str | None) -> bool:
        """Whether this is one of the server keys. Looks at all of them, however early one fits."""
        if not presented:
            return False
        digest = _digest(presented)
        found = False
        for known in self._server_digests:
            found |= compare_digest(known, digest)
        return found

    def check_writer(self, presented: str | None, origin: str | None) -> bool:
        """May send events? True when with a server key. Raises UnauthorizedError for anything but a good key."""
        allowed = self._origins_by_key.get(presented) if presented else None
        if allowed is None:
            if self.is_server_key(presented):
                return True
            raise unauthorized()
        if origin is not None and origin not in allowed and not self._is_development_origin(origin):
            raise unauthorized()
        return False

    def origin_allowed(self, origin: str) -> bool:
        """Whether pages of `origin` may read answers (CORS): it stands at some key that is not revoked."""
        return origin in self._origins or self._is_development_origin(origin)

    def _is_development_origin(self, origin: str) -> bool:
        return self._development and _is_loopback_origin(origin)

    # --- visitors

    def may_read(self, visitor: str, token: str | None, now_s: int) -> bool:
        """Whether `token`, or knowing the id where ids are capabilities, opens what belongs to `visitor`."""
        return self._capability or self.token_holds(visitor, token, now_s)

    def issue_token(self, visitor: str, now_s: int) -> tuple[str, int]:
        """A token for `visitor`, and when it ends (seconds since the epoch)."""
        expires_s = now_s + self._token_ttl_s
        return f"{self._signing_id}.{expires_s:x}.{self._signature(self._signing_id, expires_s, visitor)}", expires_s

    def token_holds(self, visitor: str, token: str | None, now_s: int) -> bool:
        """Whether `token` was issued for `visitor`, is whole, and has not ended."""
        if not token or len(token) > _TOKEN_CHARS_MAX or not token.isascii():
            return False
        secret_id, _, rest = token.partition(".")
        expires_text, _, signature = rest.partition(".")
        if secret_id not in self._secrets:
            return False
        try:
            expires_s = int(expires_text, 16)
        except ValueError:
            return False
        if f"{expires_s:x}" != expires_text:  # one spelling of each token
            return False
        genuine = compare_digest(self._signature(secret_id, expires_s, visitor), signature)
        return genuine and now_s < expires_s

    def renewed_token(self, visitor: str, token: str | None, now_s: int) -> str | None:
        """A new token for the holder of one whose time is more than half over; None when there is nothing to renew."""
        if not token or not self.token_holds(visitor, token, now_s):
            return None
        expires_s = int(token.split(".")[1], 16)
        return self.issue_token(visitor, now_s)[0] if expires_s - now_s < self._token_ttl_s / 2 else None

    def _signature(self, secret_id: str, expires_s: int, visitor: str) -> str:
        signed = f"avert-visitor-token-1\0{secret_id}\0{expires_s:x}\0{visitor}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._secrets[secret_id], signed, "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def unauthorized() -> UnauthorizedError:
    """The one answer to whoever may not: it does not say why."""
    return UnauthorizedError("no valid key or token for this")


def credentials(authorization: str | None) -> str | None:
    """What an Authorization header presents: the Bearer value, or the user name of Basic. None when neither."""
    if not authorization:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _is_loopback_origin(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK_HOSTS
    except ValueError:
        return False
