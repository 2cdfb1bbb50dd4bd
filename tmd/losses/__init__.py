"""Content and adversarial losses; each in its own module, imported where it is needed."""
