"""Lists of URLs that stand in ConfigMaps."""

from collections.abc import Callable, Sequence

from esa_preload_operator.domain.errors import StoreUnavailableError
from esa_preload_operator.k8s.connection import Connection, RequestError


class ConfigMapSources:
    """Reads ConfigMaps when they are asked for."""

    def __init__(
        self, connection: Connection, namespaces: Sequence[str] | None, on_change: Callable[[str, str], None]
    ) -> None:
        self._connection = connection
        self._namespaces = namespaces
        self._on_change = on_change

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """Return the text under a key of a ConfigMap; None if there is no such ConfigMap, or no such key in it.

        Raises:
            StoreUnavailableError: nothing is known.
        """
        try:
            answer = await self._connection.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        except RequestError as error:
            raise StoreUnavailableError(f"ConfigMap {namespace}/{name}: {error}") from error
        if answer.gone:
            return None
        if not answer.ok or not isinstance(answer.body, dict):
            raise StoreUnavailableError(f"ConfigMap {namespace}/{name}: {answer.explanation}")
        text = (answer.body.get("data") or {}).get(key)
        return text if isinstance(text, str) else None
