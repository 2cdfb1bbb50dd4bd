"""Recording a run on disk; knows no database and reads no run back."""
