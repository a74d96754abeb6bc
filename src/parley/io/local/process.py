"""One child process: started, listened to through its pipes, ended. Callbacks come on the event loop's thread."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from parley.io.local.runner import Listener
from parley.settings import Engine

# A Unix socket's name may have 108 bytes on Linux and 104 on macOS; this much of it may be the folder's.
LONGEST_NAME: Final = 90
KILL_SECONDS: Final = 5.0
_COMMAND: Final = (sys.executable, "-P", "-m", "parley.io.local.child")
_REAP_SECONDS: Final = 0.01
_KEPT_LINES: Final = 30
_KEPT_SIZE: Final = 500
_LEVEL: Final = re.compile(r"\A[\d.]+ ([A-Z]) +(?:\w+ +)?\S+: +")
# What the engine says after it has said why.
_FOLLOWING: Final = re.compile(
    r"failed to load model|encountered an error while|exiting due to|llama_model_loader: failed"
)
_LOADING: Final = "error loading model: "
_PATH: Final = re.compile(r"'/[^']*'|\"/[^\"]*\"|(?<![\w.:/])/[^\s'\":,;()]+")


class Child:
    """A process that runs ``engine`` on the Unix socket ``socket``. ``heard`` is told what becomes of it.

    ``origin`` is where it serves. ``told`` are its last lines on stderr, ``failed`` why it could not begin.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        engine: Engine,
        socket: str,
        heard: Listener,
    ) -> None:
        self._loop = loop
        self._heard: Listener | None = heard
        self._socket = socket
        self._lines = [b"", b""]
        self._killing: asyncio.TimerHandle | None = None
        self.origin = f"unix://{socket}"
        self.told: deque[str] = deque(maxlen=_KEPT_LINES)
        self.failed = ""
        pipe = subprocess.PIPE
        # A session of its own: an interrupt from the terminal is for us, who let requests end first.
        self._process = subprocess.Popen(  # noqa: S603
            _COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
        self.pid = self._process.pid
        self._open = 2
        assert self._process.stdin is not None
        for number, stream in enumerate((self._process.stdout, self._process.stderr)):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            loop.add_reader(stream.fileno(), self._read, number, stream)
        with contextlib.suppress(OSError):
            self._process.stdin.write(_wanted(engine, socket))

    @property
    def status(self) -> int | None:
        """How it ended: its exit code, or minus the signal that ended it; None while it has not."""
        return self._process.returncode

    def stop(self) -> None:
        """Ask it to end; ``ended`` follows. It is killed if it does not obey."""
        if self._killing is None:
            self._process.terminate()
            self._killing = self._loop.call_later(KILL_SECONDS, self._process.kill)

    def kill(self) -> None:
        """End it now and wait for that; ``ended`` does not follow."""
        self._heard = None
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_SECONDS)
        self._close()

    def words(self) -> str:
        """Why it ended, as far as it is known, without names of files."""
        return without_paths(self.failed) if self.failed else last_words(self.told, self.status)

    def _read(self, number: int, stream: Any) -> None:
        try:
            data = stream.read(65536)
        except OSError:
            data = b""
        if data is None:
            return
        if not data:
            self._loop.remove_reader(stream.fileno())
            self._open -= 1
            if self._heard is not None:
                self._heard.fading()
            self._reap()
            return
        *lines, self._lines[number] = (self._lines[number] + data).split(b"\n")
        self._lines[number] = self._lines[number][-_KEPT_SIZE:] if number else self._lines[number]
        for line in lines:
            (self._said, self._noted)[number](line)

    def _said(self, line: bytes) -> None:
        word = json.loads(line)
        if word.get("ready") and self._heard is not None:
            self._heard.ready()
        self.failed = str(word.get("failed", ""))

    def _noted(self, line: bytes) -> None:
        if line.strip():
            self.told.append(line[:_KEPT_SIZE].decode("utf-8", "replace"))

    def _reap(self) -> None:
        """Both pipes have ended, so the process is about to."""
        if self._open:
            return
        if self._process.poll() is None:
            self._loop.call_later(_REAP_SECONDS, self._reap)
            return
        self._close()
        if self._heard is not None:
            self._heard.ended()

    def _close(self) -> None:
        if self._killing is not None:
            self._killing.cancel()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is None or stream.closed:
                continue
            self._loop.remove_reader(stream.fileno())
            stream.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._socket)


def last_words(lines: Iterable[str], status: int | None) -> str:
    """Why a child ended, from what it wrote to stderr and its status: the first error that is not the consequence of
    another, without names of files."""
    if status is not None and status < 0:
        hint = ", perhaps for want of memory" if status == -signal.SIGKILL else ""
        return f"its process was ended by signal {-status}{hint}"
    errors = [
        line[found.end() :].removeprefix(_LOADING)
        for line in lines
        if (found := _LEVEL.match(line)) and found[1] == "E"
    ]
    causes = [error for error in errors if not _FOLLOWING.search(error)]
    return without_paths((causes or errors or [""])[0]) or f"its process ended with status {status}"


def without_paths(text: str) -> str:
    """Words that may go to callers: names of files are left out."""
    return _PATH.sub("(file)", text)


def _wanted(engine: Engine, socket: str) -> bytes:
    wanted = {**structs.asdict(engine), "socket": socket, "alias": Path(engine.model).stem}
    return json.dumps(wanted).encode() + b"\n"


def folder_for_sockets() -> str:
    """A new folder that only we may look into, with a name short enough for sockets in it."""
    folder = tempfile.mkdtemp(prefix="parley-")
    if len(os.fsencode(folder)) <= LONGEST_NAME:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="parley-", dir="/tmp")
