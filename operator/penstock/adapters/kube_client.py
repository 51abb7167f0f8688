"""Requests to the API server, and its answers as our own errors and plain JSON.

The official client does connection, credentials and TLS. It returns plain JSON here, because its
models know neither our kinds nor server-side apply. It repeats nothing: the engine decides whether
to retry a write.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from penstock.domain.refs import ApiResource
from penstock.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    InvalidRequest,
    KindNotServed,
    NotFound,
    Throttled,
    Unavailable,
)

# The API server's own text for a missing kind; a proxy's 404 must not be taken for a deletion.
NO_SUCH_KIND = b"404 page not found"
APPLY = "application/apply-patch+yaml"
JSON = "application/json"
CHUNK = 500
SECONDS = 30.0
CONNECTIONS = 32

Body = dict[str, Any]


class KubeClient:
    """One API server, and our credentials for it."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls) -> KubeClient:
        """Use the pod's service account, or else KUBECONFIG.

        Raises:
            ClusterError: neither exists; it says what to do.
        """
        configuration = Configuration()
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException:
            try:
                await load_kube_config(client_configuration=configuration)
            except (ConfigException, OSError) as error:
                raise ClusterError(
                    f"there is no API server to talk to ({error}); run in a pod with a service "
                    "account, or set KUBECONFIG"
                ) from error
        return cls.from_configuration(configuration)

    @classmethod
    def from_configuration(cls, configuration: Configuration) -> KubeClient:
        """Use a configuration. Its `retries` stay None: even False makes the library repeat."""
        configuration.connection_pool_maxsize = CONNECTIONS
        # Otherwise it would look for a password in ~/.netrc at each request.
        configuration.client_session_kwargs = {"trust_env": False}
        client = ApiClient(configuration)
        client.user_agent = "penstock"
        return cls(client)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def get(self, path: str, **query: str) -> Body:
        """One object, or one page of a list."""
        return await self._call("GET", path, query, None, JSON)

    async def pages(self, path: str, **query: str) -> AsyncIterator[Body]:
        """All objects of a list, read in chunks."""
        more = ""
        while True:
            asked = {**query, "limit": str(CHUNK)} | ({"continue": more} if more else {})
            page = await self.get(path, **asked)
            for one in page.get("items") or ():
                yield one
            more = (page.get("metadata") or {}).get("continue") or ""
            if not more:
                return

    async def apply(self, path: str, body: Body, manager: str, *, force: bool) -> Body:
        """Server-side apply; ``force`` takes over fields of others: only for Penstock's objects."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self._call("PATCH", path, query, body, APPLY)

    async def create(self, path: str, body: Body) -> Body:
        """POST."""
        return await self._call("POST", path, {}, body, JSON)

    async def replace(self, path: str, body: Body) -> Body:
        """PUT; the resourceVersion in the body guards it."""
        return await self._call("PUT", path, {}, body, JSON)

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Body | None, content: str
    ) -> Body:
        try:
            async with asyncio.timeout(SECONDS):
                request = await self._client.param_serialize(
                    method,
                    path,
                    query_params=list(query.items()),
                    header_params={"Content-Type": content, "Accept": JSON},
                    auth_settings=["BearerToken"],
                )
                response = await self._client.rest_client.request(
                    request[0], request[1], headers=request[2], body=body, _request_timeout=SECONDS
                )
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = str(error) or type(error).__name__
            raise Unavailable(f"the API server does not answer: {message[:200]}") from error
        return _answer(method, path, response.status, raw, response.headers)


def _answer(method: str, path: str, code: int, raw: bytes, headers: Mapping[str, str]) -> Body:
    try:
        body = json.loads(raw) if raw else {}
    except ValueError as error:
        if code == 404 and raw.strip() == NO_SUCH_KIND:
            raise KindNotServed(f"{method} {path}: the API server serves no such kind") from error
        raise Unavailable(
            f"{method} {path}: the answer with code {code} is not JSON; is a proxy in between?"
        ) from error
    if not isinstance(body, dict):
        raise Unavailable(f"{method} {path}: the answer with code {code} is not an object")
    if code < 300:
        return body
    raise _failure(method, path, code, body, headers)


def _failure(
    method: str, path: str, code: int, body: Body, headers: Mapping[str, str]
) -> ClusterError:
    message = f"{method} {path}: {str(body.get('message') or code)[:500]}"
    if code == 404:
        return NotFound(message)
    if code == 409:
        causes = (body.get("details") or {}).get("causes") or ()
        managers = tuple(
            sorted(
                _manager(str(cause.get("message", "")))
                for cause in causes
                if cause.get("reason") == "FieldManagerConflict"
            )
        )
        return NotFound(message) if "uid mismatch" in message else Conflict(message, managers)
    if code in (401, 403):
        return Forbidden(message)
    if code == 429:
        return Throttled(message, _seconds(headers.get("Retry-After", "")))
    if code == 422 and "metadata.uid" in message:
        return NotFound(message)
    if code < 500:
        return InvalidRequest(message)
    return Unavailable(message)


def _manager(cause: str) -> str:
    """The field manager in ``conflict with "argocd" using apps/v1``."""
    parts = cause.split('"')
    return parts[1] if len(parts) > 2 else cause[:100]


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() and len(text) < 5 else 1.0


def collection_paths(root: str, plural: str, namespaces: Sequence[str]) -> list[str]:
    """The paths to list all objects of a kind: one for each namespace, or one.

    ``root`` is that of the group, such as ``/apis/apps/v1``; no namespaces mean the whole cluster.
    """
    if not namespaces:
        return [f"{root}/{plural}"]
    return [f"{root}/namespaces/{path_segment(one)}/{plural}" for one in namespaces]


def path_segment(text: str) -> str:
    """One segment of a path, escaped."""
    return quote(text, safe="")


def paths_of(resource: ApiResource, namespaces: Sequence[str] = ()) -> list[str]:
    """The paths to list all objects of a kind, like ``collection_paths``."""
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    return collection_paths(root, resource.plural, namespaces if resource.namespaced else ())


def object_path(resource: ApiResource, namespace: str, name: str) -> str:
    """The path of one object; ``namespace`` is empty for a cluster-scoped kind."""
    (collection,) = paths_of(resource, (namespace,))
    return f"{collection}/{path_segment(name)}"
