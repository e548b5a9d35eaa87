"""Whether the files of a job can be trained on, told as OpenAI tells it: a code, and the first faults by line."""

from collections.abc import Mapping
from pathlib import Path

from server.store.home import Home
from server.store.jobs import JobRequest
from training.data.preferences import validate_pairs
from training.data.validation import FEWEST, validate_file

Error = Mapping[str, str | None]
_SHOWN = 5


class FileRefusedError(Exception):
    """A job's file can't be used; `error` is OpenAI's `error` of the job."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.error: Error = {"code": code, "message": message, "param": param}


def count_records(request: JobRequest, home: Home) -> int:
    """Lines to train on. Raises: FileRefusedError."""
    if request.validation_file is not None:
        _judge("validation_file", home.upload(request.validation_file), request, fewest=1)
    return _judge("training_file", home.upload(request.training_file), request, fewest=FEWEST)


def _judge(param: str, path: Path, request: JobRequest, fewest: int) -> int:
    kind = param.replace("_", " ")
    try:
        verdict = validate_file(path) if request.method == "supervised" else validate_pairs(path)
    except OSError as error:
        raise FileRefusedError(f"invalid_{param}", f"The {kind} can't be read: {error.strerror}.", param) from error
    if errors := verdict.errors:
        shown = "; ".join(str(fault) for fault in errors[:_SHOWN])
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise FileRefusedError(f"invalid_{param}", f"The job failed due to an invalid {kind}: {shown}{more}.", param)
    records = verdict.coverage.records
    if records < fewest:
        message = f"{kind.capitalize()} has {records} example(s), but must have at least {fewest} examples."
        raise FileRefusedError("invalid_n_examples", message, param)
    return records
