"""The v2beta1 HTTP API, as the unchanged ``kfp`` SDK speaks it."""
