"""Which form of an answer a client wants, read from its ``Accept`` header.

Kubernetes clients name more than a media type: ``application/json;as=Table;v=v1;g=meta.k8s.io`` asks for the same
object as a table, ``as=PartialObjectMetadata`` for its metadata only. Clauses that this server cannot meet (protobuf,
``v1beta1`` tables) are passed over for the next, as upstream does.
"""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from headwater.kube.meta.errors import StatusError


class Form(Enum):
    """The shape of an answer."""

    OBJECT = "object"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"
    METADATA_LIST = "PartialObjectMetadataList"
    DISCOVERY = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The form and the encoding that were agreed on."""

    form: Form = Form.OBJECT
    yaml: bool = False

    @property
    def content_type(self) -> str:
        """The value of the ``Content-Type`` header."""
        return "application/yaml" if self.yaml else "application/json"


_JSON = frozenset({"application/json", "application/*", "*/*"})
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})
_VERSIONS = {
    Form.TABLE: ("meta.k8s.io", "v1"),
    Form.METADATA: ("meta.k8s.io", "v1"),
    Form.METADATA_LIST: ("meta.k8s.io", "v1"),
    Form.DISCOVERY: ("apidiscovery.k8s.io", "v2"),
}


@lru_cache(maxsize=256)
def negotiate(accept: str, forms: frozenset[Form]) -> Wanted:
    """Return the first clause, by quality and then by order, that can be met with one of ``forms``.

    Raises ``StatusError`` 406 when there is none.
    """
    if not accept.strip():
        return Wanted()
    clauses = []
    for position, clause in enumerate(accept.split(",")):
        media, *parameters = (part.strip() for part in clause.split(";"))
        values = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        try:
            quality = float(values.get("q", "1"))
        except ValueError:
            quality = 1.0
        clauses.append((-quality, position, media.lower(), values))
    for negated, _, media, values in sorted(clauses, key=lambda clause: clause[:2]):
        if not negated or (media not in _JSON and media not in _YAML):
            continue
        form = _form(values)
        if form is not None and form in forms:
            return Wanted(form, media in _YAML)
    raise StatusError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml",
    )


def _form(values: dict[str, str]) -> Form | None:
    name = values.get("as")
    if name is None:
        return Form.OBJECT
    for form, (group, version) in _VERSIONS.items():
        if form.value == name and values.get("g", group) == group and values.get("v", version) == version:
            return form
    return None
