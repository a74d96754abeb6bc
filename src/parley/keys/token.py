"""Tokens that somebody else issued (JSON Web Tokens), and whose holders they make. Pure but for the library, which is
imported once keys of the issuer are there. Sources: RFC 7515 to 7519, RFC 8725.

Only the issuer's public keys prove a token: algorithms that need none, or a shared secret, are not known here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from warnings import catch_warnings, simplefilter

from msgspec import Struct

from parley.keys.holder import Holder

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
# A pattern that no model's name fits.
_NONE: Final = ("",)
_PUBLIC: Final = frozenset({"RSA", "EC", "OKP"})


class Issuer(Struct, frozen=True, kw_only=True):
    """Whose tokens are taken, and what must be in them.

    ``audience``: one of these must be in ``aud``. ``jwks`` is where its keys are, "" to ask the issuer itself.
    ``claims`` must be there with that value, or with one of them, or hold one of them. ``models``, ``name`` and the
    values of ``tags`` are names of claims (dots for nesting). ``leeway`` and ``refresh`` in seconds.
    """

    issuer: str
    audience: tuple[str, ...]
    jwks: str = ""
    algorithms: tuple[str, ...] = ("RS256", "ES256", "PS256", "EdDSA")
    claims: Mapping[str, tuple[str, ...]] = {}
    models: str = ""
    name: str = ""
    tags: Mapping[str, str] = {}
    leeway: float = 30.0
    refresh: float = 600.0


class Tokens:
    """Tells whose a token is, by the keys that the issuer had last. ``wall`` gives seconds since 1970; ``unknown`` is
    told of a token that was signed by a key that is not among them."""

    def __init__(self, issuer: Issuer, wall: Callable[[], float], unknown: Callable[[], None]) -> None:
        self.issuer = issuer
        self._wall = wall
        self._unknown = unknown
        self._keys: Any = None
        self._names: frozenset[str] = frozenset()

    @property
    def ready(self) -> bool:
        """Whether any keys are known."""
        return self._keys is not None

    def take(self, document: Any) -> int:
        """The issuer's keys from now on, as it publishes them; how many can be used. Raises ValueError for what is no
        set of keys, or none of use."""
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise ValueError("what the issuer publishes is no set of keys")
        made = []
        for one in listed:
            if isinstance(one, dict) and one.get("kty") in _PUBLIC and one.get("use", "sig") == "sig":
                try:
                    made += KeySet.import_key_set({"keys": [_public(one)]}).keys
                except (JoseError, ValueError, TypeError, KeyError):
                    continue
        if not made:
            raise ValueError("the issuer publishes no key that can be used")
        self._keys = KeySet(made)
        self._names = frozenset(str(key.kid) for key in made if key.kid is not None)
        return len(made)

    def holder(self, token: bytes) -> Holder | None:
        """Whose it is; None for every token that is not good."""
        if self._keys is None:
            return None
        from joserfc import jwt
        from joserfc.errors import JoseError, SecurityWarning

        try:
            with catch_warnings():
                # EdDSA is a name that is on its way out, and the one that issuers use.
                simplefilter("ignore", SecurityWarning)
                found = jwt.decode(token.decode("ascii"), self._keys, algorithms=list(self.issuer.algorithms))
            self._judge(found.claims)
            return self._made(found.claims)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            self._look_for_key(token)
            return None

    def _judge(self, claims: dict[str, Any]) -> None:
        from joserfc.errors import InvalidClaimError
        from joserfc.jwt import JWTClaimsRegistry

        issuer = self.issuer
        registry = JWTClaimsRegistry(
            now=int(self._wall()),
            leeway=int(issuer.leeway),
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "values": list(issuer.audience)},
            exp={"essential": True},
            sub={"essential": True},
        )
        registry.validate(claims)
        for name, wanted in issuer.claims.items():
            if _words(_claim(claims, name)).isdisjoint(wanted):
                raise InvalidClaimError(name)

    def _made(self, claims: dict[str, Any]) -> Holder:
        issuer = self.issuer
        subject, expires = claims["sub"], claims["exp"]
        if not isinstance(subject, str) or not subject:
            raise ValueError("sub")
        said = {tag: _claim(claims, claim) for tag, claim in issuer.tags.items()}
        name = _claim(claims, issuer.name) if issuer.name else None
        return Holder(
            id=f"{issuer.issuer}#{subject}",
            name=name if isinstance(name, str) and name else subject,
            models=_models(_claim(claims, issuer.models)) if issuer.models else (),
            expires=float(expires) + issuer.leeway,
            tags={tag: value for tag, value in said.items() if isinstance(value, str)},
        )

    def _look_for_key(self, token: bytes) -> None:
        """The issuer may have a new key."""
        from joserfc.errors import JoseError
        from joserfc.jws import extract_compact

        try:
            header = extract_compact(token).headers()
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return
        name = header.get("kid")
        if isinstance(name, str) and name not in self._names and header.get("alg") in self.issuer.algorithms:
            self._unknown()


def looks_like_token(shown: bytes) -> bool:
    """Whether a text that was shown may be one at all."""
    return shown.count(b".") == 2


def _public(key: dict[str, Any]) -> dict[str, Any]:
    """The public part: an issuer that publishes more does not mean to."""
    return {name: value for name, value in key.items() if name not in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")}


def _claim(claims: dict[str, Any], path: str) -> Any:
    """A claim by its name, which may have dots in it, or by its path."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _words(value: Any) -> frozenset[str]:
    """A claim's values: one, a list of them, or several in one text (as in scope)."""
    if isinstance(value, bool):
        return frozenset({"true" if value else "false"})
    if isinstance(value, (str, int)):
        return frozenset({str(value), *str(value).split()})
    return (
        frozenset(str(one) for one in value if isinstance(one, (str, int))) if isinstance(value, list) else frozenset()
    )


def _models(value: Any) -> tuple[str, ...]:
    """Patterns; where the token names none its holder may ask for none."""
    listed = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(one for one in listed if isinstance(one, str) and one) or _NONE
