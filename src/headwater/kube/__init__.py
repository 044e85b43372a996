"""What Kubernetes is, as both modes share it: names, patches, schemas, a client and the reconcile loop.

Imports no other package of the house, so that every controller written on it runs against the embedded
cluster and against a real one alike.
"""
