"""Reading runs back, listing and showing them; must not know how they are written."""
