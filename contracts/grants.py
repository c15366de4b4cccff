"""Grants: the broker's signed word about a plugin in a tenant. Signed in the broker, checked by every receiver."""

from typing import Annotated

from pydantic import Field

from contracts.manifest_values import Permission
from contracts.wire import Many, PluginId, TenantId, WireModel

ALGORITHM = "EdDSA"
"""The one algorithm: Ed25519 (RFC 8037). A token that names another, ``none`` included, is refused."""

GRANT_SECONDS = 300.0
"""How long a grant is valid; it is renewed at half of that."""

OUTAGE_GRACE_SECONDS = 3600.0
"""For so long past its end a grant is taken by a receiver that has not heard the broker for `SILENCE_SECONDS`."""

SILENCE_SECONDS = 30.0
"""Without an answer to a heartbeat for so long, the broker counts as away; longer where heartbeats are rare."""

CLOCK_LEEWAY_SECONDS = 30.0
"""By so much the clocks of two hosts may differ (RFC 7519, 4.1.4)."""

MOST_TENANTS = 100
"""How many grants one request may ask for."""

TENANTS_UP_FRONT = 20
"""For how many of its tenants an instance gets grants when it registers; it asks for others at first use."""


class Grant(WireModel):
    """The claims of a grant: this plugin may speak for this tenant, with these permissions.

    Attributes:
        sub: The plugin (RFC 7519, 4.1.2).
        ten: The tenant.
        perms: What it was granted when it was installed there, ascending.
        admin: It administers, and may call every endpoint whatever permissions that asks for.
        iat: Seconds since the epoch when it was signed.
        exp: Seconds since the epoch when it ends.
    """

    sub: PluginId
    ten: TenantId
    perms: Many[Permission] = ()
    admin: bool = False
    iat: int
    exp: int


class VerificationKey(WireModel):
    """A public key by which grants are checked.

    Attributes:
        id: What a token's ``kid`` names.
        public: The raw Ed25519 key, base64url without padding: ``x`` of RFC 8037, 2.
    """

    id: str
    public: str


class GrantToken(WireModel):
    """A signed grant as its plugin receives it.

    Attributes:
        token: What travels in the header ``x-grant``: a compact JWS (RFC 7515, 7.1).
        expires_in: Seconds for which it is valid from now on; relative, since clocks differ.
    """

    tenant: TenantId
    token: str
    expires_in: float


class GrantRequest(WireModel):
    """The caller asks for its grants in these tenants; for none, it asks for the keys alone."""

    tenants: Annotated[Many[TenantId], Field(max_length=MOST_TENANTS)] = ()


class GrantList(WireModel):
    """Grants in the order in which their tenants were asked for, and the keys by which all grants are checked."""

    grants: Many[GrantToken]
    keys: Many[VerificationKey] = ()
