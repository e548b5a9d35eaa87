"""One worker's try at one job: files judged, training begun or gone on with, its end handed over.

The worker holds the job's lease and renews it in a thread; when that finds the job cancelled, paused or lost, the
training process is told. What the training has done is in the job's folder, so that whoever takes the job next goes on
from there.
"""

import contextlib
import csv
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.store.files import FileStore
from server.store.home import Home
from server.store.jobs import WORKABLE
from server.store.leases import Lease, LeaseLostError, NotWantedError
from training.data.preferences import has_preferences, write_preferred
from training.jobs.choices import choose, recipe_of
from training.jobs.judging import FileRefusedError, count_records
from training.jobs.messages import Broken, Ended, Message, Published, Stepped
from training.jobs.reports import Reporter, loss_of
from training.jobs.trainee import Trainee
from training.train.checkpoints import last_checkpoint, step_of
from training.train.log import RunLog

logger = logging.getLogger("trammel.worker")

_PATIENCE = 0.8
"""Share of a lease after which a training that hears nothing of its worker ends itself."""
MOST_ATTEMPTS = 3
"""Without coming further."""
_RESULT_COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy")


@dataclass(frozen=True, slots=True)
class Shop:
    """What a worker works with."""

    home: Home
    files: FileStore
    bases: Mapping[str, Path]
    """Where this machine has the bases of models, if not where the server has them."""
    threads: int | None
    is_ending: threading.Event
    """Set when the worker is told to end."""


class Attempt:
    """Of one lease."""

    def __init__(self, lease: Lease, shop: Shop) -> None:
        self._lease = lease
        self._job = lease.job
        self._shop = shop
        self._report = Reporter(lease, shop.home)
        self._folder = shop.home.job(self._job.id)
        self._over = threading.Event()
        self._trainee: Trainee | None = None
        self._has_begun = False
        """A step was done, so that there is something to save."""

    def make(self) -> None:
        """Work until the job is done, or not ours, or not wanted."""
        with self._renewing():
            try:
                self._begin()
            except FileRefusedError as refusal:
                with contextlib.suppress(NotWantedError):
                    self._report.fail(**refusal.error)  # type: ignore[arg-type]
            except NotWantedError:
                pass
            except LeaseLostError:
                logger.warning("the job %s is another worker's", self._job.id)
                return
            except Exception as error:  # the job is tried again, and given up when that doesn't help
                logger.exception("the job %s", self._job.id)
                with contextlib.suppress(Exception):  # it may be the database that failed
                    self._lease.tell(f"The worker failed, and the job is tried again ({type(error).__name__})", "warn")
        with contextlib.suppress(LeaseLostError):
            self._lease.release(counts=not self._shop.is_ending.is_set())

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._lease.was_lost:
            self._lease.tell("The worker of this job was lost; another has taken it over", "warn")
        if self._job.attempts > MOST_ATTEMPTS:  # first: files may be what a worker dies of
            self._report.fail("server_error", f"Given up after {MOST_ATTEMPTS} attempts that came no further")
            return
        if self._job.status == "validating_files":
            records = count_records(self._job.request, self._shop.home)
            numbers = choose(self._job.request, records)
            recipe = recipe_of(
                self._job, numbers, records, self._shop.home, self._base(),
                validation=self._validation(), threads=self._shop.threads,
            )  # fmt: skip
            self._recipe_path.write_text(recipe.model_dump_json(indent=1), encoding="utf-8")
            self._report.enter("queued", "Files validated, moving job to queued state", hyperparameters=numbers)
        checkpoint = last_checkpoint(self._folder / "checkpoints")
        self._report.enter("running", self._first_words(None if checkpoint is None else step_of(checkpoint)))
        self._train()

    def _validation(self) -> Path | None:
        """Ordinary lines to measure by: of preferences, what is preferred."""
        if self._job.request.validation_file is None:
            return None
        given = self._shop.home.upload(self._job.request.validation_file)
        if not has_preferences(given):
            return given
        preferred = self._folder / "validation.jsonl"
        write_preferred(given, preferred)
        return preferred

    @property
    def _recipe_path(self) -> Path:
        return self._folder / "wanted.json"

    def _base(self) -> Path:
        """Raises: FileRefusedError, if this machine hasn't got it."""
        request = self._job.request
        base = self._shop.bases.get(request.model, Path(request.base))
        if not base.exists():
            message = f"The worker's machine has no {base}, the base of {request.model}"
            raise FileRefusedError("server_error", message, "model")
        return base

    def _first_words(self, step: int | None) -> str:
        if step is not None:
            return f"Fine-tuning goes on from the checkpoint at step {step}"
        return "Fine-tuning job started" if self._report.progress.step == 0 else "Fine-tuning begins again"

    def _train(self) -> None:
        patience = _PATIENCE * self._lease.seconds
        log = self._folder / "training.log"
        trainee = self._trainee = Trainee(self._recipe_path, self._shop.home.folder, log, patience)
        last: Message | None = None
        try:
            for message in trainee.messages():
                last = message
                self._take(message)
        except (LeaseLostError, NotWantedError):
            trainee.kill()
            raise
        finally:
            self._trainee = None
            if not isinstance(last, Ended | Broken):
                trainee.kill()
            trainee.close()
        self._finish(last, trainee)

    def _take(self, message: Message) -> None:
        match message:
            case Published(step, file):
                self._report.save(step, file)
            case Ended() | Broken():
                pass
            case _:
                self._has_begun |= isinstance(message, Stepped)
                self._report.take(message)

    def _finish(self, last: Message | None, trainee: Trainee) -> None:
        match last:
            case Ended(True, _, Path() as file, tokens):
                self._hand_over(file, tokens)
            case Ended(_, step):
                self._pause(step)
            case Broken(code, message, param):
                self._report.fail(code, message, param)
            case _ if self._shop.is_ending.is_set():
                self._report.enter("queued", "The worker ends; the job waits for the next")
            case _:
                status = self._lease.renew()
                if status in WORKABLE:
                    self._lease.tell(f"{trainee.last_words()}. It will be tried again.", "warn")
                elif status == "cancelled":
                    shutil.rmtree(self._folder, ignore_errors=True)

    def _hand_over(self, file: Path, tokens: int) -> None:
        place = self._shop.home.adapter(self._job.id)
        unfinished = place.with_suffix(".part")
        shutil.copyfile(file, unfinished)
        unfinished.rename(place)
        self._report.succeed(place, tokens, [self._write_results()])
        shutil.rmtree(self._folder / "checkpoints", ignore_errors=True)

    def _pause(self, step: int) -> None:
        """It stopped because somebody wanted it to: who paused the job, or who ends this worker."""
        if self._lease.renew() == "paused":
            self._lease.tell(f"The job rests at step {step}")
        elif self._shop.is_ending.is_set():
            self._report.enter("queued", f"The worker ends; the job waits for the next at step {step}")

    def _write_results(self) -> str:
        """The metrics step by step, as a file of the job's owner. Returns its id."""
        id_, path = self._shop.files.new_place()
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _RESULT_COLUMNS)
            writer.writeheader()
            writer.writerows(_result_rows(RunLog(self._folder).read()))
        self._shop.files.add(id_, self._job.owner, "step_metrics.csv", "fine-tune-results")
        return id_

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        thread = threading.Thread(target=self._renew, name=f"lease of {self._job.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _renew(self) -> None:
        """Every second, and long before the lease runs out."""
        while not self._over.wait(min(1.0, self._lease.seconds / 4)):
            try:
                status = self._lease.renew()
            except LeaseLostError:
                self._tell(Trainee.kill)
                return
            except Exception:
                logger.exception("the lease of %s can't be renewed", self._job.id)
                continue
            if status == "paused" or self._shop.is_ending.is_set():
                self._tell(Trainee.stop if self._has_begun else Trainee.kill)
            elif status not in WORKABLE:
                self._tell(Trainee.kill)
            else:
                self._tell(Trainee.go_on)

    def _tell(self, word: Callable[[Trainee], None]) -> None:
        trainee = self._trainee
        if trainee is not None:
            word(trainee)


def _result_rows(log: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row a step; evaluations, which stand in lines of their own, beside the step they are of."""
    rows: dict[int, dict[str, Any]] = {}
    for record in log:
        row = rows.setdefault(record["step"], {"step": record["step"]})
        if "loss" in record:
            row |= {"train_loss": record["loss"], "train_accuracy": record.get("token_accuracy")}
        if "metrics" in record:
            row |= {"valid_loss": loss_of(record["metrics"]), "valid_accuracy": record["metrics"].get("accuracy")}
    yield from rows.values()
