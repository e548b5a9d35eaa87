"""What files, jobs and fine-tuned models are kept in; a server that was given no home folder has none."""

import re
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, Request

from server.api.errors import ApiError
from server.store.files import FileStore
from server.store.fine_tuned import FineTunedStore
from server.store.home import Home
from server.store.jobs import JobStore

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Workshop:
    """All of it, over one database and one folder."""

    home: Home
    files: FileStore
    jobs: JobStore
    models: FineTunedStore

    @staticmethod
    def of(engine: sa.Engine, home: Home) -> "Workshop":
        """Raises: OSError, if the folder can't be made."""
        home.make()
        return Workshop(home, FileStore(engine, home), JobStore(engine), FineTunedStore(engine))


def workshop_of(request: Request) -> Workshop:
    """That of the app a request came to. Raises: ApiError, 403, if it has none."""
    workshop: Workshop | None = request.app.state.workshop
    if workshop is None:
        raise ApiError(
            403,
            "This server keeps no files and no jobs. Start it with --home FOLDER (and --worker, to train beside it).",
            code="no_home",
        )
    return workshop


def storable(text: str) -> str:
    """The text without what databases can't hold: NUL and lone surrogates."""
    return _UNSTORABLE.sub("\ufffd", text)


TheWorkshop = Annotated[Workshop, Depends(workshop_of)]
