"""Keys of nodes: what they sign, and what two of them hide from everybody between them.

A node has one secret; from it come an Ed25519 key for signing and an X25519 key for agreeing on others. Its public key,
as text, is both. Two nodes agree on a secret from both their keys and from one that the asking node makes anew now and
then, so that each knows that the other is who it says; from that secret comes one key for each direction. Frames are
sealed by AES-256-GCM for their call and under their number, beside which stands what each end of a call has drawn by
lot: a call that is shown a second time is not answered under numbers that were used.
"""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from parley.nodes.frames import FRAMED, LAYOUT, Channel, Frame, numbered
from parley.nodes.presence import UnreadableError

_SIZE: Final = 32
_KEYS: Final = b"parley node keys 1"
_AGREED: Final = b"parley agreed 1"
_CALL: Final = b"parley call 2"
_LOT: Final = 8
_START: Final = FRAMED + _LOT
_LOTS: Final = 512 * _LOT
# A key that was agreed serves so many calls.
_CALLS: Final = 1000
# Nonce, text, and what else is proved.
Cipher: TypeAlias = Callable[[bytes, bytes, bytes], bytes]
# What seals by our key, what opens by the other node's.
Pair: TypeAlias = tuple[Cipher, Cipher]
_K = TypeVar("_K")
_T = TypeVar("_T")
# Keys of other nodes that were read already.
_REMEMBERED: Final = 4096


class Sealed(Channel):
    """A Channel (parley.nodes.frames) that nobody else can read or write. ``token`` names the call, ``lot`` are bytes
    that no other channel under these keys has."""

    __slots__ = ("_lot", "_next", "_open", "_seal", "_token")

    def __init__(self, keys: Pair, token: str, lot: bytes) -> None:
        self._seal: Cipher = keys[0]
        self._open: Cipher = keys[1]
        self._token = token.encode()
        self._lot = lot
        self._next = 0

    def wrap(self, kind: int, payload: bytes) -> bytes:
        """See Channel."""
        seq, lot = self._next, self._lot
        self._next = seq + 1
        head: bytes = LAYOUT.pack(kind, seq)
        return head + lot + self._seal(lot + head[1:], payload, head + self._token)

    def unwrap(self, data: bytes) -> Frame:
        """See Channel."""
        kind, seq = numbered(data)
        head = data[:FRAMED]
        try:
            return kind, seq, self._open(data[FRAMED:_START] + head[1:], data[_START:], head + self._token)
        except (InvalidTag, ValueError):
            raise UnreadableError("not sealed by the other node") from None


class _Session:
    """A key that we have agreed with another node, for ``left`` more calls."""

    __slots__ = ("ephemeral", "keys", "left")

    def __init__(self, ephemeral: bytes, keys: Pair) -> None:
        self.ephemeral = ephemeral
        self.keys = keys
        self.left = _CALLS


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
        self._sessions: dict[str, _Session] = {}
        self._heard: dict[tuple[str, bytes], Pair] = {}
        self._lots, self._place = b"", _LOTS
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
        session = self._sessions.get(theirs) or self._session(theirs)
        session.left -= 1
        if session.left == 0:
            del self._sessions[theirs]
        return session.ephemeral, Sealed(session.keys, token, self._lot())

    def answers(self, theirs: str, token: str, ephemeral: bytes) -> Sealed:
        """The channel of a call of the node of that key. Raises UnreadableError."""
        keys = self._heard.get((theirs, ephemeral))
        if keys is None:
            _, shared = self._agreed(theirs)
            try:
                agreed = self._agrees.exchange(X25519PublicKey.from_public_bytes(ephemeral)) + shared
            except ValueError:
                raise UnreadableError("no key") from None
            asking, answering = _keys(_derived(agreed, _bound(ephemeral, _raw(theirs), self._mine), _SIZE))
            keys = (answering.encrypt, asking.decrypt)
            _remember(self._heard, (theirs, ephemeral), keys)
        return Sealed(keys, token, self._lot())

    def _lot(self) -> bytes:
        place = self._place
        if place == _LOTS:
            self._lots, place = os.urandom(_LOTS), 0
        self._place = place + _LOT
        return self._lots[place : place + _LOT]

    def _session(self, theirs: str) -> _Session:
        """A new key agreed with that node, for so many calls."""
        made = X25519PrivateKey.generate()
        ephemeral = made.public_key().public_bytes_raw()
        there, shared = self._agreed(theirs)
        secret = _derived(made.exchange(there) + shared, _bound(ephemeral, self._mine, _raw(theirs)), _SIZE)
        asking, answering = _keys(secret)
        found = _Session(ephemeral, (asking.encrypt, answering.decrypt))
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


def _keys(secret: bytes) -> tuple[AESGCM, AESGCM]:
    """Of the node that asks, and of the one that answers."""
    return AESGCM(hmac.digest(secret, _CALL + b"\1", "sha256")), AESGCM(hmac.digest(secret, _CALL + b"\2", "sha256"))


def _derived(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, None, info).derive(secret)
