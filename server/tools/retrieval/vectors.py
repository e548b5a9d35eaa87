"""Vectors of tools, and which are near to those of a query."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
_SPARE = 256


class Vectors(Protocol):
    """Tools by number, each with a vector of length 1."""

    def put(self, numbers: Sequence[int], vectors: Matrix) -> None:
        """Shape (numbers, dimensions)."""
        ...

    def drop(self, numbers: Sequence[int]) -> None: ...

    def near(self, queries: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Numbers of tools, and the cosine of each with the nearest of the queries; at least of the best ones."""
        ...


class NumpyVectors:
    """All vectors in memory; every one is looked at."""

    def __init__(self) -> None:
        self._rows: Matrix = np.empty((0, 0), np.float32)
        self._is_held = np.zeros(0, bool)

    def put(self, numbers: Sequence[int], vectors: Matrix) -> None:
        if not len(numbers):
            return
        if self._rows.shape[1] != vectors.shape[1]:
            self._rows, self._is_held = np.empty((0, vectors.shape[1]), np.float32), np.zeros(0, bool)
        if missing := max(0, max(numbers) + 1 - len(self._rows)):
            grown = missing + _SPARE
            self._rows = np.vstack([self._rows, np.zeros((grown, vectors.shape[1]), np.float32)])
            self._is_held = np.concatenate([self._is_held, np.zeros(grown, bool)])
        self._rows[list(numbers)] = vectors
        self._is_held[list(numbers)] = True

    def drop(self, numbers: Sequence[int]) -> None:
        self._is_held[[number for number in numbers if number < len(self._is_held)]] = False

    def near(self, queries: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        held = np.flatnonzero(self._is_held)
        if not len(held):
            return held, np.empty(0)
        return held, (self._rows @ queries.T).max(axis=1)[held].astype(np.float64)


class QdrantVectors:
    """Vectors in Qdrant (https://qdrant.tech), for indexes that many machines share. Extra: `qdrant`."""

    def __init__(self, client: Any, collection: str = "trammel-tools", limit: int = 64) -> None:
        """`client`: a `qdrant_client.QdrantClient`. `limit`: tools it is asked for, for each query."""
        self._client = client
        self._collection = collection
        self._limit = limit

    def put(self, numbers: Sequence[int], vectors: Matrix) -> None:
        from qdrant_client import models

        if not self._client.collection_exists(self._collection):
            size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
            self._client.create_collection(self._collection, vectors_config=size)
        points = [
            models.PointStruct(id=number, vector=vector.tolist())
            for number, vector in zip(numbers, vectors, strict=True)
        ]
        self._client.upsert(self._collection, points=points, wait=True)

    def drop(self, numbers: Sequence[int]) -> None:
        if self._client.collection_exists(self._collection):
            self._client.delete(self._collection, points_selector=list(numbers), wait=True)

    def near(self, queries: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        best: dict[int, float] = {}
        if self._client.collection_exists(self._collection):
            for query in queries:
                found = self._client.query_points(self._collection, query=query.tolist(), limit=self._limit)
                for point in found.points:
                    best[int(point.id)] = max(best.get(int(point.id), -1.0), float(point.score))
        numbers = sorted(best)
        return np.array(numbers, np.int64), np.array([best[number] for number in numbers])
