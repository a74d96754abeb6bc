"""The name of this process among all gateways, by which others on the same machine can tell that it has ended."""

import os
from pathlib import Path
from secrets import token_hex


def name() -> str:
    """Machine, process, and something that nobody else has."""
    return f"{_machine()}/{os.getpid()}/{token_hex(6)}"


def ended(holder: str) -> bool:
    """Whether that process, which is not this one, is known to be no more; of other machines nothing is known."""
    machine, _, rest = holder.partition("/")
    number = rest.partition("/")[0]
    if machine != _machine() or machine == "-" or not number.isdecimal():
        return False
    if int(number) == os.getpid():
        # It had the id that is ours now.
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _machine() -> str:
    """The running system and, within it, the space in which process ids mean something; "-" where that is not told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}.{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return "-"
