"""Configuration of the tests of the native library.

To test another build of the library, such as one with sanitizers, set SEQHUB_TEST_LIBRARY to its path.
"""

import os
from pathlib import Path

from seqhub.native import loader

if "SEQHUB_TEST_LIBRARY" in os.environ:
    loader.PATH = Path(os.environ["SEQHUB_TEST_LIBRARY"])
