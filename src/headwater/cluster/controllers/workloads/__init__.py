"""What the controllers of long-running pods have in common."""
