"""Native scans compared with transformers' own code and with torch operations, with every instruction set."""

import inspect
import itertools
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.native import loader, plain_scans, scans
from tests.helpers.native_cases import SETS

needs_library = pytest.mark.skipif(not SETS, reason="the native library was not built")
KINDS = ("selective_scan", "delta_rule", "linear_recurrence", "wkv")
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}


def inputs_of(kind: str, *, dtype: torch.dtype = torch.float64, seed: int = 0, state: bool = True, **sizes: int) -> Any:
    """Return random inputs of an operator, with gradients."""
    batch, steps, width, states, heads = (
        {"batch": 3, "steps": 5, "width": 4, "states": 3, "heads": 2} | sizes
    ).values()
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)

    channels = (batch, steps, width)
    if kind == "selective_scan":
        found = [normal(*channels), F.softplus(normal(*channels)), -normal(width, states).exp()]
        found += [normal(batch, steps, states), normal(batch, steps, states), normal(batch, width, states)]
    elif kind == "delta_rule":
        keys, values, gates = (batch, steps, heads, states), (batch, steps, heads, width), (batch, steps, heads)
        found = [normal(*keys), F.normalize(normal(*keys), dim=-1), normal(*values), F.logsigmoid(normal(*gates))]
        found += [2 * normal(*gates).sigmoid(), normal(batch, heads, states, width)]
    elif kind == "linear_recurrence":
        found = [normal(*channels), normal(*channels).sigmoid(), normal(batch, width)]
    else:
        found = [-normal(width).exp(), normal(width), normal(*channels), normal(*channels)]
        found.append(torch.stack((normal(batch, width), normal(batch, width).exp(), normal(batch, width)), 1))
    if not state:
        found[-1] = None
    return [None if each is None else each.detach().requires_grad_() for each in found]


def native(kind: str, instruction_set: str = "") -> Callable[..., tuple[Tensor, Tensor]]:
    return lambda *tensors: getattr(torch.ops.seqhub, kind)(*tensors, instruction_set)


def plain(kind: str) -> Callable[..., tuple[Tensor, Tensor]]:
    function: Callable[..., tuple[Tensor, Tensor]] = getattr(plain_scans, kind)
    return function


def with_gradients(function: Callable[..., tuple[Tensor, Tensor]], tensors: Any, *, last: bool = True) -> list[Tensor]:
    """Return both outputs and the gradients of all tensors; without `last`, only the first output has a gradient."""
    outputs = function(*tensors)
    generator = torch.Generator().manual_seed(7)
    errors = [torch.randn(each.shape, dtype=torch.float64, generator=generator).to(each) for each in outputs]
    count = 2 if last else 1
    given_tensors = [each for each in tensors if each is not None]
    gradients = torch.autograd.grad(
        outputs[:count], given_tensors, errors[:count], allow_unused=True, materialize_grads=True
    )
    return [*outputs, *gradients]


def assert_close(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    """Assert that errors are small against the largest value of each tensor."""
    assert len(found) == len(expected)
    for number, (one, two) in enumerate(zip(found, expected, strict=True)):
        assert (one.shape, one.dtype) == (two.shape, two.dtype)
        scale = max(1.0, two.abs().max().item())
        assert (one - two).abs().max().item() <= tolerance * scale, number


def in_double(module: str, name: str, cls: str | None = None) -> Callable[..., Any]:
    """Return a function of transformers with double in place of single precision, which it uses for any type."""
    modeling = import_module(f"transformers.models.{module}.modeling_{module}")
    owner = modeling if cls is None else getattr(modeling, cls)
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(getattr(owner, name))))
    source = source[source.index("def ") :].replace(".float()", ".double()").replace("torch.float32", "torch.float64")
    scope = dict(vars(modeling))
    exec(source, scope)
    function: Callable[..., Any] = scope[name]
    return function


def of_transformers(kind: str, dtype: torch.dtype) -> list[Callable[..., tuple[Tensor, Tensor]]]:
    """Return transformers' code for an operator, with its arguments; twice if there are two forms."""

    def get(module: str, name: str, cls: str | None = None) -> Callable[..., Any]:
        if dtype == torch.float64:
            return in_double(module, name, cls)
        modeling = import_module(f"transformers.models.{module}.modeling_{module}")
        return inspect.unwrap(getattr(modeling if cls is None else getattr(modeling, cls), name))  # type: ignore[no-any-return]

    if kind == "selective_scan":
        scan = get("mamba", "mamba_selective_scan")

        def selective(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, _: None) -> tuple[Tensor, Tensor]:
            turned = (each.transpose(1, 2) for each in (b, c))
            y, state = scan(u.transpose(1, 2), delta.transpose(1, 2), a, *turned, return_last_state=True)
            return y.transpose(1, 2), state

        return [selective]
    if kind == "delta_rule":
        rules = [get("qwen3_next", f"torch_{form}_gated_delta_rule") for form in ("chunk", "recurrent")]
        return [
            lambda q, k, v, g, beta, state, rule=rule: rule(
                q * q.size(-1) ** 0.5, k, v, g, beta, initial_state=state, output_final_state=True
            )
            for rule in rules
        ]
    if kind == "linear_recurrence":
        scan = get("recurrent_gemma", "_rnn_scan", "RecurrentGemmaRglru")
        return [lambda x, a, state: scan(None, x, a, torch.zeros(*x.shape[:2], 1, dtype=torch.bool), state)]
    attention = get("rwkv", "rwkv_linear_attention_cpu")

    def wkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        y, last = attention((-w).log(), u, k, v, None if state is None else state.unbind(1), return_state=True)
        return y, torch.stack(tuple(last), 1)

    return [wkv]


sizes = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "steps": st.integers(1, 9),
        "width": st.sampled_from([1, 3, 4, 7, 8, 15, 16, 17, 33, 70]),
        "states": st.sampled_from([1, 2, 3, 4, 8, 16, 19]),
        "heads": st.integers(1, 2),
    }
)
dtypes = st.sampled_from([torch.float32, torch.float64])


@needs_library
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_transformers(kind):
    @settings(max_examples=15, deadline=None, derandomize=True)
    @given(sizes, dtypes, st.booleans(), st.sampled_from(SETS), st.integers(0, 99))
    def check(shape, dtype, state, instruction_set, seed):
        state = state and kind != "selective_scan"  # which starts at zero in transformers
        tensors = inputs_of(kind, dtype=dtype, seed=seed, state=state, **shape)
        found = with_gradients(native(kind, instruction_set), tensors)
        for function in of_transformers(kind, dtype):
            assert_close(found, with_gradients(function, tensors), TOLERANCES[dtype])

    check()


@needs_library
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("instruction_set", SETS)
def test_equal_to_torch_operations(kind, instruction_set):
    for dtype, state, last, shape in itertools.product(
        TOLERANCES, (True, False), (True, False), ({"steps": 1}, {"width": 37, "states": 18}, {"width": 16, "heads": 1})
    ):
        tensors = inputs_of(kind, dtype=dtype, state=state, **shape)
        found = with_gradients(native(kind, instruction_set), tensors, last=last)
        assert_close(found, with_gradients(plain(kind), tensors, last=last), TOLERANCES[dtype])


@needs_library
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("selective_scan", {"steps": 90, "width": 2, "states": 80}),
        ("delta_rule", {"steps": 60, "width": 70, "states": 64, "heads": 1}),
        ("wkv", {"steps": 3000, "width": 2}),
    ],
)
def test_several_segments(kind, shape):
    """Backward computes states again, segment by segment, if they exceed the cache; the halves do not need that."""
    in_steps = [number for number, each in enumerate(scans._SCANS[kind].inputs.values()) if "T" in each]

    def halves(*tensors):
        def part(first, end, state):
            parts = [each[:, first:end] if number in in_steps else each for number, each in enumerate(tensors)]
            return native(kind)(*parts[:-1], state)

        middle = shape["steps"] // 2
        start, state = part(0, middle, tensors[-1])
        end, state = part(middle, shape["steps"], state)
        return torch.cat((start, end), 1), state

    tensors = inputs_of(kind, batch=1, **shape)
    assert_close(with_gradients(native(kind), tensors), with_gradients(halves, tensors), 1e-10)


@needs_library
def test_gradient_of_the_last_state_alone():
    for kind in KINDS:
        tensors = inputs_of(kind)
        found, expected = (
            torch.autograd.grad(
                function(*tensors)[1].square().sum(), tensors, allow_unused=True, materialize_grads=True
            )
            for function in (native(kind), plain(kind))
        )
        assert_close(list(found), list(expected), 1e-10)


@needs_library
def test_arguments_without_gate_of_decay():
    """g=None is the plain delta rule."""
    q, k, v, g, beta, state = inputs_of("delta_rule")
    zero = torch.zeros_like(g, requires_grad=True)
    found = with_gradients(native("delta_rule"), (q, k, v, None, beta, state))
    expected = with_gradients(native("delta_rule"), (q, k, v, zero, beta, state))
    del expected[5]
    assert_close(found, expected, 1e-12)


@needs_library
@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    tensors = inputs_of(kind, batch=2, steps=3, width=2, states=2, heads=1)
    assert torch.autograd.gradcheck(native(kind), tensors)
    assert torch.autograd.gradgradcheck(native(kind), tensors)


@needs_library
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_opcheck(kind):
    for state in (True, False):
        arguments = (*inputs_of(kind, state=state), "")
        torch.library.opcheck(getattr(torch.ops.seqhub, kind).default, arguments)


@needs_library
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compile():
    """Compiled without graph breaks, for any number of steps, with the same results."""

    def loss(q, k, v, g, beta, state, u, delta, a, b, c, start, decay, first):
        y, _ = scans.gated_delta_rule(q, k, v, g, beta, state)
        z, last = scans.selective_scan(u, delta, a, b, c, u[0, 0], u, start)
        x, _ = scans.rg_lru(z, u.sigmoid())
        w, _ = scans.wkv(decay, first, x, u)
        return y.square().sum() + w.square().sum() + last.sum()

    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    for steps in (5, 9):
        decay, first = inputs_of("wkv")[:2]
        tensors = [*inputs_of("delta_rule", steps=steps), *inputs_of("selective_scan", steps=steps), decay, first]
        found, expected = (torch.autograd.grad(function(*tensors), tensors) for function in (compiled, loss))
        assert_close(list(found), list(expected), 1e-10)


@needs_library
@pytest.mark.parametrize("kind", KINDS)
def test_equal_calls_give_equal_bits(kind):
    """On any thread, and for a row by itself."""
    tensors = inputs_of(kind, dtype=torch.float32, width=21, steps=40)
    first = with_gradients(native(kind), tensors)
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(lambda _: with_gradients(native(kind), tensors), range(8)):
            assert all(map(torch.equal, first, again))
    rows = [each[:1] if each.size(0) == 3 else each for each in tensors]
    assert torch.equal(native(kind)(*rows)[0], first[0][:1])


@needs_library
def test_any_strides():
    """Transposed, expanded and negated views are read correctly."""
    u, delta, a, b, c, state = inputs_of("selective_scan", batch=2, steps=3, width=4, states=3)
    turned = u.detach().transpose(1, 2).contiguous().transpose(1, 2)
    same = b.detach()[:1].expand(2, -1, -1)
    found = scans.selective_scan(turned, delta, a, same, c, initial_state=state)
    expected = plain_scans.selective_scan(u, delta, a, same, c, state)
    assert_close(list(found), list(expected), 1e-12)
    negated = torch.complex(torch.zeros_like(u), u.detach()).conj().imag
    assert negated.is_neg()
    assert_close(list(scans.rg_lru(negated, delta)), list(plain_scans.linear_recurrence(-u, delta, None)), 1e-12)


def test_other_types_transforms_and_no_library(monkeypatch):
    u, a, state = inputs_of("linear_recurrence")
    expected = plain_scans.linear_recurrence(u, a, state)
    assert scans.rg_lru(*(each.bfloat16() for each in (u, a, state)))[0].dtype == torch.bfloat16
    assert scans.rg_lru(u.to("meta"), a.to("meta"))[0].shape == u.shape
    assert scans.rg_lru(u.float(), a)[0].dtype == torch.float64
    slope = torch.func.grad(lambda x: scans.rg_lru(x, a, state)[0].sum())(u)
    torch.testing.assert_close(slope, torch.autograd.grad(expected[0].sum(), u)[0])
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(u, torch.ones_like(u))
        tangent = forward_ad.unpack_dual(scans.rg_lru(dual, a, state)[0]).tangent
    torch.testing.assert_close(tangent, plain_scans.linear_recurrence(torch.ones_like(u), a, None)[0])
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    assert not scans.runs_natively((u, a))
    assert torch.equal(scans.rg_lru(u, a, state)[0], expected[0])


@needs_library
def test_batched_gradients():
    """`is_grads_batched=True`, as for a Jacobian."""
    tensors = inputs_of("wkv", batch=1, steps=2, width=2)
    y = native("wkv")(*tensors)[0]
    errors = torch.eye(4, dtype=y.dtype).reshape(4, 1, 2, 2)
    (batched,) = torch.autograd.grad(y, tensors[2], errors, is_grads_batched=True, retain_graph=True)
    rows = [torch.autograd.grad(y, tensors[2], each, retain_graph=True)[0] for each in errors]
    torch.testing.assert_close(batched, torch.stack(rows))


@needs_library
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: torch.zeros(3, 5)}, r"u \(3, 5\): must be \(B=3, T=5, D\), all sizes at least 1"),
        ({1: torch.zeros(3, 5, 9)}, r"delta \(3, 5, 9\): must be \(B=3, T=5, D=4\)"),
        ({2: torch.zeros(4, 0)}, r"A \(4, 0\): must be \(D=4, N=0\), all sizes at least 1"),
        ({5: torch.zeros(1, 4, 3)}, r"state \(1, 4, 3\): must be \(B=3, D=4, N=3\)"),
    ],
)
def test_wrong_shapes(change, message):
    tensors = [change.get(number, each.float()) for number, each in enumerate(inputs_of("selective_scan"))]
    *others, state = tensors
    with pytest.raises(InvalidInputError, match=message):
        scans.selective_scan(*others, initial_state=state)
    with pytest.raises(InvalidInputError, match=message):
        scans.selective_scan(*(each.double() for each in others), initial_state=state.float())  # in torch operations


@needs_library
def test_wrong_arguments_of_the_operators():
    x, a, state = (each.detach() for each in inputs_of("linear_recurrence"))
    with pytest.raises(InvalidInputError, match=r"tensors of torch.float32, torch.float64: need all float32 or all"):
        torch.ops.seqhub.linear_recurrence(x.float(), a, state, "")
    with pytest.raises(InvalidInputError, match=r"output or gradient \(3, 5, 9\): must be BTD with"):
        torch.ops.seqhub.linear_recurrence_backward(x, a, state, x, torch.zeros(3, 5, 9).double(), None, "")
    with pytest.raises(InvalidInputError, match="output=None"):
        torch.ops.seqhub.linear_recurrence_backward(x, a, state, None, x, None, "")
    with pytest.raises(UnknownNameError, match="instruction set"):
        scans.rg_lru(x, a, instruction_set="sse9")
    assert loader.scan_functions() == loader.scan_functions("")
