"""What the scripts of `experiments` share."""
