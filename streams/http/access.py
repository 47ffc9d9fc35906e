"""Who may do what: write keys and their origins, server keys, visitor tokens. Pure: the time is an argument.

1. A write key is public (it stands in the page): it lets events in, from its own origins when a browser says one.
2. A server key is secret: by its scopes it lets events in, reads any visitor's suggestions, issues tokens.
3. A visitor token opens one visitor's suggestions for a short time; it comes with an id that the API minted, or from
   a server key. Knowing an id opens nothing, unless the site has declared its ids to be capabilities.
4. A renewal lives long and opens nothing: its one use is to get a new token for the same visitor. It is signed for
   that purpose, so neither can be taken for the other.
5. Unknown, forged, expired, foreign: one answer. Secrets are compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from hmac import compare_digest
from typing import Literal
from urllib.parse import urlsplit

from streams.errors import UnauthorizedError
from streams.keys import AdminKey, Keys, ServerScope, TokenSecret, WriteKey, find_admin, key_digest

_MINTED_BYTES = 16  # 128 random bits: nobody guesses one
_TOKEN_CHARS_MAX = 256  # longest token worth looking at
# What a signature is for stands in what is signed.
_READ, _RENEW = "avert-visitor-token-1", "avert-visitor-renewal-1"
_ANY_APP = "*"
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def ephemeral_keys() -> Keys:
    """New random keys, for developing; gone with the process."""
    return Keys(
        write_keys=(WriteKey("wk_" + secrets.token_urlsafe(16), apps=(_ANY_APP,)),),
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
        self, keys: Keys, visitor_ids: Literal["minted", "capability"], token_ttl_s: int,
        renewal_ttl_s: int = 30 * 86_400, *, development: bool = False,
    ) -> None:
        self._capability = visitor_ids == "capability"
        self._token_ttl_s = token_ttl_s
        self._renewal_ttl_s = renewal_ttl_s
        self._development = development
        self.use(keys)

    def use(self, keys: Keys) -> None:
        """Put these keys into force: what is not among them any more opens nothing from now on."""
        active = [key for key in keys.write_keys if not key.revoked]
        self._origins_by_key = {key.key: frozenset(key.origins) for key in active}
        self._origins = frozenset(origin for key in active for origin in key.origins)
        self._key_by_app = {app: key.key for key in active for app in key.apps}
        self._servers = [(key_digest(key.key), frozenset(key.scopes)) for key in keys.servers()]
        self._admins = keys.admins()
        # With the secret worked in already: a signature starts from a copy, at half the price.
        self._signers = {
            secret.id: hmac.new(secret.secret.encode(), digestmod="sha256") for secret in keys.token_secrets
        }
        self._signing_id = keys.token_secrets[0].id

    # --- keys

    def is_server_key(self, presented: str | None, scope: ServerScope) -> bool:
        """Whether this is a server key that may do `scope`. Looks at all of them, however early one fits."""
        if not presented:
            return False
        digest = key_digest(presented)
        found = False
        for known, scopes in self._servers:
            found |= compare_digest(known, digest) and scope in scopes
        return found

    def admin_key(self, presented: str | None) -> AdminKey | None:
        """The admin key that was presented, if it is one in force."""
        return find_admin(self._admins, presented)

    def check_writer(self, presented: str | None, origin: str | None) -> bool:
        """May send events? True when with a server key. Raises UnauthorizedError for anything but a good key."""
        allowed = self._origins_by_key.get(presented) if presented else None
        if allowed is None:
            if self.is_server_key(presented, "events"):
                return True
            raise unauthorized()
        if origin is not None and origin not in allowed and not self._is_development_origin(origin):
            raise unauthorized()
        return False

    def key_of_app(self, app: str) -> str | None:
        """The write key that stands for the app id of a tracker that sends no key. None when none does."""
        return self._key_by_app.get(app) or self._key_by_app.get(_ANY_APP)

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
        return self._signed(_READ, expires_s, visitor), expires_s

    def token_holds(self, visitor: str, token: str | None, now_s: int) -> bool:
        """Whether `token` was issued for `visitor`, is whole, and has not ended."""
        return self._end_of(_READ, visitor, token) > now_s

    def token_end(self, visitor: str, token: str | None) -> int:
        """When a genuine token of `visitor` ends or ended, seconds since the epoch; 0 for anything else."""
        return self._end_of(_READ, visitor, token)

    def renewed_token(self, visitor: str, token: str | None, now_s: int) -> str | None:
        """A new token for the holder of one whose time is more than half over; None when there is nothing to renew."""
        left_s = self._end_of(_READ, visitor, token) - now_s
        return self.issue_token(visitor, now_s)[0] if 0 < left_s < self._token_ttl_s / 2 else None

    def issue_renewal(self, visitor: str, now_s: int) -> str:
        """What gets `visitor` new tokens for a long time; only with an id that was minted just now."""
        return self._signed(_RENEW, now_s + self._renewal_ttl_s, visitor)

    def renewal_holds(self, visitor: str, renewal: str | None, now_s: int) -> bool:
        """Whether `renewal` was issued for `visitor`, is whole, and has not ended."""
        return self._end_of(_RENEW, visitor, renewal) > now_s

    def _end_of(self, purpose: str, visitor: str, token: str | None) -> int:
        """When a token of ours ends, seconds since the epoch; 0 when it is none, not for this, or another's."""
        if not token or len(token) > _TOKEN_CHARS_MAX or not token.isascii():
            return 0
        secret_id, _, rest = token.partition(".")
        expires_text, _, signature = rest.partition(".")
        try:
            expires_s = int(expires_text, 16)
        except ValueError:
            expires_s = 0
        # One spelling of each token.
        known = secret_id in self._signers and f"{expires_s:x}" == expires_text
        # Signed for what is no token too: how long the answer takes does not say what was wrong.
        expected = self._signature(purpose, secret_id if known else self._signing_id, expires_s, visitor)
        genuine = compare_digest(expected, signature)
        return expires_s if known and genuine else 0

    def _signed(self, purpose: str, expires_s: int, visitor: str) -> str:
        signature = self._signature(purpose, self._signing_id, expires_s, visitor)
        return f"{self._signing_id}.{expires_s:x}.{signature}"

    def _signature(self, purpose: str, secret_id: str, expires_s: int, visitor: str) -> str:
        signed = f"{purpose}\0{secret_id}\0{expires_s:x}\0{visitor}".encode("utf-8", "surrogatepass")
        digest = self._signed_by(secret_id, signed)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def disguised(self, visitor: str) -> str:
        """A visitor as the audit log calls him: the same each time, and not to be guessed without the secret."""
        signed = f"avert-audit-1\0{visitor}".encode("utf-8", "surrogatepass")
        return self._signed_by(self._signing_id, signed).hex()[:16]

    def _signed_by(self, secret_id: str, text: bytes) -> bytes:
        signer = self._signers[secret_id].copy()
        signer.update(text)
        return signer.digest()


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


def _is_loopback_origin(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK_HOSTS
    except ValueError:
        return False
