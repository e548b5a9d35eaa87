"""The life of the server process: it serves, drains when it is told to end, and says by its exit code how it ended.

SIGTERM or SIGINT begins to drain: health turns red, new work is refused, what is under way is finished until
`drain_timeout`, and ended with an error after that. A second signal ends at once. An engine that dies by a fault of
ours drains the rest in the same way and ends with a code of its own, so that a supervisor starts the process anew.
uvicorn by itself would stop listening at the first signal, and end by the signal again.
"""

import logging
import os
import threading
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from server.api.admission import Admission
from server.api.catalog import Catalog

EXIT_OK = 0
EXIT_ENGINE_DIED = 70
"""EX_SOFTWARE of sysexits.h."""
_CLOSING_SECONDS = 5
"""For connections to take their last bytes."""
_STUCK_SECONDS = 20.0
"""After which a process that should have ended is ended; llama.cpp can't be interrupted in a step."""

logger = logging.getLogger("trammel")


class Process(uvicorn.Server):
    """uvicorn, with an end of our own. When `run` returns everything is over, and `exit_code` is what to leave with."""

    def __init__(
        self,
        application: FastAPI,
        *,
        host: str,
        port: int,
        log_level: str,
        drain_timeout: float,
        tls: tuple[Path | None, Path | None] = (None, None),
    ) -> None:
        """`tls`: certificate and its key, as PEM files."""
        config = uvicorn.Config(
            application,
            host=host,
            port=port,
            log_level=log_level,
            log_config=None,
            access_log=False,  # `request_log` writes its own
            ssl_certfile=tls[0],
            ssl_keyfile=tls[1],
            timeout_graceful_shutdown=_CLOSING_SECONDS,
        )
        super().__init__(config)
        self.exit_code = EXIT_OK
        self._admission: Admission = application.state.admission
        self._catalog: Catalog = application.state.catalog
        self._drain_timeout = drain_timeout

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's own signature
        """A signal has come."""
        if self._admission.is_closed:
            logger.warning("ended at once by a second signal")
            self._leave()
        logger.info("told to end: %d requests under way; a second signal ends at once", self._admission.under_way)
        self._admission.close(self._drain_timeout)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second. True: it is time to end."""
        if not self._admission.is_closed and self._catalog.has_failed:
            logger.critical("an engine has died: the process ends with code %d", EXIT_ENGINE_DIED)
            self.exit_code = EXIT_ENGINE_DIED
            self._admission.close(self._drain_timeout)
        if self._admission.is_closed and (not self._admission.under_way or not self._admission.seconds_left):
            self._end()
        return await super().on_tick(counter)

    def _end(self) -> None:
        """What is still under way gets an error; then uvicorn closes the connections and the app its engines."""
        if self._admission.under_way:
            logger.warning("%d requests are ended before they were finished", self._admission.under_way)
        self._catalog.abort()
        self.should_exit = True
        guard = threading.Timer(_STUCK_SECONDS, self._leave)
        guard.daemon = True
        guard.start()

    def _leave(self) -> None:
        logging.shutdown()
        os._exit(self.exit_code)
