"""The room's pages of the dashboard, the graphs and charts on them, and the streams that keep them live."""
