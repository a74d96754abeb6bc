"""A way to the servers of a network that can be cut, while nobody is told."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fixtures.nats import NatsServer


class Wire:
    """The way to the servers that can be cut: a namespace of the network, or a relay that stands still."""

    def __init__(self, near: str, far: str, cut: Callable[[], None], mend: Callable[[], None]) -> None:
        self.near, self.far, self.cut, self.mend = near, far, cut, mend


def _may(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def far(home: Path, server: NatsServer) -> Iterator[Wire]:
    """Where namespaces can be made, servers in one of their own behind a wire that loses everything; elsewhere a
    process between node and servers that is stopped."""
    name = f"pn{os.getpid()}"
    if not _may("ip", "netns", "add", name):
        with _stopped(server) as wire:
            yield wire
        return
    try:
        inside = ("ip", "netns", "exec", name)
        subnet = f"10.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"
        for words in (
            ("ip", "link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b"),
            ("ip", "link", "set", f"{name}b", "netns", name),
            ("ip", "addr", "add", f"{subnet}.1/24", "dev", f"{name}a"),
            ("ip", "link", "set", f"{name}a", "up"),
            (*inside, "ip", "addr", "add", f"{subnet}.2/24", "dev", f"{name}b"),
            (*inside, "ip", "link", "set", f"{name}b", "up"),
            (*inside, "ip", "link", "set", "lo", "up"),
        ):
            subprocess.run(words, check=True)
        relay = subprocess.Popen([*inside, *_relay(f"{subnet}.2", server.port, f"{subnet}.1")])
        way = subprocess.Popen(_relay(f"{subnet}.1", server.port, "127.0.0.1"))
        wire = f"{name}a"
        try:
            yield Wire(
                server.url,
                f"nats://{subnet}.2:{server.port}",
                lambda: subprocess.run(["ip", "link", "set", wire, "down"], check=True) and None,
                lambda: subprocess.run(["ip", "link", "set", wire, "up"], check=True) and None,
            )
        finally:
            for process in (relay, way):
                process.kill()
                process.wait()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@contextlib.contextmanager
def _stopped(server: NatsServer) -> Iterator[Wire]:
    process = subprocess.Popen(_relay("127.0.0.2", server.port, "127.0.0.1"))
    try:
        yield Wire(
            server.url,
            f"nats://127.0.0.2:{server.port}",
            lambda: process.send_signal(signal.SIGSTOP),
            lambda: process.send_signal(signal.SIGCONT),
        )
    finally:
        process.kill()
        process.wait()


def _relay(listen: str, port: int, to: str) -> list[str]:
    """The command of a process that passes connections on."""
    program = """
import asyncio, sys
listen, port, to = sys.argv[1], int(sys.argv[2]), sys.argv[3]
async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
async def taken(reader, writer):
    try:
        other, there = await asyncio.open_connection(to, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pipe(reader, there), pipe(other, writer))
async def main():
    async with await asyncio.start_server(taken, listen, port) as server:
        await server.serve_forever()
asyncio.run(main())
"""
    return [sys.executable, "-c", program, listen, str(port), to]
