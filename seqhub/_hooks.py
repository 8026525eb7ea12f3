"""Tells `datasets` and `transformers` about seqhub when they are imported, and not before.

`datasets` has no plug-in mechanism, so one of its functions is wrapped (see `data.datasets_hook`); `transformers` has
one, `AutoConfig.register`. Both wait for the library's own import: `import seqhub` stays light, in either order.
"""

import sys
from importlib import import_module
from types import ModuleType

import wrapt

_active = False  # register() and unregister() are called any number of times
_waiting = False  # wrapt keeps its hooks for ever, so they are placed once and ask `_active`


def offer_kernels() -> None:
    """Load the native recurrence before any model: what it may do for them, models look up and never import."""
    wrapt.register_post_import_hook(lambda _: import_module("seqhub.native.dispatch"), "transformers.modeling_utils")


def register() -> None:
    """Make `load_dataset("qrsu", "hard")` and the Auto classes know seqhub. Idempotent."""
    global _active, _waiting
    _active = True
    if not _waiting:
        _waiting = True
        for module in _ON_IMPORT:
            wrapt.register_post_import_hook(_imported, module)
    else:
        _apply_to_imported()


def unregister() -> None:
    """Leave `datasets` and `transformers` as they were. Idempotent."""
    global _active
    _active = False
    if "datasets.inspect" in sys.modules:
        from seqhub.data.datasets_hook import uninstall

        uninstall()
    if "transformers.models.auto.configuration_auto" in sys.modules:
        from seqhub.models import registry

        registry.unregister()


def _apply_to_imported() -> None:
    for module in _ON_IMPORT:
        if module in sys.modules:
            _imported(sys.modules[module])


def _imported(module: ModuleType) -> None:
    if _active:
        _ON_IMPORT[module.__name__]()


def _datasets() -> None:
    from seqhub.data.datasets_hook import install

    install()


def _auto_configs() -> None:
    from seqhub.models import registry

    registry.register_configs()


def _auto_models() -> None:
    from seqhub.models import registry

    registry.register_models()


_ON_IMPORT = {
    "datasets": _datasets,
    "transformers.models.auto.configuration_auto": _auto_configs,
    "transformers.models.auto.modeling_auto": _auto_models,
}
