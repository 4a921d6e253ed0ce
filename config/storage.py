"""Where uploaded and synthesised audio is kept: the disk, or whatever speaks S3."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured

_OPTIONS = frozenset({"endpoint", "region", "access_key", "secret_key", "prefix"})


def media_storage(
    url: str, *, secret_key: str, directory: Path, base_url: str
) -> dict[str, object]:
    """The entry for Django's STORAGES.

    Args:
        url: ``s3://bucket?endpoint=…&region=…&access_key=…&secret_key=…&prefix=…``; empty
            is the disk.
        secret_key: Of the access key, where it does not stand in the address.
        directory: On the disk.
        base_url: The path below which the disk's files are served.

    Raises:
        ImproperlyConfigured: The address is not like that.
    """
    if not url:
        return {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": directory, "base_url": base_url},
        }
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.hostname:
        raise ImproperlyConfigured("STORAGE_URL must be like s3://bucket?endpoint=https://…")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := query.keys() - _OPTIONS:
        raise ImproperlyConfigured(f"STORAGE_URL: unknown options {', '.join(sorted(unknown))}")
    from botocore.config import Config  # 0.2 s that the disk need not pay

    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": parts.netloc,
            "endpoint_url": query.get("endpoint"),
            "region_name": query.get("region"),
            "access_key": query.get("access_key") or None,
            "secret_key": secret_key or query.get("secret_key") or None,
            "location": query.get("prefix", ""),
            "file_overwrite": False,
            "default_acl": None,
            "client_config": Config(
                # The default is 60 s each and five attempts: an upload would hang for minutes.
                connect_timeout=3,
                read_timeout=15,
                retries={"mode": "standard", "max_attempts": 3},
                # Many servers that speak S3 do not know the checksums that are new in boto3.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        },
    }
