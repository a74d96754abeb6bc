"""What machine this is, as far as its system tells without other programs. Source: computing node contract 4."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

_DRM = "/sys/class/drm"
# The list of names that systems have for such devices.
_NAMES = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")


def host_info() -> dict[str, Any]:
    """System, processors, memory, disks and graphics."""
    return {"os": _system(), "cpu": _processors(), "memory": _memory(), "disk": _disks(), "gpu": _graphics()}


def _system() -> dict[str, str]:
    release: dict[str, str] = {}
    with suppress(OSError):
        release = platform.freedesktop_os_release()
    return {
        "os": platform.system().lower(),
        "platform": release.get("ID", platform.system().lower()),
        "platform_family": release.get("ID_LIKE", release.get("ID", "")),
        "platform_version": release.get("VERSION_ID", platform.release()),
        "kernel_version": platform.release(),
        "kernel_arch": platform.machine(),
    }


def _processors() -> list[dict[str, Any]]:
    text = _read("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    threads = os.cpu_count() or 0
    cores = {line for line in text.splitlines() if line.startswith("core id")}
    name = names[0] if names else platform.processor()
    return [{"model_name": name, "total_cores": len(cores) or threads, "total_threads": threads}]


def _memory() -> dict[str, int]:
    pages, free = 0, 0
    with suppress(ValueError, OSError):
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return {"total_physical_bytes": pages * size, "total_usable_bytes": pages * size}
    return {"total_physical_bytes": pages, "total_usable_bytes": free}


def _disks() -> list[dict[str, Any]]:
    made = []
    with suppress(OSError):
        for disk in sorted(Path("/sys/block").iterdir()):
            sectors = _read(disk / "size").strip()
            if disk.name.startswith(("loop", "ram")) or not sectors.isdigit():
                continue
            kind = "HDD" if _read(disk / "queue" / "rotational").strip() == "1" else "SSD"
            model = _read(disk / "device" / "model").strip()
            made.append({"drive_type": kind, "size_bytes": int(sectors) * 512, "model": model, "serial_number": ""})
    return made


def _graphics() -> list[dict[str, str]]:
    made = []
    with suppress(OSError):
        for card in sorted(Path(_DRM).glob("card[0-9]*/device")):
            vendor = _read(card / "vendor").strip()
            if vendor:
                made.append(_named(vendor, _read(card / "device").strip()))
    return made


def _named(vendor: str, product: str) -> dict[str, str]:
    """By name where the system knows it, else by number."""
    maker, part = vendor.removeprefix("0x"), product.removeprefix("0x")
    found = {"vendor": vendor, "product": product}
    inside = False
    for line in (text for path in _NAMES for text in _read(path).splitlines()):
        if line and not line.startswith(("\t", "#")):
            inside = line.startswith(f"{maker}  ")
            found["vendor"] = line[6:] if inside else found["vendor"]
        elif inside and line.startswith(f"\t{part}  "):
            found["product"] = line[7:]
            break
    return found


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
