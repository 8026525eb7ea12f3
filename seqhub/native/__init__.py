"""Optional native kernels for the recurrent models, faster than the modules of torch with the same results.

`loader` loads the library that `setup.py` builds from `src/`, `operator` defines a torch operator with gradients,
`dispatch` runs models natively, and `trainer` trains them. Without the library, the modules of torch are used.
"""
