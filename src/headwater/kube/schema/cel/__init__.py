"""The Common Expression Language as Kubernetes speaks it: rules of custom resources, admission policies, conditions.

Written here, since no Python library has what the API promises: errors for undefined fields and wrong types when
an expression is stored, bounds on what it may cost, optional values, and Kubernetes' own types (quantities, URLs,
addresses, the authorizer). Nothing is loaded before the first expression is compiled.
"""

from headwater.kube.schema.cel.program import Program, compile_expression
from headwater.kube.schema.cel.values import CelError

__all__ = ["CelError", "Program", "compile_expression"]
