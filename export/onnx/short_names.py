"""Give the inner values of an ONNX model the shortest names there are, the most used the shortest."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, product
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Any

from compress.graph import all_tensors, nested_graphs, subgraphs_of

if TYPE_CHECKING:
    import onnx

__all__ = ["bytes_of_names", "shorten_names"]


@dataclass(slots=True, eq=False)
class _Scope:
    """A graph or function, the names it defines and how often each is written, its own subgraphs."""

    home: Any
    parent: "_Scope | None"
    own: set[str]
    kept: set[str]
    inner: list["_Scope"] = field(default_factory=list)
    uses: Counter[str] = field(default_factory=Counter)
    taken: set[str] = field(default_factory=set)
    short: dict[str, str] = field(default_factory=dict)
    reached: int = 0

    def owner(self, name: str) -> "_Scope | None":
        """Where a name that is written here is defined."""
        scope: _Scope | None = self
        while scope is not None and name not in scope.own:
            scope = scope.parent
        return scope

    def below(self) -> Iterator["_Scope"]:
        """This scope and all in it."""
        yield self
        for scope in self.inner:
            yield from scope.below()

    def related(self) -> Iterator["_Scope"]:
        """The scopes in which a name of this one means the same, or would be hidden by it: it must be new in all."""
        yield from self.below()
        scope = self.parent
        while scope is not None:
            yield scope
            scope = scope.parent


def shorten_names(model: "onnx.ModelProto") -> dict[str, str]:
    """Rename every inner value of a model, and drop the names and doc strings of its nodes.

    Inner are results of nodes and initialisers, in the main graph, its subgraphs and functions, and what a subgraph
    takes and gives by place. Inputs and outputs of the model and of its functions stay, and with them initialisers
    that are inputs; so do names that are written but defined nowhere, and what training information mentions. No
    name hides one of a surrounding graph; graphs beside each other have the same ones. The result depends on no name
    that is replaced, so a second call changes nothing.

    Parameters
    ----------
    model : ModelProto
        Changed in place. Accepted by `onnx.checker`.

    Returns
    -------
    dict of str to str
        Old to new name of every value of the main graph that was renamed.
    """
    main = _scope_of(model.graph, None)
    main.kept |= _names_in_training(model)
    _shorten(main)
    for function in model.functions:
        _shorten(_scope_of(function, None))
    return dict(main.short)


def _shorten(root: _Scope) -> None:
    def count_use(scope: _Scope, name: str) -> str:
        owner = scope.owner(name)
        if owner is None:
            root.kept.add(name)
        else:
            owner.uses[name] += 1
        return name

    def exchange(scope: _Scope, name: str) -> str:
        owner = scope.owner(name)
        return name if owner is None else owner.short.get(name, name)

    _exchange_names(root, count_use)
    _choose_names(root)
    _exchange_names(root, exchange)
    for scope in root.below():
        for node in scope.home.node:
            node.ClearField("name")
            node.ClearField("doc_string")


def _choose_names(root: _Scope) -> None:
    """The most used value takes the first name that is free wherever it can be seen; ties fall in file order."""
    scopes = list(root.below())
    for scope in scopes:
        scope.taken |= root.kept
    values = [(uses, scope, name) for scope in scopes for name, uses in scope.uses.items()]
    source, names = _identifiers(), list[str]()
    for _, scope, name in sorted(values, key=lambda value: -value[0]):
        if scope is root and name in root.kept:
            continue
        while True:
            if scope.reached == len(names):
                names.append(next(source))
            if names[scope.reached] not in scope.taken:
                break
            scope.reached += 1
        scope.short[name] = names[scope.reached]
        for other in scope.related():
            other.taken.add(scope.short[name])


def _identifiers() -> Iterator[str]:
    """Identifiers of C, as the format asks for, the shortest first."""
    for length in count():
        for letters in product(ascii_letters, *[ascii_letters + digits] * length):
            yield "".join(letters)


def _scope_of(home: Any, parent: _Scope | None) -> _Scope:
    import onnx

    own = {name for node in home.node for name in node.output}
    if isinstance(home, onnx.GraphProto):
        ends = {value.name for value in (*home.input, *home.output)}
        own |= {value.name for value in (*home.input, *home.initializer)}
        own |= {sparse.values.name for sparse in home.sparse_initializer}
    else:
        ends = {*home.input, *home.output}
        own |= set(home.input)
    scope = _Scope(home, parent, own - {""}, ends if parent is None else set())
    for node in home.node:
        scope.inner += [_scope_of(subgraph, scope) for subgraph in subgraphs_of(node)]
    return scope


def _exchange_names(scope: _Scope, change: Callable[[_Scope, str], str]) -> None:
    """Put `change` of every name of a value in its place, in a scope and all in it."""
    import onnx

    def changed(name: str) -> str:
        return change(scope, name) if name else ""

    home = scope.home
    named = list(getattr(home, "value_info", ()))
    if isinstance(home, onnx.GraphProto):
        named += [*home.input, *home.output, *home.initializer, *(sparse.values for sparse in home.sparse_initializer)]
        for annotation in home.quantization_annotation:
            annotation.tensor_name = changed(annotation.tensor_name)
            for entry in annotation.quant_parameter_tensor_names:
                entry.value = changed(entry.value)
    for value in named:
        value.name = changed(value.name)
    for node in home.node:
        node.input[:] = [changed(name) for name in node.input]
        node.output[:] = [changed(name) for name in node.output]
        for configuration in getattr(node, "device_configurations", ()):
            for spec in configuration.sharding_spec:
                spec.tensor_name = changed(spec.tensor_name)
    for inner in scope.inner:
        _exchange_names(inner, change)


def _names_in_training(model: "onnx.ModelProto") -> set[str]:
    names: set[str] = set()
    for training in model.training_info:
        for binding in (*training.initialization_binding, *training.update_binding):
            names |= {binding.key, binding.value}
        for top in (training.initialization, training.algorithm):
            for graph in nested_graphs(top):
                names |= {name for node in graph.node for name in (*node.input, *node.output)}
                names |= {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    return names


def bytes_of_names(model: "onnx.ModelProto") -> int:
    """Bytes that short names save; `model` is not changed."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in all_tensors(copy):  # to size a model is to serialise it
        tensor.ClearField("raw_data")
    before = copy.ByteSize()
    shorten_names(copy)
    return int(before - copy.ByteSize())
