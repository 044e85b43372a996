"""StatefulSets: pods with identities."""
