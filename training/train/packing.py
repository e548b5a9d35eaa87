"""Several conversations in a row, so that no token is padding: whole ones only, each of which sees itself alone.

Positions begin anew with each conversation, from which transformers makes a mask of blocks. Nothing is cut or dropped:
best-fit decreasing puts the longest in first, each where the least room would be left.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

from training.train.rows import Row


def pack(rows: Sequence[Row], longest: int) -> list[tuple[Row, ...]]:
    """Rows in bins of at most `longest` tokens."""
    bins: list[list[Row]] = []
    rooms: list[tuple[int, int]] = []
    """Room left and number of each bin, in order."""
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        place = bisect_left(rooms, (len(row.ids), -1))
        if place == len(rooms):
            bins.append([])
            room, number = longest, len(bins) - 1
        else:
            room, number = rooms.pop(place)
        bins[number].append(row)
        insort(rooms, (room - len(row.ids), number))
    return [tuple(packed) for packed in bins]


def columns(packed: Sequence[Row]) -> dict[str, list[int]]:
    """What is trained on of a bin. A first token has nothing to be told from, so none is learnt there."""
    return {
        "input_ids": [token for row in packed for token in row.ids],
        "labels": [label for row in packed for label in row.labels()],
        "position_ids": [position for row in packed for position in range(len(row.ids))],
    }
