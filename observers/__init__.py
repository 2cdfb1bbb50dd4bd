"""Where runs are written and how they are read back."""
