"""What failed pods said last, for the pass that comes when they are gone already.

A pod that has ended vanishes the moment it is deleted. Where its kubelet reports the end in the instant between the
decision to stop the gang and the request that does it, the pod ends and goes between two passes. Filled by the
reflector of pods, read by `children`. It is lost with the process, so our own deletes do not rely on it: they name the
version that was seen. What is left are pods that somebody else removed.
"""

from dataclasses import replace

from .seen import PodSeen


class LastWords:
    """The ends of failed pods that are gone, of the newest attempt of each job."""

    def __init__(self) -> None:
        self._by_owner: dict[str, dict[str, PodSeen]] = {}

    def __len__(self) -> int:
        """Pods that are remembered."""
        return sum(map(len, self._by_owner.values()))

    def keep(self, known: PodSeen, last: PodSeen) -> None:
        """A pod is gone. `known` is how it was before: the final event says no more how long it had to stop."""
        if last.trainer_end is None or last.has_succeeded:
            return
        pod = replace(last, deleted_at=known.deleted_at, grace_seconds=known.grace_seconds)
        kept = self._by_owner.get(pod.owner_uid, {})
        newest = max((one.attempt for one in kept.values()), default=0)
        if pod.attempt > newest:
            kept = {}
        if pod.attempt >= newest:
            self._by_owner[pod.owner_uid] = kept | {pod.name: pod}

    def of(self, uid: str, attempt: int) -> tuple[PodSeen, ...]:
        """Those of one attempt of a job."""
        return tuple(pod for pod in self._by_owner.get(uid, {}).values() if pod.attempt == attempt)

    def forget(self, uid: str) -> None:
        """The job has ended or is gone."""
        self._by_owner.pop(uid, None)
