"""Keys of nodes: what they sign, and what two of them hide from everybody between them.

A node has one secret; from it come an Ed25519 key for signing and an X25519 key for agreeing on others. Its public key,
as text, is both. Two nodes agree on a secret from both their keys and from one that the asking node makes anew now and
then, so that each knows that the other is who it says; from that secret each call has keys of its own, one for each
direction. Frames are sealed by ChaCha20-Poly1305 under their number.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, TypeVar

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from parley.nodes.frames import LAYOUT, Frame, numbered
from parley.nodes.presence import UnreadableError

_SIZE: Final = 32
_KEYS: Final = b"parley node keys 1"
_AGREED: Final = b"parley agreed 1"
_CALL: Final = b"parley call 1"
# A key that was agreed serves so many calls.
_CALLS: Final = 1000
_K = TypeVar("_K")
_T = TypeVar("_T")
# Keys of other nodes that were read already.
_REMEMBERED: Final = 4096


class Sealed:
    """A Channel (parley.nodes.frames) that nobody else can read or write."""

    __slots__ = ("_next", "_ours", "_theirs")

    def __init__(self, ours: bytes, theirs: bytes) -> None:
        self._ours = ChaCha20Poly1305(ours)
        self._theirs = ChaCha20Poly1305(theirs)
        self._next = 0

    def wrap(self, kind: int, payload: bytes) -> bytes:
        """See Channel."""
        seq, self._next = self._next, self._next + 1
        head = LAYOUT.pack(kind, seq)
        return head + self._ours.encrypt(_nonce(seq), payload, head)

    def unwrap(self, data: bytes) -> Frame:
        """See Channel."""
        kind, seq = numbered(data)
        head = data[: LAYOUT.size]
        try:
            return Frame(kind, seq, self._theirs.decrypt(_nonce(seq), data[LAYOUT.size :], head))
        except InvalidTag:
            raise UnreadableError("not sealed by the other node") from None


class Identity:
    """``secret``: 32 bytes or more that nobody else has. ``context`` keeps what is signed for one network from being
    shown in another."""

    def __init__(self, secret: bytes, context: bytes = b"") -> None:
        material = _derived(secret, _KEYS, 2 * _SIZE)
        self._signs = Ed25519PrivateKey.from_private_bytes(material[:_SIZE])
        self._agrees = X25519PrivateKey.from_private_bytes(material[_SIZE:])
        self._mine = self._signs.public_key().public_bytes_raw() + self._agrees.public_key().public_bytes_raw()
        self._context = context + b"\0"
        self._verifiers: dict[str, Ed25519PublicKey] = {}
        self._shared: dict[str, tuple[X25519PublicKey, bytes]] = {}
        self._sessions: dict[str, tuple[bytes, bytes, int]] = {}
        self._heard: dict[tuple[str, bytes], bytes] = {}
        self.public = urlsafe_b64encode(self._mine).decode().rstrip("=")

    def sign(self, data: bytes) -> bytes:
        """Our signature of it."""
        return self._signs.sign(self._context + data)

    def verified(self, key: str, data: bytes, signature: bytes) -> bool:
        """Whether the node of that public key has signed it."""
        try:
            known = self._verifiers.get(key)
            if known is None:
                known = Ed25519PublicKey.from_public_bytes(_halves(key)[0])
                _remember(self._verifiers, key, known)
            known.verify(signature, self._context + data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def asks(self, theirs: str, token: str) -> tuple[bytes, Sealed]:
        """Of a call to the node of that key: the public key made for it and the next ones, and its channel. Raises
        UnreadableError."""
        ephemeral, secret, left = self._sessions.get(theirs) or self._session(theirs)
        if left > 1:
            self._sessions[theirs] = (ephemeral, secret, left - 1)
        else:
            del self._sessions[theirs]
        return ephemeral, Sealed(*_call_keys(secret, token))

    def answers(self, theirs: str, token: str, ephemeral: bytes) -> Sealed:
        """The channel of a call of the node of that key. Raises UnreadableError."""
        secret = self._heard.get((theirs, ephemeral))
        if secret is None:
            _, shared = self._agreed(theirs)
            try:
                agreed = self._agrees.exchange(X25519PublicKey.from_public_bytes(ephemeral)) + shared
            except ValueError:
                raise UnreadableError("no key") from None
            secret = _derived(agreed, _bound(ephemeral, _raw(theirs), self._mine), _SIZE)
            _remember(self._heard, (theirs, ephemeral), secret)
        ours, back = _call_keys(secret, token)
        return Sealed(back, ours)

    def _session(self, theirs: str) -> tuple[bytes, bytes, int]:
        """A new key agreed with that node, for so many calls."""
        made = X25519PrivateKey.generate()
        ephemeral = made.public_key().public_bytes_raw()
        there, shared = self._agreed(theirs)
        secret = _derived(made.exchange(there) + shared, _bound(ephemeral, self._mine, _raw(theirs)), _SIZE)
        found = (ephemeral, secret, _CALLS)
        _remember(self._sessions, theirs, found)
        return found

    def _agreed(self, theirs: str) -> tuple[X25519PublicKey, bytes]:
        known = self._shared.get(theirs)
        if known is None:
            try:
                there = X25519PublicKey.from_public_bytes(_halves(theirs)[1])
                known = (there, self._agrees.exchange(there))
            except ValueError:
                raise UnreadableError("no key") from None
            _remember(self._shared, theirs, known)
        return known


def _remember(known: dict[_K, _T], key: _K, value: _T) -> None:
    if len(known) >= _REMEMBERED:
        del known[next(iter(known))]
    known[key] = value


def _raw(key: str) -> bytes:
    raw = urlsafe_b64decode(key + "=" * (-len(key) % 4))
    if len(raw) != 2 * _SIZE:
        raise ValueError("no public key of a node")
    return raw


def _halves(key: str) -> tuple[bytes, bytes]:
    raw = _raw(key)
    return raw[:_SIZE], raw[_SIZE:]


def _bound(*parts: bytes) -> bytes:
    return _AGREED + b"".join(len(one).to_bytes(2, "big") + one for one in parts)


def _call_keys(secret: bytes, token: str) -> tuple[bytes, bytes]:
    """Of one call: the key of the node that asks, and of the one that answers."""
    info = _CALL + token.encode()
    return hmac.digest(secret, info + b"\1", "sha256"), hmac.digest(secret, info + b"\2", "sha256")


def _derived(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, None, info).derive(secret)


def _nonce(seq: int) -> bytes:
    return seq.to_bytes(12, "big")
