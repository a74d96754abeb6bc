"""This gateway as a node, as the file says it: ``node`` and ``addresses``."""

import re
from collections.abc import Iterable
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path as FilePath

from parley.config.amounts import duration
from parley.config.document import Path
from parley.config.parts import NodeEntry, NodeTlsEntry, OneOrMore
from parley.config.report import Report
from parley.config.shape import AddressesEntry
from parley.settings import Node, Tls

INSTALL = "pip install 'parley[nats]'"
# 64 bytes, as nodes write them.
KEY = r"[A-Za-z0-9_-]{86}"
URL = r"(?:nats|tls|ws|wss)://[^\s/?#]+(?:/[^\s?#]*)?"
BUCKET = r"[A-Za-z0-9_-]+"
HOST = r"(?:\*|[A-Za-z0-9_*-]+)(?:\.[A-Za-z0-9_*-]+)*\.?"


def node_of(entry: NodeEntry | None, addresses: AddressesEntry, report: Report, folder: FilePath) -> Node:
    """The node. Relative paths start in ``folder``."""
    entry = entry or NodeEntry()
    network = _network(entry, report)
    _named(entry.id, ("node", "id"), report)
    _named(entry.project, ("node", "project"), report)
    if not re.fullmatch(BUCKET, entry.bucket):
        report.add(("node", "bucket"), "letters, digits, _ and - only", "write parley_nodes")
    if entry.replicas < 1:
        report.add(("node", "replicas"), "must be at least 1", "write 1")
    heartbeat, ttl = _seconds(entry.heartbeat, "heartbeat", report), _seconds(entry.ttl, "ttl", report)
    if heartbeat and ttl and ttl < 2 * heartbeat:
        report.add(("node", "ttl"), "a node would be gone between two words of it", "at least twice heartbeat")
    return Node(
        id=entry.id or "",
        project=entry.project,
        network=network,
        addresses=_networks(addresses, report),
        fetch=_hosts(addresses, report),
        projects={name: _several(names) for name, names in entry.projects.items()},
        pictures=None if entry.pictures is None else tuple(str(folder / one) for one in _several(entry.pictures)),
        probe=_seconds(entry.probe, "probe", report) or 10.0,
        credentials=_file(entry.credentials, folder),
        nkey=_file(entry.nkey, folder),
        user=entry.user,
        password=entry.password,
        token=entry.token,
        tls=_tls(entry.tls, folder),
        encrypt=entry.encrypt,
        ttl=ttl or 45.0,
        heartbeat=heartbeat or 15.0,
        replicas=entry.replicas,
        bucket=entry.bucket,
        trust=_trust(entry, report),
        allow={name: _several(nodes) for name, nodes in entry.allow.items()},
    )


def _network(entry: NodeEntry, report: Report) -> tuple[str, ...]:
    urls = _several(entry.network)
    if len(urls) == 1 and "," in urls[0]:
        urls = tuple(part if "://" in part else f"nats://{part}" for part in urls[0].split(","))
    for index, url in enumerate(urls):
        if not re.fullmatch(URL, url):
            place: Path = ("node", "network", index) if isinstance(entry.network, tuple) else ("node", "network")
            report.add(place, f'"{url}" is no address of a NATS server', "as in nats://127.0.0.1:4222")
    if urls and (find_spec("nats") is None or find_spec("cryptography") is None):
        report.add(("node", "network"), "a network of nodes needs packages that are not installed", INSTALL)
        return ()
    return urls


def _trust(entry: NodeEntry, report: Report) -> tuple[str, ...]:
    keys = _several(entry.trust)
    for index, key in enumerate(keys):
        if not re.fullmatch(KEY, key):
            place: Path = ("node", "trust", index) if isinstance(entry.trust, tuple) else ("node", "trust")
            report.add(place, f'"{key}" is no public key of a node', "as the log line network.connected tells it")
    return keys


def _networks(entry: AddressesEntry, report: Report) -> tuple[str, ...]:
    for index, text in enumerate(entry.nodes):
        try:
            ip_network(text)
        except ValueError:
            report.add(("addresses", "nodes", index), f'"{text}" is no network', "as in 10.1.0.0/16, or one address")
    return entry.nodes if not report.problems else tuple(text for text in entry.nodes if _is_network(text))


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _hosts(entry: AddressesEntry, report: Report) -> tuple[str, ...]:
    for index, text in enumerate(entry.fetch):
        if not (_is_network(text) or re.fullmatch(HOST, text)):
            hint = "a name such as images.example.org or *.example.org, or a network"
            report.add(("addresses", "fetch", index), f'"{text}" is neither a host nor a network', hint)
    return entry.fetch


def _named(text: str | None, path: Path, report: Report) -> None:
    if text is not None and (not text or text != text.strip() or not text.isprintable() or len(text) > 200):
        report.add(path, "a name is not empty, and has no spaces around it", "rename it")


def _several(value: OneOrMore) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _seconds(value: int | float | str, name: str, report: Report) -> float:
    try:
        return duration(value)
    except ValueError as error:
        report.add(("node", name), str(error))
        return 0.0


def _file(path: str | None, folder: FilePath) -> str | None:
    return None if path is None else str(folder / path)


def _tls(entry: NodeTlsEntry | None, folder: FilePath) -> Tls | None:
    if entry is None:
        return None
    files: Iterable[str | None] = (entry.ca, entry.cert, entry.key)
    ca, cert, key = (_file(one, folder) for one in files)
    return Tls(ca=ca, cert=cert, key=key, hostname=entry.hostname)
