"""JetStream of NATS: messages pulled with explicit acks, answers confirmed by the stream that keeps them.

Sources: messaging contract section 8.9; docs.nats.io, reference of JetStream's wire protocol.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from parley.io.brokers.nats_lines import Lines, digits, head_of, headers_of, number_of, said
from parley.streams.port import NOTHING, REQUEST_ID, Added, BrokerError, Received, Sent, TooLargeError

Connect: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]
WAIT_SECONDS: Final = 1.0
# How long what is asked for stays asked for.
PULL_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 5.0
_ID: Final = "Nats-Msg-Id"
_EXPECTED: Final = "Nats-Expected-Stream"
_ACK: Final = said(b"+ACK")
_PROGRESS: Final = said(b"+WPI")
_NAK: Final = said(b"-NAK")
# How often it is looked for confirmations that are late.
_LOOKS: Final = 5
_LOOK_SECONDS: Final = ANSWER_SECONDS / _LOOKS
# Statuses without a message: nothing came in time, or nothing waits.
_OVER: Final = (b"404", b"408")
_TOO_LARGE: Final = 10054
# A confirmation; that of a failure begins otherwise.
_TAKEN: Final = b'{"stream":'
_GONE: Final = "the connection is lost"


class JetStreamSubscription:
    """A pull consumer with explicit acks. What it asks for and has not got is never more than it was told to want."""

    nacks = True

    def __init__(self, client: Any, lines: Lines, consumer: tuple[str, str], lease: float) -> None:
        self._client, self._lines, self.lease = client, lines, lease
        self._stream, self._durable = consumer
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}".encode()
        self._number, self._inbox, self._pulls = 0, b"", 0
        self._asked, self._wanted, self._until = 0, 0, 0.0
        self._subscribed: Any = None
        self._waiting: deque[Received] = deque()
        self._came = asyncio.Event()
        self._take: Added | None = None
        self._lost: Callable[[BrokerError], None] | None = None
        self._problem: BrokerError | None = None

    async def open(self) -> None:
        """Listen."""
        inbox = self._client.new_inbox()
        self._subscribed = await self._client.subscribe(f"{inbox}.*")
        self._number, self._inbox = self._subscribed._id, inbox.encode()
        self._lines.listen(self._number, self._arrived)

    def lose(self) -> None:
        """The connection has gone, and with it whatever was asked for."""
        self._fail(BrokerError(_GONE))

    # Messages as they come

    def push(self, take: Added, lost: Callable[[BrokerError], None]) -> None:
        """See port."""
        self._take, self._lost = take, lost
        while self._waiting:
            take(self._waiting.popleft())
        if self._problem is not None:
            lost(self._problem)

    def want(self, count: int) -> None:
        """See port."""
        self._wanted = count
        self._pull(count, PULL_SECONDS)

    async def rest(self) -> None:
        """See port."""
        self._wanted = self._asked = 0
        with contextlib.suppress(Exception):
            # Without anybody who listens the server keeps what it has; what is on its way comes again.
            await self._subscribed.unsubscribe()
        await asyncio.sleep(0)

    def done(self, message: Received) -> None:
        """See port."""
        self._say(message, _ACK)

    def _pull(self, count: int, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._asked and now > self._until + WAIT_SECONDS:
            # Whatever became of it, it is over.
            self._asked = 0
        more = count - self._asked
        if more <= 0:
            return
        self._asked += more
        self._until = now + seconds
        self._pulls += 1
        body = b'{"batch":%d,"expires":%d}' % (more, int(seconds * 1e9))
        self._lines.publish(self._next, body, b"%b.%d" % (self._inbox, self._pulls))

    def _arrived(self, subject: bytes, reply: bytes, head: bytes, body: bytes) -> None:
        if head and not reply:
            self._told(head)
            return
        self._asked -= 1
        self._wanted -= 1
        message = _received(self._stream, reply, head, body)
        if self._take is not None:
            self._take(message)
            return
        self._waiting.append(message)
        self._came.set()

    def _told(self, head: bytes) -> None:
        """A status, which ends what was asked for."""
        status, said = head[9:12], headers_of(head)
        if status == b"100":
            return
        left = said.get("Nats-Pending-Messages", "")
        self._asked = max(0, self._asked - int(left)) if left.isdigit() else 0
        if status not in _OVER:
            reason = head[12:].partition(b"\r\n")[0].decode("utf-8", "replace").strip()
            self._fail(BrokerError(f"NATS: {reason or status.decode()}"))
        elif self._take is not None:
            self._pull(self._wanted, PULL_SECONDS)

    def _fail(self, error: BrokerError) -> None:
        self._problem = error
        self._came.set()
        if self._lost is not None:
            self._lost(error)

    # Messages as they are asked for

    async def receive(self, count: int) -> Sequence[Received]:
        """See port."""
        if not self._waiting:
            self._check()
            self._came.clear()
            self._pull(count, WAIT_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS + 0.2):
                    await self._came.wait()
            if not self._waiting:
                self._check()
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def _check(self) -> None:
        if self._problem is not None:
            raise self._problem
        if not self._client.is_connected:
            raise BrokerError(_GONE)

    async def ack(self, message: Received) -> None:
        """See port."""
        self._say(message, _ACK)

    async def nack(self, message: Received, delay: float) -> None:
        """See port."""
        self._say(message, said(b'-NAK {"delay":%d}' % int(delay * 1e9)) if delay else _NAK)

    async def extend(self, messages: Sequence[Received]) -> None:
        """See port."""
        for message in (*messages, *self._waiting):
            self._say(message, _PROGRESS)

    def _say(self, message: Received, word: bytes) -> None:
        if not self._lines.speaks:
            raise BrokerError(_GONE)
        self._lines.tell(message.handle, word)

    async def backlog(self) -> int | None:
        """See port."""
        reply = await asked(self._client, f"CONSUMER.INFO.{self._stream}.{self._durable}")
        if self._take is not None:
            # If a status was lost, nothing would be asked for any more.
            self._pull(self._wanted, PULL_SECONDS)
        waiting: int | None = reply.get("num_pending")
        return waiting

    async def close(self) -> None:
        """See port. What nobody has taken goes back at once."""
        self._lines.leave(self._number)
        with contextlib.suppress(BrokerError):
            for message in self._waiting:
                self._say(message, _NAK)
        self._waiting.clear()
        await closed(self._client)


class Connection:
    """One that is made anew where its client has given it up, as it does after some errors of the server's. ``connect``
    raises BrokerError; ``ready`` hears of each new client."""

    def __init__(self, client: Any, connect: Connect, ready: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self.client = client
        self._connect, self._ready = connect, ready
        self._coming: Any = None

    def check(self) -> None:
        """Raises BrokerError where there is none now."""
        if self.client.is_connected:
            return
        if self.client.is_closed and self._coming is None:
            self._coming = asyncio.ensure_future(self._again())
        raise BrokerError(_GONE)

    async def _again(self) -> None:
        try:
            client = await self._connect()
            await self._ready(client)
            self.client = client
        except Exception:
            # Whoever sends next asks for it again.
            await asyncio.sleep(WAIT_SECONDS)
        finally:
            self._coming = None

    async def close(self) -> None:
        """Let go of it."""
        if self._coming is not None:
            self._coming.cancel()
        await closed(self.client)


class JetStreamTopic:
    """Confirmed by the stream that the subject belongs to."""

    def __init__(self, client: Any, connect: Connect, subject: str, stream: str) -> None:
        self._connection = Connection(client, connect, self._ready)
        self._subject, self._stream = subject.encode(), stream
        # The usual block of headers around the one value that differs.
        self._begins = f"NATS/1.0\r\n{REQUEST_ID}: ".encode()
        self._ends = f"\r\n{_EXPECTED}: {stream}\r\n\r\n".encode()
        # The inbox ends with a dot, behind which the number of the message stands.
        self._number, self._inbox, self._count = 0, b"", 0
        self._lines: Lines
        self._most = 0
        self._loop = asyncio.get_running_loop()
        # Who waits for a confirmation, in the order in which they were sent; how many had been sent at the last looks.
        self._waiting: dict[int, Sent] = {}
        self._looks: deque[int] = deque()
        self._watch: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Listen to what is confirmed."""
        await self._ready(self._connection.client)

    async def _ready(self, client: Any) -> None:
        lines, inbox = Lines(client), client.new_inbox()
        subscribed = await client.subscribe(f"{inbox}.*")
        self._number, self._inbox = subscribed._id, f"{inbox}.".encode()
        lines.listen(self._number, self._confirmed)
        self._lines, self._most = lines, client.max_payload or 0

    def post(self, body: bytes, attributes: Mapping[str, str], sent: Sent) -> None:
        """See port."""
        if not self._lines.speaks:
            self._connection.check()
        named = attributes.get(REQUEST_ID, "")
        if len(attributes) == 1 and named.isprintable():
            head = b"%b%b%b" % (self._begins, named.encode("utf-8", "replace"), self._ends)
        else:
            head = head_of({**attributes, _EXPECTED: self._stream})
        if self._most and len(body) + len(head) > self._most:
            raise TooLargeError(f"{len(body)} bytes, and {self._most} are taken")
        self._count += 1
        self._waiting[self._count] = sent
        if self._watch is None:
            self._watch = self._loop.call_later(_LOOK_SECONDS, self._late)
        self._lines.publish(self._subject, body, self._inbox + digits(self._count), head)

    def _confirmed(self, subject: bytes, reply: bytes, head: bytes, body: bytes) -> None:
        sent = self._waiting.pop(number_of(subject, len(self._inbox)), None)
        if sent is not None:
            sent(None if not head and body.startswith(_TAKEN) else _refusal(head, body))

    def _late(self) -> None:
        """Those whose time is over fail: what had been sent a while ago."""
        self._watch = None
        if not self._waiting:
            self._looks.clear()
            return
        self._watch = self._loop.call_later(_LOOK_SECONDS, self._late)
        self._looks.append(self._count)
        if len(self._looks) <= _LOOKS:
            return
        last = self._looks.popleft()
        late = []
        for number in self._waiting:
            if number > last:
                break
            late.append(number)
        for number in late:
            sent = self._waiting.pop(number, None)
            if sent is not None:
                sent(BrokerError("NATS: TimeoutError"))

    async def send(self, body: bytes, attributes: Mapping[str, str], order: str = "") -> None:
        """See port."""
        ended: asyncio.Future[BrokerError | None] = asyncio.get_running_loop().create_future()

        def sent(error: BrokerError | None) -> None:
            if not ended.done():
                ended.set_result(error)

        self.post(body, attributes, sent)
        error = await ended
        if error is not None:
            raise error

    async def close(self) -> None:
        """See port."""
        self._lines.leave(self._number)
        if self._watch is not None:
            self._watch.cancel()
        waiting, self._waiting = self._waiting, {}
        for sent in waiting.values():
            sent(BrokerError(_GONE))
        await self._connection.close()


def _received(stream: str, reply: bytes, head: bytes, body: bytes) -> Received:
    """What its reply subject tells: in two forms, of which the longer one begins with a domain and an account."""
    words = reply.split(b".")
    first = 2 if len(words) < 11 else 4
    headers = headers_of(head) if head else NOTHING
    given = headers.get(_ID) if head else None
    return Received(
        id=given or f"{stream}:{words[first + 3].decode()}",
        body=body,
        deliveries=number_of(words[first + 2]),
        at=float(words[first + 5][:-6]) / 1e3,
        attributes=headers,
        handle=reply,
    )


def _refusal(head: bytes, body: bytes) -> BrokerError | None:
    """Why a stream did not take a message, if it did not."""
    if head and not body:
        return BrokerError(f"NATS: no stream takes it ({head[9:12].decode('latin-1')})")
    try:
        error = msgspec.json.decode(body).get("error")
    except (msgspec.DecodeError, AttributeError):
        return BrokerError("NATS: the confirmation is no JSON")
    if not error:
        return None
    said = f"NATS: {error.get('description', 'refused')}"
    return TooLargeError(said) if error.get("err_code") == _TOO_LARGE else BrokerError(said)


async def asked(client: Any, what: str) -> dict[str, Any]:
    """One call of JetStream's. Raises BrokerError."""
    try:
        reply = await client.request(f"$JS.API.{what}", b"", timeout=ANSWER_SECONDS)
        found: dict[str, Any] = msgspec.json.decode(reply.data)
    except Exception as error:
        raise BrokerError(f"NATS: {type(error).__name__}") from None
    if found.get("error"):
        raise BrokerError(f"NATS: {found['error'].get('description', 'refused')}")
    return found


async def closed(client: Any) -> None:
    """What was written goes out before."""
    with contextlib.suppress(Exception):
        # What this turn has to say is said in the next.
        await asyncio.sleep(0)
        if client.is_connected:
            await client.flush(1)
    with contextlib.suppress(Exception):
        await client.close()
