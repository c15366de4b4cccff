"""Signatures: what passes, what was forged or changed, and that a token is verified once."""

import base64
import json
from typing import Any

import jwt
import pytest

from contracts.errors import MalformedMessageError, UnauthenticatedError
from contracts.grants import VerificationKey
from plugin_runtime import keys as keys_module
from plugin_runtime.keys import KeyRing
from tests.unit.plugin_runtime.tokens import KEY, OTHER_KEY, Key, make_grant

RING = KeyRing([KEY.verification])


def test_what_the_broker_signed_is_read_back() -> None:
    grant = make_grant(perms=("plugin.crm.contacts.read",), admin=True)

    assert RING.verify(KEY.sign(grant)) == grant


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def changed(token: str, **claims: Any) -> str:
    """The token with other claims under the same signature."""
    head, body, signature = token.split(".")
    found = json.loads(base64.urlsafe_b64decode(body + "=="))
    return ".".join((head, part({**found, **claims}), signature))


def unsigned(header: dict[str, str]) -> str:
    return f"{part({'kid': 'own', **header})}.{part(make_grant().model_dump(mode='json'))}."


def hmac_with_the_public_key() -> str:
    """The classic confusion: a public key taken for an HMAC's secret (RFC 8725, 2.1)."""
    secret = KEY.private.public_key().public_bytes_raw()
    return jwt.encode(make_grant().model_dump(mode="json"), secret, algorithm="HS256", headers={"kid": "own"})


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        "\u00e9.\u00e9.\u00e9",
        OTHER_KEY.sign(make_grant()),
        Key("own").sign(make_grant()),
        changed(KEY.sign(make_grant()), ten="globex"),
        changed(KEY.sign(make_grant()), admin=True),
        changed(KEY.sign(make_grant()), exp=2_000_000_000),
        KEY.sign(make_grant())[:-4],
        KEY.sign(make_grant()).rpartition(".")[0] + ".",
        unsigned({"alg": "none"}),
        unsigned({"alg": "None"}),
        unsigned({"alg": "EdDSA"}),
        unsigned({}),
        hmac_with_the_public_key(),
        jwt.encode({"sub": "plugin-crm"}, KEY.private, algorithm="EdDSA", headers={"kid": "own"}),
        jwt.encode(make_grant().model_dump(mode="json"), KEY.private, algorithm="EdDSA"),
        KEY.sign(make_grant(), sub="nobody"),
        KEY.sign(make_grant(), ten="_"),
        KEY.sign(make_grant(), exp="tomorrow"),
        KEY.sign(make_grant(), perms=["*"]),
        KEY.sign(make_grant(), extra=True),
    ],
)
def test_whatever_else_is_refused(token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        RING.verify(token)


def test_an_unknown_key_is_told_apart_from_a_forged_token() -> None:
    with pytest.raises(UnauthenticatedError) as unknown:
        RING.verify(OTHER_KEY.sign(make_grant()))
    with pytest.raises(UnauthenticatedError) as forged:
        RING.verify(Key("own").sign(make_grant()))

    assert unknown.value.details["keyId"] == "other"
    assert "keyId" not in forged.value.details


def test_a_key_that_counts_no_more_checks_nothing_not_even_what_was_known() -> None:
    ring, token = KeyRing([KEY.verification]), KEY.sign(make_grant())
    ring.verify(token)
    ring.replace([OTHER_KEY.verification])

    with pytest.raises(UnauthenticatedError, match="key 'own', which is not known"):
        ring.verify(token)
    assert ring.verify(OTHER_KEY.sign(make_grant()))


@pytest.mark.parametrize("public", ["", "short", "A" * 44, "not base64 at all!"])
def test_a_key_that_is_none_leaves_the_others_as_they_were(public: str) -> None:
    ring = KeyRing([KEY.verification])

    with pytest.raises(MalformedMessageError, match="no Ed25519 key"):
        ring.replace([VerificationKey(id="broken", public=public)])
    assert ring.verify(KEY.sign(make_grant()))


def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ring, token = KeyRing([KEY.verification]), KEY.sign(make_grant())
    verify, verified = jwt.decode, list[str]()

    def counting(text: str, *arguments: Any, **options: Any) -> Any:
        verified.append(text)
        return verify(text, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    grants = [ring.verify(token) for _ in range(20)]

    assert verified == [token]
    assert len(set(map(id, grants))) == 1


def test_no_more_tokens_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "MOST_REMEMBERED", 2)
    ring = KeyRing([KEY.verification])
    tokens = [KEY.sign(make_grant(iat=number)) for number in range(3)]
    for token in tokens:
        ring.verify(token)

    assert list(ring._verified) == tokens[1:]


def test_what_was_refused_is_not_remembered() -> None:
    ring = KeyRing([KEY.verification])

    with pytest.raises(UnauthenticatedError):
        ring.verify(OTHER_KEY.sign(make_grant()))
    assert not ring._verified
