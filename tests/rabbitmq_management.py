"""RabbitMQ's management HTTP API, as far as tests need it."""

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

ADMIN = "guest"
TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Management:
    """Calls the API at ``url``, as the administrator of a fresh node unless told otherwise."""

    url: str
    user: str = ADMIN
    password: str = ADMIN

    def call(self, method: str, *path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call ``/api/{path}`` and return the JSON answer, None if it is empty."""
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        target = "/api/" + "/".join(quote(part, safe="") for part in path)
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(
                method, target, body=json.dumps(body or {}) if body is not None else None, headers=headers
            )
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise LookupError(f"{method} {target}: {answer.status} {content.decode(errors='replace')}")
        return json.loads(content) if content else None

    def answers(self) -> bool:
        """Whether the API is up."""
        try:
            self.call("GET", "vhosts")
        except (OSError, http.client.HTTPException, LookupError):
            return False
        return True
