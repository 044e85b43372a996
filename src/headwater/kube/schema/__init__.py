"""Schemas of the built-in kinds and of custom resources: validate, prune, default, generate.

A schema is a plain ``dict`` in OpenAPI's dialect with Kubernetes' extensions. Those of built-in kinds have their
references resolved, so that every consumer walks one structure.
"""
