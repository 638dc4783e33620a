"""Constructor options of an object, recorded from the call itself, as plain values for JSON.

Identity and card of a run are read from the trained object, never from a list of names kept beside
it: an option that is added to a method tomorrow is recorded without another line of code.
"""

import functools
import hashlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # also synchronised over processes

_RECORD = "_constructor_options"
_NO_OPTIONS = {"training", "progress"}  # what moves while a method is trained


class RecordsOptions:
    """Base of classes that remember the arguments of their constructor, defaults included.

    Every class of a hierarchy is recorded: an option that a subclass fixes for its base is an
    option as well. `options_of` reads the record.
    """

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__init__" in vars(cls):
            cls.__init__ = _recorded(cls.__init__)  # type: ignore[method-assign]


def options_of(thing: object, *, leave_out: nn.Module | None = None) -> dict[str, Any]:
    """List the constructor options of an object, as they are now, in plain values.

    An attribute that was given another value after construction counts with that value, under its
    own name. Networks stand as their class and the checksum of their weights.

    Args:
        thing: Of a class that derives from `RecordsOptions`; others have no options.
        leave_out: A network that is no option: the encoder that is trained.

    Returns:
        Option → value; the same for two objects that were made alike.
    """
    record = vars(thing).get(_RECORD)
    if record is None:
        return {}
    given, attributes = record
    found = {
        name: plain_value(value)
        for name, value in given.items()
        if leave_out is None or value is not leave_out
    }
    now = _plain_attributes(thing)
    changed = {name: value for name, value in now.items() if attributes.get(name, value) != value}
    return {**found, **changed}


def default_options(kind: type, **given: Any) -> dict[str, Any]:
    """Complete some options of a class by its constructor's defaults, as plain values.

    Args:
        kind: The class.
        given: What differs from the defaults.
    """
    parameters = inspect.signature(kind).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return {name: plain_value(value) for name, value in {**defaults, **given}.items()}


def plain_value(value: Any) -> Any:
    """Turn an argument into what JSON holds; what cannot be written out is told by a checksum."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, nn.Module | Tensor):
        return _told_by_checksum(value)
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return plain_value(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return plain_value(asdict(value))
    return _collection(value)


def _collection(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): plain_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain_value(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((plain_value(each) for each in value), key=repr)
    if isinstance(value, Path):
        return str(value)
    named = value if hasattr(value, "__qualname__") else type(value)  # functions, classes, others
    return f"{named.__module__}.{named.__qualname__}"


def _told_by_checksum(value: nn.Module | Tensor) -> str:
    if isinstance(value, nn.Module):
        return f"{type(value).__name__} with weights {weights_checksum(value)[:16]}"
    return f"tensor {tuple(value.shape)} {_checksum([('', value)])[:16]}"


def weights_checksum(network: nn.Module) -> str:
    """SHA-256 of the names, types, shapes and values of a network's parameters and buffers."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return _checksum(tensors)


def structure(network: nn.Module) -> dict[str, str]:
    """Describe every layer of a network: class, plain attributes, shapes of its own weights.

    Two networks that compute different things from the same weights (a stride, a dropout, an
    attribute of one's own) have different descriptions.

    Args:
        network: Any module.

    Returns:
        Name of a layer ("" is the network itself) → description.
    """
    return {name: _layer(module) for name, module in network.named_modules()}


def _layer(module: nn.Module) -> str:
    own = {
        name: f"{tuple(p.shape)}{'' if p.requires_grad else ' frozen'}"
        for name, p in module.named_parameters(recurse=False)
    }
    values = {**_plain_attributes(module), **own}
    told = ", ".join(f"{name}={values[name]}" for name in sorted(values))
    kind = "BatchNorm" if isinstance(module, _BatchNorm) else type(module).__name__
    return f"{kind}({told})"


_HARMLESS = {"grad_checkpointing", "is_compiled"}  # how a layer is computed, not what


def _plain_attributes(thing: object) -> dict[str, Any]:
    """Public attributes that hold plain values, or tuples and lists of them."""
    return {
        name: plain_value(value)
        for name, value in vars(thing).items()
        if not name.startswith("_") and name not in _NO_OPTIONS | _HARMLESS and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)


def _checksum(tensors: list[tuple[str, Tensor]]) -> str:
    found = hashlib.sha256()
    for name, tensor in tensors:
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(flat.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _recorded(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor so that its arguments are kept with the object it makes."""
    signature = inspect.signature(init)
    loose = {p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD}

    @functools.wraps(init)
    def recording(self: Any, *positional: Any, **named: Any) -> None:
        init(self, *positional, **named)
        bound = signature.bind(self, *positional, **named)
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])
        for name in loose:
            given.update(given.pop(name, {}))
        options, attributes = vars(self).get(_RECORD, ({}, {}))  # of the classes below
        # an attribute that a subclass changes after its base has set it is a change as well
        vars(self)[_RECORD] = {**options, **given}, {**_plain_attributes(self), **attributes}

    return recording
