"""What is in files of callers, in a bucket of S3 or of a server that speaks its API. Needs the extra ``aws``."""

import asyncio
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

PART: Final = 16 * 1024 * 1024
_GONE: Final = ("404", "NoSuchKey", "NotFound")


class Bucket:
    """``url`` is ``s3://BUCKET/PREFIX``; keys, region and endpoint are found as every program for AWS finds them
    (AWS_ENDPOINT_URL names another server)."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.strip('/')}/".lstrip("/")
        self._made: Any = None

    async def put(self, id: str, path: Path) -> None:
        """See FileShelf."""
        await asyncio.to_thread(self._told, self._put, id, path)

    async def read(self, id: str, place: int, size: int) -> bytes:
        """See FileShelf."""
        found: bytes = await asyncio.to_thread(self._told, self._read, id, place, size)
        return found

    async def remove(self, id: str) -> None:
        """See FileShelf."""
        await asyncio.to_thread(self._told, self._remove, id)

    def spool(self) -> Path | None:
        """See FileShelf."""
        return None

    def _told(self, work: Any, *given: Any) -> Any:
        """Errors in the words that others know."""
        try:
            return work(*given)
        except (BotoCoreError, ClientError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from None

    @property
    def _client(self) -> Any:
        if self._made is None:
            retries = {"mode": "standard", "max_attempts": 5}
            self._made = get_session().create_client("s3", config=Config(retries=retries))
        return self._made

    def _named(self, id: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{id}"}

    def _put(self, id: str, path: Path) -> None:
        with path.open("rb") as file:
            first = file.read(PART)
            if len(first) < PART:
                self._client.put_object(**self._named(id), Body=first)
            else:
                self._put_parts(id, first, file)
        path.unlink(missing_ok=True)

    def _put_parts(self, id: str, part: bytes, file: Any) -> None:
        client, named = self._client, self._named(id)
        upload = client.create_multipart_upload(**named)["UploadId"]
        try:
            tags: list[dict[str, Any]] = []
            while part:
                number = len(tags) + 1
                made = client.upload_part(**named, UploadId=upload, PartNumber=number, Body=part)
                tags.append({"ETag": made["ETag"], "PartNumber": number})
                part = file.read(PART)
            client.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": tags})
        except BaseException:
            client.abort_multipart_upload(**named, UploadId=upload)
            raise

    def _read(self, id: str, place: int, size: int) -> bytes:
        try:
            answer = self._client.get_object(**self._named(id), Range=f"bytes={place}-{place + size - 1}")
        except ClientError as error:
            if error.response["Error"]["Code"] in ("InvalidRange", "416"):
                return b""
            raise
        body: bytes = answer["Body"].read()
        return body

    def _remove(self, id: str) -> None:
        try:
            self._client.delete_object(**self._named(id))
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
