"""Loading and evaluation of saved models."""
