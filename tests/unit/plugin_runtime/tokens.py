"""Grants made by hand, signed by a key of the tests' own."""

from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.utils import base64url_encode

from contracts.grants import Grant, VerificationKey
from plugin_runtime.context import Deadline

NOW = 1_000_000.0


@dataclass(frozen=True)
class Key:
    """A signing key that signs whatever it is given."""

    id: str
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def verification(self) -> VerificationKey:
        public = self.private.public_key().public_bytes_raw()
        return VerificationKey(id=self.id, public=base64url_encode(public).decode())

    def sign(self, grant: Grant, **claims: Any) -> str:
        """The token; further claims are put in as they are."""
        payload = {**grant.model_dump(mode="json"), **claims}
        return jwt.encode(payload, self.private, algorithm="EdDSA", headers={"kid": self.id})


KEY, OTHER_KEY = Key("own"), Key("other")


def make_grant(**changes: Any) -> Grant:
    """Valid by default: analytics in acme-corp, signed now, for 300 seconds."""
    valid: dict[str, Any] = {"sub": "plugin-analytics", "ten": "acme-corp", "iat": int(NOW), "exp": int(NOW) + 300}
    return Grant(**{**valid, **changes})


class FakeTokens:
    """Tokens that count up with each renewal."""

    def __init__(self) -> None:
        self.renewals = 0
        self.is_broker_away = False

    async def token(self, tenant: str, _deadline: Deadline) -> str:
        return f"{tenant} {self.renewals}"

    async def renewed(self, _tenant: str, _deadline: Deadline) -> bool:
        self.renewals += not self.is_broker_away
        return not self.is_broker_away
