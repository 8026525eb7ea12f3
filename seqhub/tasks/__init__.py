"""What the data is: one file per task, NumPy only."""
