"""The criterion `St3`, compared with a reference loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.training.stopping import St3


def met_at(worst: list[float], mean: list[float], rule: St3) -> int | None:
    for seen in range(rule.window, len(worst) + 1):
        window = slice(seen - rule.window, seen)
        wrong = sum(not error < rule.tolerance for error in worst[window])
        if wrong <= rule.wrong and sum(mean[window]) / rule.window < rule.mean_error:
            return seen
    return None


@settings(max_examples=300)
@given(data=st.data(), window=st.integers(1, 6), wrong=st.integers(0, 2))
def test_st3_equals_the_reference_for_any_update_sizes(data: st.DataObject, window: int, wrong: int) -> None:
    eighths = st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0, float("nan")])  # sums of these are exact
    worst = data.draw(st.lists(eighths, max_size=30))
    mean = [min(error, 0.5) if error == error else 0.5 for error in worst]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(worst)), max_size=4)))
    rule = St3(window, tolerance=0.3, mean_error=0.26, wrong=wrong)
    for start, stop in zip([0, *cuts], [*cuts, len(worst)], strict=True):
        rule.update(np.array(worst[start:stop]), np.array(mean[start:stop]))
        again = St3(window, tolerance=0.3, mean_error=0.26, wrong=wrong)
        again.load_state_dict(rule.state_dict())
        rule = again
    assert rule.met_at == met_at(worst, mean, rule)
