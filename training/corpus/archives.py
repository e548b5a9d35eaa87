"""Finds the public data: unpacked folders, or the .tar.xz archives they come in.

Nothing of it belongs in the repository, so archives are unpacked into a cache outside of it.
"""

import os
import tarfile
from pathlib import Path

_BESIDE_CHECKOUT = Path(__file__).resolve().parents[3] / "shared" / "data"


class DataMissingError(FileNotFoundError):
    """The corpus is not there; the text says where it was looked for."""


def data_folder() -> Path:
    """`$TRAMMEL_DATA`, or the folder `shared/data` beside the checkout."""
    return Path(os.environ.get("TRAMMEL_DATA") or _BESIDE_CHECKOUT)


def find_corpus(name: str, data: Path | None = None, *, or_else: str = "") -> Path:
    """The folder of an unpacked corpus, unpacking `NAME.tar.xz` first where that is what there is. `or_else`: another
    that will do.

    Raises: DataMissingError.
    """
    data = data or data_folder()
    if (data / name).is_dir():
        return data / name
    archive = data / f"{name}.tar.xz"
    if not archive.is_file():
        if or_else:
            return find_corpus(or_else, data)
        raise DataMissingError(
            f"no corpus {name!r}: neither {data / name}/ nor {archive} exists. "
            "Set TRAMMEL_DATA to the folder that holds it."
        )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trammel" / "data" / name
    marker = cache / ".complete"
    if not marker.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(cache, filter="data")
        marker.touch()
    return cache
