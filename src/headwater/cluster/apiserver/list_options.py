"""Which combinations of ``ListOptions`` a list or a watch may come with.

The rules of ``k8s.io/apimachinery``'s ``ValidateListOptions``: what is forbidden there is answered 422 here too,
since a client that mixes them up would otherwise read something else than it believes.
"""

from headwater.kube.meta.errors import Cause, invalid

_MATCHES = ("", "Exact", "NotOlderThan")


def check_list_options(
    *,
    resource_version: str = "",
    resource_version_match: str = "",
    continue_token: str = "",
    send_initial_events: bool | None = None,
    watch: bool = False,
) -> None:
    """Raise ``StatusError`` 422 for options that exclude one another. ``send_initial_events`` is ``None`` if unsaid."""
    match = resource_version_match
    causes = []
    if match not in _MATCHES:
        said = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        causes.append(Cause("resourceVersionMatch", said, "FieldValueNotSupported"))
    elif watch:
        if send_initial_events is None and match:
            causes.append(
                _forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                )
            )
        elif send_initial_events is not None and match != "NotOlderThan":
            causes.append(
                _forbidden(
                    "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
                )
            )
    else:
        if send_initial_events is not None:
            causes.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        if match and continue_token:
            causes.append(
                _forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
            )
        elif match and not resource_version:
            causes.append(
                _forbidden(
                    "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
                )
            )
        elif match == "Exact" and resource_version == "0":
            causes.append(
                _forbidden("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
            )
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)


def _forbidden(field: str, why: str) -> Cause:
    return Cause(field, f"Forbidden: {why}", "FieldValueForbidden")
