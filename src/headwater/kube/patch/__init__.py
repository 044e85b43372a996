"""Changing part of an object: JSON patch, merge patch and Kubernetes' strategic merge.

Every function returns a new document and leaves its arguments alone; what did not change may be shared between
the old document and the new one. Server-side apply, which also decides who owns what, is ``kube.patch.apply``.
"""

from headwater.kube.patch.errors import PatchError
from headwater.kube.patch.json import json_patch
from headwater.kube.patch.merge import merge_patch
from headwater.kube.patch.strategic import strategic_merge

__all__ = ["PatchError", "json_patch", "merge_patch", "strategic_merge"]
