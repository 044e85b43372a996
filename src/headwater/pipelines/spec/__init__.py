"""A PipelineSpec, read: from YAML or JSON to a checked, immutable tree, and the values and conditions in it."""
