"""The key for what changes the server itself. Without one set, such requests are refused: there is no open default."""

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from server.api.errors import ApiError

_bearer = HTTPBearer(auto_error=False, description="The key of --admin-key or --admin-key-file.")


class AdminKey:
    """Compares keys, in constant time; keeps a hash only."""

    def __init__(self, key: str | None) -> None:
        """None: no key is right."""
        self._digest = None if key is None else _digest(key)

    def check(self, given: str | None) -> None:
        """Raises: ApiError, 403 if no key was set, 401 if it is missing or another."""
        if self._digest is None:
            raise ApiError(
                403,
                "This server was started without an admin key, so this can't be done over HTTP. Start it with "
                "--admin-key-file FILE or --admin-key KEY (TRAMMEL_ADMIN_KEY).",
                code="admin_key_not_set",
            )
        if given is None:
            raise _unauthorized("No admin key was given. Send it as 'Authorization: Bearer KEY'.")
        if not hmac.compare_digest(self._digest, _digest(given)):
            raise _unauthorized("Incorrect admin key provided.")


def require_admin(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """A dependency of routes. Raises: ApiError."""
    admin_key: AdminKey = request.app.state.admin_key
    admin_key.check(credentials.credentials if credentials else None)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})
