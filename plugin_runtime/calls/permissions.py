"""The last part of a call's receiver rule: an endpoint's permissions. Pure."""

from collections.abc import Sequence

from contracts.errors import PermissionDeniedError
from plugin_runtime.identity import Origin


def judge_permissions(origin: Origin, asked: Sequence[str], *, myself: str, endpoint: str) -> None:
    """Let the caller of an endpoint pass if it was granted everything that the endpoint asks for.

    The plugin itself needs no permission for its own endpoints, and an administrator none for any.

    Raises:
        PermissionDeniedError: Something was not granted; details: ``missing`` names each.
    """
    if not asked or origin.publisher == myself or (origin.grant is not None and origin.grant.admin):
        return
    granted = origin.grant.perms if origin.grant else ()
    missing = [permission for permission in asked if permission not in granted]
    if missing:
        raise PermissionDeniedError(
            f"{origin.publisher} lacks {', '.join(missing)} in tenant {origin.tenant}, which {endpoint} asks for",
            missing=missing,
            hint=f"list it under 'permissions' of the dependency in the manifest of {origin.publisher}; it is granted "
            "with the next installation or upgrade",
        )
