"""Studies of many runs: spaces, storages, trials, workers; knows of runs only what records say."""
