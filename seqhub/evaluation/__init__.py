"""A saved model on a split: numbers in, numbers out."""
