"""Files and batches as configured."""

from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from parley.config.amounts import duration
from parley.config.parts import BatchesEntry
from parley.config.report import Report
from parley.settings import Batches

S3: Final = "s3://"
MISSING: Final = "files in a bucket need botocore, which is not installed"


def batches_of(entry: BatchesEntry, report: Report) -> Batches:
    """How batches are worked on."""
    for name in ("parallel", "attempts"):
        if not 1 <= getattr(entry, name) <= 10_000:
            report.add(("batches", name), "must be from 1 to 10000")
    place = entry.files
    if place.startswith(S3):
        if not urlsplit(place).netloc:
            report.add(("batches", "files"), "no bucket is named", "write s3://BUCKET/PREFIX")
        elif find_spec("botocore") is None:
            report.add(("batches", "files"), MISSING, "pip install 'parley[aws]'")
    elif "://" in place:
        report.add(("batches", "files"), "expected a folder or s3://BUCKET/PREFIX", "remove it for beside the store")
    try:
        keep = duration(entry.keep)
    except ValueError as error:
        report.add(("batches", "keep"), str(error))
        keep = Batches().keep
    return Batches(place, max(1, entry.parallel), max(1, entry.attempts), entry.priority, keep)
