"""The recurrence of the `recurrent` models, natively: same maths, same weights, same results, much less time.

`library` finds what `setup.py` built from `native/`; `operator` makes it an operator of torch, with gradients; `hook`
is what models ask. Nothing here is needed: without a library, the modules of torch run.
"""
