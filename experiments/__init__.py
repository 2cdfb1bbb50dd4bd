"""The sentences our users type: one thin script an experiment."""
