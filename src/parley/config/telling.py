"""What is told of requests: which are slow, and where traces and metrics go."""

import re
from importlib.util import find_spec

from parley.config.amounts import duration
from parley.config.report import Report
from parley.config.shape import File
from parley.settings import Telemetry

INSTALL = "pip install 'parley[otel]'"
_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


def slow_of(file: File, report: Report) -> float | None:
    """Seconds that make a request slow; None for no such line."""
    if file.log.slow is None:
        return None
    try:
        return duration(file.log.slow)
    except ValueError as error:
        report.add(("log", "slow"), str(error))
        return None


def telemetry_of(file: File, report: Report) -> Telemetry:
    """The collector, if one is named."""
    entry = file.telemetry
    url = (entry.otlp or "").strip()
    if url and not _URL.fullmatch(url):
        report.add(("telemetry", "otlp"), "expected a URL such as http://127.0.0.1:4318", "without /v1/traces")
    elif url and (find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None):
        report.add(("telemetry", "otlp"), "OpenTelemetry is not installed", INSTALL)
    return Telemetry(url or None, tuple(entry.headers.items()), entry.sample)
