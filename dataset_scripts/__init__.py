"""Release of the datasets: `python -m dataset_scripts --help`. `cards/` has the released records and cards."""
