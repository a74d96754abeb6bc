"""Requests that are wrong on the wire: every one must be refused with 400 and the connection closed.

``{body}`` is a good request body, ``{n}`` its length. A lenient server would answer 200 to most of them.
"""

BODY = b'{"model":"fine-openai/m","messages":[{"role":"user","content":"say it"}]}'
LENGTH = str(len(BODY)).encode()
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
TYPE = b"Content-Type: application/json\r\n"
SIZE = b"Content-Length: " + LENGTH + b"\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
HEAD = LINE + HOST + TYPE


def sized(*lines: bytes, head: bytes = HEAD) -> bytes:
    """A request with these header lines, its body sent as it is."""
    return head + b"".join(lines) + b"\r\n" + BODY


def chunked(*lines: bytes, body: bytes = CHUNKS) -> bytes:
    """A request with these header lines and a chunked body."""
    return HEAD + b"".join(lines) + b"\r\n" + body


FRAMING: dict[str, bytes] = {
    "length and chunks": chunked(SIZE, TE),
    "chunks and length": chunked(TE, SIZE),
    "two lengths that differ": sized(SIZE, b"Content-Length: 5\r\n"),
    "two lengths that agree": sized(SIZE, SIZE),
    "length list": sized(b"Content-Length: %b, %b\r\n" % (LENGTH, LENGTH)),
    "length with plus": sized(b"Content-Length: +%b\r\n" % LENGTH),
    "length below zero": sized(b"Content-Length: -1\r\n"),
    "length in hex": sized(b"Content-Length: 0x%x\r\n" % len(BODY)),
    "length with a space inside": sized(b"Content-Length: 7 3\r\n"),
    "length with underscore": sized(b"Content-Length: 7_3\r\n"),
    "length that is a word": sized(b"Content-Length: many\r\n"),
    "length without a value": sized(b"Content-Length:\r\n"),
    "coding twice": chunked(TE, TE),
    "coding repeated in one line": chunked(b"Transfer-Encoding: chunked, chunked\r\n"),
    "unknown coding": chunked(b"Transfer-Encoding: xchunked\r\n"),
    "identity coding": chunked(b"Transfer-Encoding: identity\r\n"),
    "chunked is not last": chunked(b"Transfer-Encoding: chunked, identity\r\n"),
    "coding in quotes": chunked(b'Transfer-Encoding: "chunked"\r\n'),
    "coding behind a vertical tab": chunked(b"Transfer-Encoding: \x0bchunked\r\n"),
    "chunk size 0x5": chunked(TE, body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size +5": chunked(TE, body=b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size -5": chunked(TE, body=b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk size missing": chunked(TE, body=b"\r\nhello\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": chunked(TE, body=b"f" * 17 + b"\r\n" + BODY),
    "chunk longer than its size": chunked(TE, body=b"3\r\nhello\r\n0\r\n\r\n"),
    "bare LF after a chunk size": chunked(TE, body=CHUNKS.replace(b"\r\n", b"\n", 1)),
}
FIELDS: dict[str, bytes] = {
    "space before the colon": sized(b"Content-Length : " + LENGTH + b"\r\n"),
    "space before the colon of a coding": chunked(b"Transfer-Encoding : chunked\r\n"),
    "folded line": sized(SIZE, b"X-Long: a\r\n b\r\n"),
    "folded first line": LINE + b" X: y\r\n" + HOST + SIZE + b"\r\n" + BODY,
    "NUL in a value": sized(SIZE, b"X-Nul: a\x00b\r\n"),
    "NUL in a name": sized(SIZE, b"X-N\x00l: a\r\n"),
    "bare CR in a value": sized(SIZE, b"X-Cr: a\rb\r\n"),
    "line without a colon": sized(SIZE, b"nonsense\r\n"),
    "empty name": sized(SIZE, b": value\r\n"),
    "brackets in a name": sized(SIZE, b"X[0]: value\r\n"),
    "bare LF between lines": sized(SIZE).replace(b"localhost\r\n", b"localhost\n"),
    "bare LF everywhere": (HEAD + SIZE + b"\r\n").replace(b"\r\n", b"\n") + BODY,
}
LINES: dict[str, bytes] = {
    "no version": sized(SIZE, head=b"POST /v1/chat/completions\r\n" + HOST),
    "version 1.2.3": sized(SIZE, head=b"POST /v1/chat/completions HTTP/1.2.3\r\n" + HOST),
    "lower-case version": sized(SIZE, head=b"POST /v1/chat/completions http/1.1\r\n" + HOST),
    "method with a parenthesis": sized(SIZE, head=b"PO(ST /v1/chat/completions HTTP/1.1\r\n" + HOST),
    "space in the target": sized(SIZE, head=b"POST /v1/chat /completions HTTP/1.1\r\n" + HOST),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
}
HOSTS: dict[str, bytes] = {
    "missing": sized(TYPE, SIZE, head=LINE),
    "twice": sized(HOST, SIZE),
    "with a path": sized(SIZE, head=LINE + b"Host: a/public?x=\r\n"),
    "with user": sized(SIZE, head=LINE + b"Host: me@localhost\r\n"),
    "with a space": sized(SIZE, head=LINE + b"Host: local host\r\n"),
    "empty": sized(SIZE, head=LINE + b"Host:\r\n"),
    "port that is a word": sized(SIZE, head=LINE + b"Host: localhost:http\r\n"),
}


def at(target: bytes) -> bytes:
    """A good request to another target."""
    return sized(SIZE, head=b"POST " + target + b" HTTP/1.1\r\n" + HOST + TYPE)


PATHS: dict[str, bytes] = {
    "absolute form": at(b"http://localhost/v1/chat/completions"),
    "absolute form elsewhere": at(b"http://evil.example/v1/chat/completions"),
    "asterisk": at(b"*"),
    "authority": at(b"localhost:80"),
    "dot dot": at(b"/v1/a/../chat/completions"),
    "dot": at(b"/v1/./chat/completions"),
    "escaped dots": at(b"/v1/a/%2e%2e/chat/completions"),
    "half escaped dots": at(b"/v1/a/.%2E/chat/completions"),
    "escaped NUL": at(b"/v1/chat/completions%00"),
    "broken escape": at(b"/v1/chat/completions%zz"),
    "double slash": at(b"//v1/chat/completions"),
    "double slash inside": at(b"/v1//chat/completions"),
    "semicolon": at(b"/v1/chat/completions;a=b"),
    "backslash": at(b"/v1\\chat/completions"),
    "fragment": at(b"/v1/chat/completions#x"),
}

DEEP = b"[" * 100_000 + b"]" * 100_000
JSON: dict[str, bytes] = {
    "depth 100000": b'{"model":"@","messages":%b}' % DEEP,
    "depth 100000 in a field nobody knows": b'{"model":"@","messages":[],"x":%b}' % DEEP,
    "5000 digits": b'{"model":"@","messages":[],"seed":%b}' % (b"9" * 5000),
    "5000 digits deep inside": b'{"model":"@","messages":[{"role":"user","content":"a","x":%b}]}' % (b"9" * 5000),
    "member twice": b'{"model":"@","model":"@","messages":[]}',
    "member twice, escaped": b'{"model":"@","m\\u006fdel":"@","messages":[]}',
    "NaN": b'{"model":"@","messages":[],"temperature":NaN}',
    "Infinity": b'{"model":"@","messages":[],"temperature":-Infinity}',
    "lone surrogate": b'{"model":"@","messages":[{"role":"user","content":"\\ud800"}]}',
    "lone low surrogate": b'{"model":"@","messages":[{"role":"user","content":"a\\udc00b"}]}',
    "byte order mark": b'\xef\xbb\xbf{"model":"@","messages":[]}',
    "invalid UTF-8": b'{"model":"@","messages":[{"role":"user","content":"\xc3\x28"}]}',
    "UTF-8 of a surrogate": b'{"model":"@","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
    "overlong UTF-8": b'{"model":"@","messages":[{"role":"user","content":"\xc0\xaf"}]}',
    "UTF-16": '{"model":"@"}'.encode("utf-16"),
    "cut": b'{"model":"@","messages":[',
    "empty": b"",
    "white space": b"  \n",
    "two values": b'{"model":"@","messages":[]}{}',
    "trailing comma": b'{"model":"@","messages":[],}',
    "comment": b'{"model":"@",/* */"messages":[]}',
    "single quotes": b"{'model':'@'}",
    "raw newline in a string": b'{"model":"@","messages":[{"role":"user","content":"a\nb"}]}',
    "number with leading zero": b'{"model":"@","messages":[],"seed":007}',
    "hex number": b'{"model":"@","messages":[],"seed":0x1}',
    "bare word": b'{"model":"@","messages":[],"stream":yes}',
}
# Seen only by who decodes the messages: where both sides speak one wire, they go through as they are.
TWICE_INSIDE = b'{"model":"@","max_tokens":9,"messages":[{"role":"user","role":"assistant","content":"a"}]}'
