"""Admission: what is decided about a write between authorization and the store."""

from headwater.cluster.apiserver.admission.chain import Admission
from headwater.cluster.apiserver.admission.request import AdmissionRequest

__all__ = ["Admission", "AdmissionRequest"]
