"""Files that are put into every Python environment; never imported by the platform itself."""
