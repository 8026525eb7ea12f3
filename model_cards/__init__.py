"""Release of the models: `python -m model_cards --help`. A folder for each model has its record and card."""
