"""Takes one job after the other from a server's database, until it is told to end."""

import logging
import shutil

from sqlalchemy.exc import SQLAlchemyError

from server.store.leases import Leases
from training.jobs.attempt import Attempt, Shop

logger = logging.getLogger("trammel.worker")


class Worker:
    """Works until it is told to end; several may work for one database."""

    def __init__(self, leases: Leases, shop: Shop, seconds: float, poll: float) -> None:
        """`seconds`: of a lease; a job of a worker that died waits so long. `poll`: seconds between looks."""
        self._leases = leases
        self._shop = shop
        self._seconds = seconds
        self._poll = poll

    def work(self, *, until_idle: bool = False) -> None:
        """`until_idle`: end when there is no job."""
        while not self._shop.is_ending.is_set():
            try:
                lease = self._leases.take(self._seconds)
                if lease is not None:
                    logger.info("working on %s", lease.job.id)
                    Attempt(lease, self._shop).make()
                    continue
                self._clean_up()
            except SQLAlchemyError as error:
                logger.warning("the database can't be reached: %s", error)
            except Exception:  # the job's lease runs out, and it is tried again, here or elsewhere
                logger.exception("a job broke off")
            if until_idle:
                return
            self._shop.is_ending.wait(self._poll)

    def _clean_up(self) -> None:
        """Jobs that were cancelled while they waited have nobody else to remove what they had learnt."""
        folders = [folder.name for folder in self._shop.home.job("").iterdir()]
        for id_ in self._leases.given_up(folders):
            shutil.rmtree(self._shop.home.job(id_), ignore_errors=True)
