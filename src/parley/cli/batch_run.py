"""``parley batch run``: what is done with the file. Requests go through a gateway in this process, which asks the
gateway at --url where one is named."""

import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from secrets import token_hex
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from parley.batches.check import CHUNK_LINES, Check
from parley.batches.journal import ForeignError, Journal, failed_path
from parley.batches.line import Line, line_of, lines
from parley.batches.progress import Progress
from parley.batches.seen import Seen
from parley.batches.told import answer_line, spent
from parley.batches.work import Policy, Queue, Verdict, Work, code_of
from parley.cli.exits import Code, stop
from parley.cli.exits import code_of as exit_of
from parley.cli.options import Source

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery
    from parley.gateway.ended import Ended
    from parley.serve.lines import Lines
    from parley.serve.rpc.asking import Answered
    from parley.settings import Settings

PIECE = 1024 * 1024
FAULTS = 10
BAR_SECONDS = 0.2
REMOTE = "remote"
# How long a line is tried again because there is no room for it.
PATIENCE_SECONDS = 86400.0


class Wishes(NamedTuple):
    """What was asked for; None: as the configuration says."""

    url: str | None
    parallel: int | None
    attempts: int | None
    retry_failed: bool


class Files(NamedTuple):
    """What is read and written. ``seen`` are the ids that have a last answer."""

    input: Path
    done: Journal
    failed: Journal
    seen: Seen


def execute(input_file: Path, output_file: Path, source: Source, wishes: Wishes) -> NoReturn:
    """Do it all; ends with the exit code."""
    settings = _settings(source, wishes.url)
    check = _checked(input_file, settings.limits.body)
    settings = _towards(wishes.url, check.models, settings)
    files = _opened(input_file, output_file, retry=wishes.retry_failed)
    before = (files.done.count, files.failed.count)
    if sum(before) > check.requests:
        stop(Code.USAGE, f"{output_file} holds more answers than {input_file} has requests.", "Name another OUT.jsonl.")
    if wishes.url is not None and sum(before) < check.requests:
        from parley.cli.remote import reach

        reach(wishes.url)
    progress = Progress(check.requests, before, time.monotonic())
    progress.spent = files.done.spent
    job = Job(files, settings, wishes, progress)
    try:
        asyncio.run(job.run())
    except OSError as error:
        stop(Code.FAILED, f"{output_file} cannot be written: {error.strerror or error}.")
    finally:
        files.done.close()
        files.failed.close()
    click.echo(json.dumps(progress.summary(time.monotonic()) | {"failed_file": _named(files.failed)}))
    raise click.exceptions.Exit(job.code())


def _named(failed: Journal) -> str | None:
    return str(failed.path) if failed.count else None


def _settings(source: Source, url: str | None) -> "Settings":
    from parley.cli.source import find, usable
    from parley.settings import Settings

    return Settings(log_requests=False) if url is not None else usable(find(source)).settings


def _towards(url: str | None, models: set[str], settings: "Settings") -> "Settings":
    """Everything goes to the gateway at the URL, under the names that the file has."""
    if url is None:
        return settings
    import os

    from msgspec.structs import replace

    from parley.batches.line import SERVED
    from parley.cli.remote import KEY, base_of
    from parley.operations import OPERATIONS
    from parley.settings import Provider, Registration, Target

    paths = {name: OPERATIONS[name].path for name in SERVED}
    key = os.environ.get(KEY, "")
    auth: dict[str, Any] = {"keys": (key,)} if key else {"auth": "none"}
    provider = Provider(name=REMOTE, type="custom", wire="openai_chat", endpoints=(base_of(url),), paths=paths, **auth)
    named = {("*", model): Registration(model=model, targets=(Target(REMOTE, model),)) for model in models}
    return replace(settings, providers={REMOTE: provider}, registrations=named)


def _checked(path: Path, longest: int) -> Check:
    """Look at the whole file before anything is asked. Ends with exit code 2 where it is wrong."""
    check = Check("", longest)
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(PIECE), b""):
            check.feed(piece)
    check.close()
    if check.faults:
        for fault in check.told()[:FAULTS]:
            click.echo(f"{path}:{fault.line or 1}: {fault.message} ({fault.code})", err=True)
        count = len(check.faults) + check.more
        if count > FAULTS:
            click.echo(f"... and {count - FAULTS} more", err=True)
        stop(Code.USAGE, f"{count} line{'s' * (count > 1)} of {path} cannot be asked; nothing was begun.")
    return check


def _opened(path: Path, output: Path, *, retry: bool) -> Files:
    """What earlier runs have written is read. Ends with exit code 2 where that is something else."""
    seen = Seen()
    done, failed = Journal(output), Journal(failed_path(output))
    if path.resolve() in (output.resolve(), failed.path.resolve()):
        stop(Code.USAGE, "IN and OUT are the same file.")
    try:
        if retry:
            failed.path.unlink(missing_ok=True)
        done.read(seen)
        failed.read(seen)
        # Nothing is asked whose answer could not be kept.
        done.touch()
    except ForeignError as error:
        stop(Code.USAGE, f"{error}; nothing was changed.", "Name another OUT.jsonl.")
    except OSError as error:
        stop(Code.FAILED, f"{output} cannot be written: {error.strerror or error}.")
    return Files(path, done, failed, seen)


class Job:
    """One run. It observes the gateway for what requests cost."""

    def __init__(self, files: Files, settings: "Settings", wishes: Wishes, progress: Progress) -> None:
        plain = settings.batches
        self._files, self._settings, self._progress = files, settings, progress
        self._parallel = wishes.parallel or plain.parallel
        self._policy = Policy(wishes.attempts or plain.attempts)
        self._lines: Lines | None = None
        self._interrupted = False
        self._codes: Counter[Code] = Counter()

    def code(self) -> Code:
        """How the command ends: what most lines failed of, should none be answered."""
        if self._interrupted:
            return Code.INTERRUPTED
        if not self._progress.failed:
            return Code.OK if not self._progress.left else Code.FAILED
        if self._codes and not self._progress.done:
            return self._codes.most_common(1)[0][0]
        return Code.FAILED

    def ended(self, job: "Delivery", ended: "Ended") -> None:
        """See parley.gateway.ended.Observer."""
        if ended.outcome == "ok":
            self._progress.paid(ended.cost)

    async def run(self) -> None:
        """Until all is answered, or somebody interrupts it."""
        from parley.prices import Tariffs
        from parley.serve.house import House
        from parley.serve.lines import Hands, Lines
        from parley.serve.server import gateway_for
        from parley.streams.flow import Flow

        loop = asyncio.get_running_loop()
        gateway = gateway_for(self._settings, loop, _nothing)
        gateway.tariffs = Tariffs(self._settings.prices, wall=gateway.wall)
        gateway.observers = (*gateway.observers, self)
        self._house, self._todo = House(gateway, loop), self._requests()
        queue = Queue(self._policy, random.random, loop.time() + PATIENCE_SECONDS)
        hands = Hands(self._ask, self._settle, self._more, asyncio.Semaphore(self._parallel))
        self._lines = Lines(queue, Flow(self._parallel), hands, loop.time)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        bar = asyncio.ensure_future(self._bar()) if sys.stderr.isatty() else None
        try:
            await self._lines.run()
        finally:
            if bar is not None:
                bar.cancel()
                await asyncio.wait([bar])
            for upstream in gateway.upstreams.values():
                upstream.close()
            # Connections are told of their end in the next turns of the loop.
            for _ in range(3):
                await asyncio.sleep(0)

    def _interrupt(self) -> None:
        """What is under way is finished; a second time it is not."""
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        assert self._lines is not None
        self._lines.stop()
        click.echo("Stopping: waiting for the answers that are under way; again to stop at once.", err=True)

    def _requests(self) -> Iterator[Line]:
        with self._files.input.open("rb") as file:
            for number, text in enumerate(file, 1):
                for _, bare in lines(text.removesuffix(b"\n"), number):
                    line = line_of(bare, number)
                    if line.custom_id not in self._files.seen:
                        yield line

    async def _more(self) -> Sequence[Line] | None:
        found = list(islice(self._todo, CHUNK_LINES))
        return found or None

    async def _ask(self, line: Line) -> "Answered":
        from parley.ports import Request
        from parley.serve.unattended import asked

        name = f"batch_req_{token_hex(16)}"
        headers = [(b"content-type", b"application/json"), (b"x-request-id", name.encode())]
        answer, _ = await asked(self._house, Request(headers, line.body, name, line.url.encode()), None)
        return answer

    async def _settle(self, work: Work, answer: "Answered", verdict: Verdict) -> None:
        if verdict.again is not None:
            self._progress.retries += 1
            return
        ok, line = answer.status < 300, work.line
        name = answer.headers.get(b"x-request-id", b"").decode("latin-1")
        journal = self._files.done if ok else self._files.failed
        journal.write(answer_line(name, line.custom_id, answer.status, name, answer.body))
        if not ok:
            self._codes[exit_of(code_of(answer.body), answer.status)] += 1
        self._progress.settled(ok, spent(answer.body) if ok else spent(b""), time.monotonic())

    async def _bar(self) -> None:
        from tqdm import tqdm

        progress, width = self._progress, get_terminal_size((120, 24)).columns
        before = progress.done + progress.failed
        with tqdm(total=progress.total, initial=before, unit="line", file=sys.stderr, ncols=width) as bar:
            try:
                while True:
                    self._draw(bar)
                    await asyncio.sleep(BAR_SECONDS)
            finally:
                self._draw(bar)

    def _draw(self, bar: Any) -> None:
        progress, retrying = self._progress, self._lines.retrying if self._lines is not None else 0
        bar.n = progress.done + progress.failed
        bar.set_postfix_str(progress.words(retrying, time.monotonic()), refresh=True)


def _nothing(line: bytes) -> None:
    """The summary tells enough."""
