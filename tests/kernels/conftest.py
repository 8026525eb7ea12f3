"""Another build of the library, as under sanitizers, is tested by naming it in SEQHUB_TEST_LIBRARY."""

import os
from pathlib import Path

from seqhub.kernels import library

if "SEQHUB_TEST_LIBRARY" in os.environ:
    library.PATH = Path(os.environ["SEQHUB_TEST_LIBRARY"])
