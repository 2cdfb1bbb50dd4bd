"""Sacred ingredients: one concern a file, a config and captured builders of something in tmd."""
