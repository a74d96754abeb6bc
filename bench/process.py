"""Processes under measurement: start on one core, read what they cost from /proc, stop with all their children."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command: list[str], core: int, log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    # Everyone may keep compiled bytecode: without it a peer recompiles a module on every request.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("ab") as out:
        return subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=inherited | (env or {}),
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the whole group to end, then makes it; returns when no member runs any more."""
    for sign, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        limit = time.monotonic() + patience
        _send(process.pid, sign)
        while running := _runs(process):
            if time.monotonic() > limit:
                break
            time.sleep(0.01)
        if not running:
            return


def _send(group: int, sign: int) -> None:
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process or any member of its group is alive; a zombie that nobody has collected is not."""
    alive = process.poll() is None
    members = (_stat(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return alive or any(fields and fields[2] == str(process.pid) and fields[0] != "Z" for fields in members)


def _stat(pid: str) -> list[str]:
    """Fields of /proc/PID/stat from the state on: [1] parent, [2] group, [11..14] times, [21] resident pages."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def family(pid: int) -> dict[str, list[str]]:
    """The stat fields of a process and all its descendants, by process id."""
    stats = {entry: fields for entry in os.listdir("/proc") if entry.isdigit() and (fields := _stat(entry))}
    members, grew = {str(pid)}, True
    while grew:
        born = {child for child, fields in stats.items() if fields[1] in members} - members
        members |= born
        grew = bool(born)
    return {member: stats[member] for member in members if member in stats}


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, with that of children that have ended."""
    return sum(int(ticks) for fields in family(pid).values() for ticks in fields[11:15]) / TICKS


def ran_seconds(pid: int) -> float:
    """The same to the nanosecond, but without threads and children that have ended, which a gateway under load has none
    of. Source: proc_pid_schedstat(5)."""
    return sum(_ran(folder) for member in family(pid) for folder in Path(f"/proc/{member}/task").iterdir()) / 1e9


def _ran(thread: Path) -> int:
    try:
        return int((thread / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def resident_mb(pid: int) -> float:
    return sum(int(fields[21]) for fields in family(pid).values()) * PAGE / 1e6
