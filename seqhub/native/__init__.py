"""Optional native kernels of the recurrent models: the same results as the modules of torch in less time.

`loader` loads the library that `setup.py` builds from `src/`; `operator` makes it an operator of torch with gradients;
`dispatch` runs models by it, and `trainer` trains them. Without a library, the modules of torch run.
"""
