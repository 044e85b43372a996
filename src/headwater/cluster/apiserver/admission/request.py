"""One write as admission sees it: who wants what to become of which object."""

from dataclasses import dataclass, field
from typing import Literal

from headwater.cluster.apiserver.answers import Warnings
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.apiserver.users import User
from headwater.kube.meta.objects import Object, name_of

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass(slots=True)
class AdmissionRequest:
    """What the rules of admission are asked about; those that change the object change ``obj``."""

    user: User
    operation: Operation
    served: Served
    namespace: str
    obj: Object | None
    """The wanted object, in the stored version; ``None`` for a deletion. It belongs to the request."""
    old: Object | None = None
    """The committed object; ``None`` for a creation. Read only."""
    subresource: str = ""
    dry_run: bool = False
    warnings: Warnings = field(default_factory=list)
    options: Object = field(default_factory=dict)
    """The caller's options, as ``AdmissionReview`` shows them."""
    uid: str = ""
    """Made when a webhook is asked."""

    @property
    def name(self) -> str:
        """The object's name."""
        return name_of(self.obj or self.old or {})

    @property
    def subject(self) -> Object:
        """The object that the request is about: the wanted one, or the one to be deleted."""
        return self.obj if self.obj is not None else (self.old or {})
