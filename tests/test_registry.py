"""Registries agree: the same activations, losses, optimizers and schedules in all places.

The places are the C tables (engine/simd/*.h), the specifications (activations.py, losses.py,
optimizers.py), the reference, lists in docstrings of MLP and, for classes, the package fastnn
itself. A failure names the place where something is missing.
"""

import dataclasses
import inspect
import re

import pytest

import fastnn
from fastnn import (
    MLP,
    _checks,
    activations,
    callbacks,
    layers,
    losses,
    metrics,
    optimizers,
    reference,
    schedules,
)


def assert_agreement(what, **places):
    """Each place knows what any of them knows."""
    everything = set().union(*places.values())
    missing = [
        f"{what} {name!r} is missing in {place}"
        for place, known in places.items()
        for name in sorted(everything - set(known), key=str)
    ]
    assert not missing, "; ".join(missing)


def test_activations(kernels):
    assert_agreement(
        "activation",
        c_table=kernels.registry()["activations"],
        specifications=activations.NAMES,
        reference=reference.ACTIVATIONS,
    )


def test_default_alphas():
    with_alpha = {name: activations.get(name).alpha for name in activations.NAMES}
    assert {name: alpha for name, alpha in with_alpha.items() if alpha is not None} == (
        reference.ALPHA
    )


def test_losses(kernels):
    assert_agreement(
        "loss",
        c_table={name for name, _ in kernels.registry()["losses"]},
        specifications=losses.NAMES,
        reference=reference.LOSSES,
    )


def test_pairs_of_loss_and_output(kernels):
    """None stands for any output."""
    pairs = [(name, losses.get(name).outputs) for name in losses.NAMES]
    known = [
        (name, None if outputs is reference.ANY else outputs)
        for name, (_, outputs) in reference.LOSSES.items()
    ]
    assert_agreement(
        "loss and output",
        c_table=kernels.registry()["losses"],
        specifications={(name, output) for name, outputs in pairs for output in outputs or (None,)},
        reference={(name, output) for name, outputs in known for output in outputs or (None,)},
    )


def test_loss_parameters():
    for name in losses.NAMES:
        loss, (function, _) = losses.get(name), reference.LOSSES[name]
        ours = dataclasses.asdict(loss)
        theirs = inspect.signature(function).parameters.values()
        assert ours == {p.name: p.default for p in theirs if p.default is not p.empty}, name


def test_optimizers():
    assert_agreement("optimizer", specifications=optimizers.NAMES, reference=reference.OPTIMIZERS)


def test_numbers_of_rules(kernels, optimizer):
    """The kernels know every number of a rule, and nothing is taken for another."""
    known = kernels.registry()["hyper_parameters"]
    assert set(optimizer.numbers()) <= set(known)
    spec = [{"kind": "dense", "units": 1, "activation": "identity", "parameter": 0.0,
             "use_bias": True, "l1": 0.0, "l2": 0.0}]  # fmt: skip
    with pytest.raises(KeyError, match="warmth"):
        kernels.Network(1, spec, hyper={"learning_rate": 0.1, "warmth": 1.0})


def test_kinds_of_targets():
    assert {losses.get(name).targets for name in losses.NAMES} == (
        set(losses.TARGETS) - {"any"}  # which only a CustomLoss takes
    )


def test_row_wise_and_linear_activations():
    assert [n for n in activations.NAMES if activations.get(n).is_row_wise] == ["softmax"]
    assert [n for n in activations.NAMES if activations.get(n).is_linear] == ["identity"]


def test_update_rules(kernels, optimizer_rules):
    assert_agreement(
        "update rule",
        c_table=kernels.registry()["optimizers"],
        specifications=optimizer_rules,
    )


def test_hyper_parameters(optimizer):
    """Names and defaults of a specification are those of the reference's function."""
    common = {f.name for f in dataclasses.fields(optimizers.Optimizer)}
    defaults = {f.name: f.default for f in dataclasses.fields(optimizer) if f.name not in common}
    known = {}
    for name in (*(base.name for base in parents(optimizer)), optimizer.name):
        parameters = inspect.signature(reference.OPTIMIZERS[name]).parameters.values()
        known |= {p.name: p.default for p in parameters if p.default is not p.empty}
    assert defaults == known


def test_a_hyper_parameter_without_a_check_is_an_error():
    with pytest.raises(KeyError, match="beta_3"):
        _checks.hyper_parameter("beta_3", 0.9)


def parents(optimizer):
    return [kind for kind in type(optimizer).__mro__[1:] if "name" in vars(kind)]


def test_ways_to_clip():
    assert list(inspect.signature(reference.clip).parameters)[1:] == list(_checks.CLIPS)


def test_schedules(kernels):
    formulas = set(schedules.NAMES) - {"adaptive", "linear_warmup"}  # which are made of others
    assert_agreement(
        "schedule",
        c_table=kernels.registry()["schedules"],
        specifications=formulas,
        reference=reference.SCHEDULES,
    )


def description(documented, parameter):
    """Return the description of a parameter in a docstring, as one line."""
    doc = inspect.getdoc(documented)
    found = re.search(rf"^{parameter} : .*\n((?:    .*\n)+)", doc, re.MULTILINE)
    return " ".join(found[1].split())


def losses_in(text):
    """Return the names of the losses in a text; CustomLoss, which has no name, is a class."""
    return set(re.findall(r'"(\w+)"', text)) | ({"custom"} if "CustomLoss" in text else set())


@pytest.mark.parametrize("parameter", ["loss", "optimizer"])
def test_the_docstring_of_mlp_has_all_names(parameter):
    known = {"loss": losses.NAMES, "optimizer": optimizers.NAMES}[parameter]
    names = re.findall(r'"(\w+)"', description(MLP, parameter))
    assert_agreement(parameter, docstring=names, specifications=known)


@pytest.mark.parametrize(
    ("sentence", "has"),
    [
        (r"a sum over the outputs \(not ([^)]*)\)", lambda loss: not loss.by_output),
        (r"of any sign for (losses of bounded slope [^.]*)\.", lambda loss: loss.signed_weights),
    ],
    ids=["one weight for all outputs", "signed weights"],
)
def test_the_docstring_of_fit_has_all_losses_of_a_kind(sentence, has):
    known = {loss.name for loss in (*losses.KINDS.values(), losses.CustomLoss) if has(loss)}
    (found,) = re.findall(sentence, description(MLP.fit, "sample_weight"))
    assert_agreement("loss", docstring=losses_in(found), specifications=known)


def test_every_name_is_a_specification_of_its_own():
    for module in (activations, losses, optimizers):
        for name in module.NAMES:
            assert module.get(name).name == name


PUBLIC = {
    "layer": layers.KINDS.values(),
    "loss": losses.KINDS.values(),
    "optimizer": optimizers.KINDS.values(),
    "schedule": schedules.KINDS.values(),
    "metric": [type(metrics.get(name)) for name in metrics.NAMES],
    "callback": [getattr(callbacks, name) for name in callbacks.__all__],
}


@pytest.mark.parametrize("what", PUBLIC)
def test_every_class_is_imported_from_fastnn(what):
    classes = {kind.__name__: kind for kind in PUBLIC[what]}
    assert_agreement(
        what,
        registry=classes,
        fastnn={name for name, kind in classes.items() if getattr(fastnn, name, None) is kind},
        all_of_fastnn=classes.keys() & {*fastnn.__all__},
    )


def test_a_missing_name_is_named():
    with pytest.raises(AssertionError, match="loss 'hinge' is missing in reference"):
        assert_agreement("loss", specifications=["hinge", "huber"], reference=["huber"])
