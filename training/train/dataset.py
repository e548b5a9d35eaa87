"""From files to rows: validated, rendered, audited; and rows to batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from server.chat.template import TemplateError
from training.data.record import Record
from training.data.validation import lines_of, read_record, require_valid
from training.train.audit import MaskAudit
from training.train.rows import Renderer, Row


@dataclass(frozen=True, slots=True)
class RowSet:
    """A file, rendered."""

    records: tuple[tuple[int, Record], ...]
    """With their line numbers; those that the template takes."""
    rows: tuple[Row, ...]
    audit: MaskAudit


def read_rows(path: Path, renderer: Renderer, longest: int, *, allow_invalid: bool = False) -> RowSet:
    """Raises: InvalidDataError, OSError."""
    if not allow_invalid:
        require_valid(path)
    records, rows, audit = list[tuple[int, Record]](), list[Row](), MaskAudit()
    stops = renderer.stop_tokens
    for line, text in lines_of(path):
        faults, record = read_record(text, line)
        if record is None:  # they are allowed, or it would have ended above
            audit.refuse(line, str(faults[0]))
            continue
        try:
            made = renderer.rows(record, line, longest)
        except TemplateError as error:
            audit.refuse(line, str(error))
            continue
        records.append((line, record))
        audit.add(line, made, stops)
        rows += made
    return RowSet(tuple(records), tuple(rows), audit)


class PaddedBatches:
    """Collates rows: padded at their end, where nothing is learnt. Packed rows tell conversations by positions."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Tensors of shape (rows, tokens). Padding of packed rows is one more conversation."""
        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), width), self._pad)
        labels = torch.full((len(rows), width), -100)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for number, row in enumerate(rows):
            length = len(row["input_ids"])
            ids[number, :length] = torch.tensor(row["input_ids"])
            labels[number, :length] = torch.tensor(row["labels"])
            mask[number, :length] = 1
        if "position_ids" not in rows[0]:
            return {"input_ids": ids, "labels": labels, "attention_mask": mask}
        positions = torch.stack([torch.arange(width) - len(row["input_ids"]) for row in rows])
        for number, row in enumerate(rows):
            positions[number, : len(row["position_ids"])] = torch.tensor(row["position_ids"])
        return {"input_ids": ids, "labels": labels, "position_ids": positions}
