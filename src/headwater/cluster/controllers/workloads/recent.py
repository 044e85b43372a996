"""An informer's objects, with the controller's own last writes where the informer has not shown them yet.

A controller that counts what the informer shows would create twice in the moment between its write and the
informer's event. After a restart nothing needs to be remembered: the informer begins with the truth.
"""

from collections.abc import Callable

from headwater.kube.controller import Informer
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of, version_of
from headwater.kube.meta.owners import controller_of, is_owned_by
from headwater.kube.meta.time import Clock, format_time

UNSEEN_SECONDS = 30.0
"""How long an own write may stay unseen before it is no longer believed."""


class Recent:
    """What a controller knows of one kind. The objects are shared: read them, copy them, never change them."""

    def __init__(self, informer: Informer, clock: Clock) -> None:
        self._informer = informer
        self._clock = clock
        self._written: dict[tuple[str, str], tuple[Object, float]] = {}
        self._orphans: dict[str, set[str]] = {}
        informer.add_handler(self._changed)

    def wrote(self, obj: Object) -> Object:
        """Remember the answer to a creation or an update; return it."""
        key = (namespace_of(obj), name_of(obj))
        seen = self._informer.get(*key)
        if seen is None or not _at_least(seen, obj):
            self._written[key] = (obj, self._clock.monotonic() + UNSEEN_SECONDS)
        return obj

    def removed(self, obj: Object) -> None:
        """Remember that an object's deletion was asked for."""
        key = (namespace_of(obj), name_of(obj))
        seen = self._informer.get(*key)
        if seen is not None and uid_of(seen) == uid_of(obj) and not is_deleting(seen):
            metadata = {**obj["metadata"], "deletionTimestamp": format_time(self._clock.now())}
            self._written[key] = ({**obj, "metadata": metadata}, self._clock.monotonic() + UNSEEN_SECONDS)

    def get(self, namespace: str, name: str) -> Object | None:
        """Return the object as last seen or written."""
        written = self._believed((namespace, name))
        return self._informer.get(namespace, name) if written is None else written

    def owned(self, namespace: str, uid: str) -> list[Object]:
        """Return the objects that refer to this uid as an owner."""
        found = {name_of(obj): obj for obj in self._informer.by_owner(uid) if namespace_of(obj) == namespace}
        return self._overlaid(namespace, found, lambda obj: is_owned_by(obj, uid))

    def orphans(self, namespace: str) -> list[Object]:
        """Return the objects of a namespace that no controller owns."""
        seen = ((name, self._informer.get(namespace, name)) for name in self._orphans.get(namespace, ()))
        found = {name: obj for name, obj in seen if obj is not None}
        return [obj for obj in self._overlaid(namespace, found, lambda _: False) if controller_of(obj) is None]

    def _overlaid(self, namespace: str, found: dict[str, Object], wanted: Callable[[Object], bool]) -> list[Object]:
        for key in [key for key in self._written if key[0] == namespace]:
            written = self._believed(key)
            if written is not None and (key[1] in found or wanted(written)):
                found[key[1]] = written
        return [*found.values()]

    def _believed(self, key: tuple[str, str]) -> Object | None:
        entry = self._written.get(key)
        if entry is None:
            return None
        if entry[1] <= self._clock.monotonic():
            del self._written[key]
            return None
        return entry[0]

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None, "a change has a state before or after it"
        namespace, name = namespace_of(obj), name_of(obj)
        entry = self._written.get((namespace, name))
        gone = new is None and entry is not None and uid_of(entry[0]) == uid_of(obj)
        if entry is not None and (gone or (new is not None and _caught_up(entry[0], new))):
            del self._written[namespace, name]
        if new is not None and controller_of(new) is None:
            self._orphans.setdefault(namespace, set()).add(name)
        else:
            names = self._orphans.get(namespace, set())
            names.discard(name)
            if not names:
                self._orphans.pop(namespace, None)


def _caught_up(written: Object, seen: Object) -> bool:
    if uid_of(seen) != uid_of(written):
        return _at_least(seen, written)
    return _at_least(seen, written) and is_deleting(seen) == is_deleting(written)


def _at_least(seen: Object, written: Object) -> bool:
    """Tell whether ``seen`` is not older (revisions of one kind are numbers that grow)."""
    return int(version_of(seen) or 0) >= int(version_of(written) or 0)
