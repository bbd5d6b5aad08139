"""Which nodes do not answer: a mirror of all nodes where the rights allow one, or else what pods tell of theirs.

The mirror is as small as can be (name and silence), because there may be a thousand nodes whose objects are large. That
a node is gone has consequences, so it is believed only when the API server says it once more. Run by `engine`, read by
`reconcile`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from .cluster import NODES, Cluster
from .errors import ApiError, NotFound
from .observe import NODE_GONE, see_node, silent_by_their_pods
from .reflector import Reflector
from .seen import NodeSeen, PodSeen, Silence

ANY: Final = "metadata.name=peft-fsdp-operator-looks-whether-it-may"
COLLECT: Final = 0.02
"""Seconds for which news are collected: a rack that goes dark is one walk over the pods, not forty."""

log = logging.getLogger(__name__)


class Nodes:
    """`changed` is told the names of nodes of which there is news."""

    def __init__(
        self, cluster: Cluster, changed: Callable[[frozenset[str]], None], clock: Callable[[], datetime]
    ) -> None:
        self._cluster, self._changed, self._clock = cluster, changed, clock
        self.mirror: Reflector[NodeSeen] = Reflector(cluster, NODES, None, see_node, self._saw)
        self._news: set[str] = set()
        self._hidden = False

    @property
    def is_settled(self) -> bool:
        """Whether it is known what there is to know."""
        return self._hidden or self.mirror.synced.is_set()

    async def run(self) -> None:
        """Follow the nodes, or say once what follows from having no right to."""
        try:
            async for _ in self._cluster.list(NODES, None, fields=ANY):
                break
        except ApiError as error:
            if error.reason == "Forbidden":  # the API server's own word, and not the page of a proxy
                self._hidden = True
                self.mirror.synced.set()
                log.warning(
                    "no right to read nodes: a node that does not answer is known by its running pods alone, which the "
                    "cluster marks, and one that is removed is noticed when its pods are"
                )
                return
            log.warning("cannot tell whether nodes may be read, trying: %s", error)
        await self.mirror.run()

    async def silent_among(self, pods: Iterable[PodSeen]) -> Mapping[str, Silence]:
        """The nodes of these pods that do not answer."""
        if self._hidden:
            return silent_by_their_pods(pods, self._clock())
        known = {name: self.mirror.find(name) for name in sorted({pod.node for pod in pods if pod.node})}
        silent = {name: node.silence for name, node in known.items() if node is not None}
        unknown = [name for name, node in known.items() if node is None]
        silent.update(zip(unknown, await asyncio.gather(*map(self._ask_for_silence, unknown)), strict=True))
        return {name: silence for name, silence in silent.items() if silence is not None}

    async def _ask_for_silence(self, name: str) -> Silence | None:
        try:
            return see_node(await self._cluster.get(NODES, None, name)).silence
        except NotFound:
            return NODE_GONE

    def _saw(self, node: NodeSeen) -> None:
        if not self._news:
            asyncio.get_running_loop().call_later(COLLECT, self._tell)
        self._news.add(node.name)

    def _tell(self) -> None:
        news, self._news = frozenset(self._news), set()
        self._changed(news)
