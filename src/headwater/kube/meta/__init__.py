"""The vocabulary of Kubernetes objects: identities, names, selectors, conditions, owners, quantities, time."""
