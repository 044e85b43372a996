"""Running a pipeline: the pure planner, the pods of its steps, and the reconciler of the ``Run`` kind."""
