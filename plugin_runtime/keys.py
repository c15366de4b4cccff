"""The keys by which grants are checked, and the grants that were found good. No I/O."""

from collections import OrderedDict
from collections.abc import Iterable

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.types import Options
from jwt.utils import base64url_decode
from pydantic import ValidationError

from contracts.codec import GRANT_HEADER
from contracts.errors import MalformedMessageError, UnauthenticatedError
from contracts.grants import ALGORITHM, Grant, VerificationKey

MOST_REMEMBERED = 4096
"""How many tokens are remembered: one for each plugin and tenant that speaks to this instance."""

JUDGED_ELSEWHERE: Options = {"verify_exp": False, "verify_iat": False, "verify_sub": False}
"""Claims are read by `Grant` and judged by the receiver's rules; PyJWT checks form, algorithm and signature."""


class KeyRing:
    """Checks signatures. A token is verified once and then known by its text, so a warm check costs no cryptography."""

    def __init__(self, keys: Iterable[VerificationKey] = ()) -> None:
        self._given: frozenset[VerificationKey] = frozenset()
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._verified: OrderedDict[str, Grant] = OrderedDict()
        self.replace(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Iterable[VerificationKey]) -> None:
        """These keys and no others count from now on; what others signed is known no more.

        Raises:
            MalformedMessageError: One is no Ed25519 key; the keys stay as they were.
        """
        given = frozenset(keys)
        if given == self._given:
            return
        try:
            self._keys = {key.id: Ed25519PublicKey.from_public_bytes(base64url_decode(key.public)) for key in given}
        except ValueError as error:
            raise MalformedMessageError(f"a key by which grants are checked is no Ed25519 key: {error}") from error
        self._given = given
        self._verified.clear()

    def verify(self, token: str) -> Grant:
        """The grant that a token carries, signed by a key that counts; who shows it and when is not looked at.

        Raises:
            UnauthenticatedError: It is no token, names another algorithm than EdDSA, was signed by another key or
                changed since, or its claims are no grant's. Details: ``keyId`` where only its key is unknown.
        """
        known = self._verified.get(token)
        if known is not None:
            self._verified.move_to_end(token)
            return known
        grant = self._verify_anew(token)
        self._verified[token] = grant
        if len(self._verified) > MOST_REMEMBERED:
            self._verified.popitem(last=False)
        return grant

    def _verify_anew(self, token: str) -> Grant:
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            key = self._keys.get(key_id)
            if key is None:
                raise UnauthenticatedError(
                    f"the grant is signed by key '{key_id}', which is not known", keyId=key_id, header=GRANT_HEADER
                )
            # The algorithm is ours to name, never the token's: RFC 8725, 3.1.
            claims = jwt.decode(token, key, algorithms=[ALGORITHM], options=JUDGED_ELSEWHERE)
            return Grant.model_validate(claims, by_alias=True)
        except (jwt.PyJWTError, ValidationError) as error:
            reason = "its claims are no grant's" if isinstance(error, ValidationError) else str(error)
            raise UnauthenticatedError(f"the grant is not the broker's: {reason}") from error
