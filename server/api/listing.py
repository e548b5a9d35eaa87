"""Whose objects a request may see, and a page of them as OpenAI's list object."""

from typing import Annotated, Any

from fastapi import Depends, Request

Json = dict[str, Any]


def owner_of(request: Request) -> str:
    """Of what was made with the same API key: files, jobs, responses, runs."""
    owner: str = getattr(request.state, "owner", "")
    return owner


TheOwner = Annotated[str, Depends(owner_of)]


def listed(objects: list[Json], limit: int) -> Json:
    """A page out of one object more than it may hold."""
    data = objects[:limit]
    first, last = (data[0]["id"], data[-1]["id"]) if data else ("", "")
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": len(objects) > limit}
