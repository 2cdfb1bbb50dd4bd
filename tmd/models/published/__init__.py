"""Networks of the field as spandrel has their classes: their options, sizes, reach, recognition."""
