"""Compiler from recurrent cells to native kernels."""
