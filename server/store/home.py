"""The folder of what is too large for a database: uploaded files, jobs at work, adapters that jobs have made.

Server and worker share it; rows name files by their place in it, so it may be moved, or mounted elsewhere.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Places in the folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """The SQLite file, where no other database is named."""
        return self.folder / "trammel.db"

    def upload(self, id_: str) -> Path:
        """What was uploaded as that file."""
        return self.folder / "files" / id_

    def job(self, id_: str) -> Path:
        """The folder in which a job is worked on."""
        return self.folder / "jobs" / id_

    def adapter(self, job: str, step: int | None = None) -> Path:
        """The GGUF file of a job's adapter, or of what it was at a checkpoint."""
        return self.folder / "adapters" / (f"{job}.gguf" if step is None else f"{job}-step-{step}.gguf")

    def make(self) -> "Home":
        """Make the folders that are missing. Raises: OSError."""
        for name in ("files", "jobs", "adapters"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        return self
