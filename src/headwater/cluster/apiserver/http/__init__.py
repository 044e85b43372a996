"""The Kubernetes API over HTTP: routes, media types, tables, discovery, OpenAPI, watches, logs and exec."""
