"""Headwater: a machine-learning platform that starts on one machine and grows to a Kubernetes cluster."""

__version__ = "0.1.0"
