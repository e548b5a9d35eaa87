"""Finds public data sets: unpacked folders, or the .tar.xz archives they come in, unpacked into a cache.

Nothing of them belongs into the repository, and nothing is ever downloaded here.
"""

import os
import tarfile
from pathlib import Path

from evals.suites.lines import SuiteError

_BESIDE_CHECKOUT = Path(__file__).resolve().parents[3] / "shared" / "data"


class DataMissingError(SuiteError):
    """The data set of a suite is not here; the text says where it was looked for."""


def data_folder(data: Path | None) -> Path:
    """What was asked for, `$TRAMMEL_DATA`, or the folder `shared/data` beside the checkout."""
    return data or Path(os.environ.get("TRAMMEL_DATA") or _BESIDE_CHECKOUT)


def find_data(names: tuple[str, ...], data: Path | None) -> Path:
    """The first of these data sets that there is. Raises: DataMissingError."""
    folder = data_folder(data)
    for name in names:
        if (folder / name).is_dir():
            return folder / name
        if (folder / f"{name}.tar.xz").is_file():
            return _unpacked(folder / f"{name}.tar.xz", name)
    raise DataMissingError(
        f"none of {', '.join(names)} is in {folder}, as a folder or as NAME.tar.xz; --data or $TRAMMEL_DATA says where"
    )


def _unpacked(archive: Path, name: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trammel" / "data" / name
    if not (cache / ".complete").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(cache, filter="data")
        (cache / ".complete").touch()
    return cache
