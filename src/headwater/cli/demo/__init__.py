"""The demo: a real pipeline on real data, submitted with the unchanged ``kfp`` SDK from its own environment."""
