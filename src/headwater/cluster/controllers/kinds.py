"""Which kinds there are to look after, as custom resource definitions come and go."""

from collections.abc import Callable, Iterable

from headwater.kube.meta.resources import EVENTS, Resource

Kinds = Callable[[], Iterable[Resource]]
"""Answers every kind that is stored and can be listed; asked again whenever a definition has changed."""


def one_version_each(kinds: Iterable[Resource]) -> dict[tuple[str, str], Resource]:
    """Return the kinds by group and plural: of several versions of a kind, the first.

    Events are left out: they own nothing, nothing owns them, and there are many.
    """
    found: dict[tuple[str, str], Resource] = {}
    for resource in kinds:
        if resource.plural != EVENTS.plural or resource.group not in ("", "events.k8s.io"):
            found.setdefault((resource.group, resource.plural), resource)
    return found
