"""Import hooks that register seqhub with `datasets` and `transformers` when these are imported.

`datasets` has no plug-in mechanism, so one of its functions is wrapped (see `data.datasets_hook`); `transformers` has
`AutoConfig.register`. With the hooks `import seqhub` is fast, and the order of imports does not matter.
"""

import sys
from functools import partial
from importlib import import_module
from types import ModuleType

from seqhub._import_hooks import after_import

_active = False  # register() and unregister() may be called any number of times
_installed = False  # hooks are not removed, so each is installed once and reads `_active`


def import_native_dispatch() -> None:
    """Import the modules of native kernels before any model, because modelling files look them up only."""
    for module in ("seqhub.native.dispatch", "seqhub.cells.dispatch"):
        after_import("transformers.modeling_utils", partial(_import, module))


def _import(module: str, _: ModuleType) -> None:
    import_module(module)


def register() -> None:
    """Register the tasks with `datasets.load_dataset` and the models with the Auto classes. Idempotent."""
    global _active, _installed
    _active = True
    if not _installed:
        _installed = True
        for module in _ON_IMPORT:
            after_import(module, _on_import)
    else:
        _apply_to_imported()


def unregister() -> None:
    """Undo the registration with `datasets` and `transformers`. Idempotent."""
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
            _on_import(sys.modules[module])


def _on_import(module: ModuleType) -> None:
    if _active:
        _ON_IMPORT[module.__name__]()


def _register_datasets() -> None:
    from seqhub.data.datasets_hook import install

    install()


def _register_configs() -> None:
    from seqhub.models import registry

    registry.register_configs()


def _register_models() -> None:
    from seqhub.models import registry

    registry.register_models()


_ON_IMPORT = {
    "datasets": _register_datasets,
    "transformers.models.auto.configuration_auto": _register_configs,
    "transformers.models.auto.modeling_auto": _register_models,
}
