"""Another build of the library, as under sanitizers, is tested by naming it in SEQHUB_TEST_LIBRARY."""

import os
from pathlib import Path

from seqhub.native import loader

if "SEQHUB_TEST_LIBRARY" in os.environ:
    loader.PATH = Path(os.environ["SEQHUB_TEST_LIBRARY"])
