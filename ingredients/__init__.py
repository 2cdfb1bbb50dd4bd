"""Sacred ingredients: one concern a file, each a config and a captured builder of something in tmd."""
