"""The locally connected family: windows with weights of their own, and the fully connected twin.

    >>> PRESETS
    {'fully_connected': {'connectivity': 'dense'}, 'locally_connected': {'connectivity': 'local'}}

The classes stand in `configuration_locally_connected` and `modeling_locally_connected`.
"""

from typing import Any

INPUTS = ("input_values",)
PRESETS: dict[str, dict[str, Any]] = {
    "fully_connected": {"connectivity": "dense"},
    "locally_connected": {"connectivity": "local"},
}
