"""When keys come and go, who gets a grant for what, and the signing itself. Pure."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.utils import base64url_encode

from contracts.grants import ALGORITHM, GRANT_SECONDS, Grant, GrantToken, VerificationKey
from contracts.manifest import Dependency

DAY_SECONDS = 86_400.0
ROTATE_AFTER_SECONDS = 30 * DAY_SECONDS
FORGET_AFTER_SECONDS = 90 * DAY_SECONDS
"""How long a retired key still checks what it signed: longer than any retry, dead letter or stream keeps an event."""

KEY_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half of a key, and its name.

    Attributes:
        id: What a token's ``kid`` names; random, so that a restored backup never reuses one.
        private: Never logged, never published: its repr shows nothing of it.
        created_at: Seconds since the epoch.
    """

    id: str
    private: Ed25519PrivateKey
    created_at: float

    @classmethod
    def generate(cls, now: float) -> "SigningKey":
        """A new key."""
        return cls(secrets.token_hex(KEY_ID_BYTES), Ed25519PrivateKey.generate(), now)

    @property
    def public_bytes(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    def sign(self, grant: Grant) -> str:
        """The grant as a compact JWS (RFC 7515, 7.1)."""
        claims = grant.model_dump(mode="json", exclude_defaults=True)
        return jwt.encode(claims, self.private, algorithm=ALGORITHM, headers={"kid": self.id})

    def issue(self, plugin: str, tenant: str, permissions: Iterable[str], now: float, *, admin: bool) -> GrantToken:
        """A grant that begins now."""
        grant = Grant(
            sub=plugin,
            ten=tenant,
            perms=tuple(sorted(permissions)),
            admin=admin,
            iat=int(now),
            exp=int(now + GRANT_SECONDS),
        )
        return GrantToken(tenant=tenant, token=self.sign(grant), expires_in=GRANT_SECONDS)


def public_key(key_id: str, public: bytes) -> VerificationKey:
    """A public key as everybody is told of it."""
    return VerificationKey(id=key_id, public=base64url_encode(public).decode())


def is_worn(created_at: float, now: float) -> bool:
    """Whether a signing key is to be replaced."""
    return now - created_at >= ROTATE_AFTER_SECONDS


def forgotten_before(now: float) -> float:
    """Keys retired before this moment check nothing any more."""
    return now - FORGET_AFTER_SECONDS


def asked_for(dependencies: Iterable[Dependency]) -> frozenset[str]:
    """The permissions that a plugin version asks for."""
    return frozenset(permission for dependency in dependencies for permission in dependency.permissions)
