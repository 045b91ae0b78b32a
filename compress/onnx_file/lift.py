"""Move weights out of Constant nodes, subgraphs and functions, so that each is a name of the main graph."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from compress.graph import all_graphs, nested_graphs, subgraphs_of
from compress.onnx_file.find import Weight

if TYPE_CHECKING:
    import onnx

__all__ = ["lift"]


def lift(model: "onnx.ModelProto", weights: Sequence[Weight]) -> list[str]:
    """Take the tensors of `weights` out of `model` and let every reader refer to a name of the main graph.

    A name of the main graph stays. A tensor of a subgraph gets a name that is unique in the model, which the
    subgraph reads from outside; one of a function gets it as a further input of the function.

    Parameters
    ----------
    model : ModelProto
        Changed in place. The names returned are not defined any more: the caller writes them.
    weights : sequence of Weight
        Found in `model`.

    Returns
    -------
    list of str
        Name of every weight in the main graph.
    """
    import onnx

    taken = _all_names(model)
    fresh = (name for number in count() if (name := f"w{number}") not in taken)
    names: list[str] = []
    wanted: dict[int, tuple[Any, list[str]]] = {}
    functions = _home_functions(model)
    for weight in weights:
        name = weight.name if weight.home is model.graph else next(fresh)
        names.append(name)
        if weight.home is not model.graph:
            _rename(weight.home, weight.name, name)
            function = functions.get(id(weight.home))
            if function is not None:
                wanted.setdefault(id(function), (function, []))[1].append(name)
    initializers = {id(weight.tensor) for weight in weights if weight.node is None}
    constants = {id(weight.node) for weight in weights if weight.node is not None}
    for home in {id(weight.home): weight.home for weight in weights}.values():
        if isinstance(home, onnx.GraphProto):
            _keep(home.initializer, initializers)
        _keep(home.node, constants)
    _thread(model, list(wanted.values()))
    return names


def _keep(items: Any, dropped: set[int]) -> None:
    for index in reversed(range(len(items))):
        if id(items[index]) in dropped:
            del items[index]


def _home_functions(model: "onnx.ModelProto") -> dict[int, Any]:
    return {id(graph): function for function in model.functions for graph in nested_graphs(function)}


def _rename(home: Any, old: str, new: str) -> None:
    for node in home.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for subgraph in subgraphs_of(node):
            own = {item.name for item in (*subgraph.initializer, *subgraph.input)}
            own |= {output for inner in subgraph.node for output in inner.output}
            if old not in own:
                _rename(subgraph, old, new)


def _thread(model: "onnx.ModelProto", wanted: list[tuple[Any, list[str]]]) -> None:
    """Make the names further inputs of their functions, of all calls, and of the functions that the calls are in."""
    extra: dict[tuple[str, str, str], list[str]] = {}
    for function, names in wanted:
        extra.setdefault(_key(function), []).extend(names)
    changed = True
    while changed:
        changed = False
        for function in model.functions:
            own = extra.setdefault(_key(function), [])
            for node in _all_nodes(function):
                for name in extra.get((node.domain, node.op_type, node.overload), []):
                    if name not in own:
                        own.append(name)
                        changed = True
    arity = {_key(function): len(function.input) for function in model.functions}
    for graph in all_graphs(model):
        for node in graph.node:
            key = (node.domain, node.op_type, node.overload)
            if extra.get(key):
                node.input.extend([""] * (arity[key] - len(node.input)))
                node.input.extend(extra[key])
    for function in model.functions:
        function.input.extend(extra[_key(function)])


def _key(function: Any) -> tuple[str, str, str]:
    return function.domain, function.name, function.overload


def _all_nodes(function: Any) -> Iterator[Any]:
    for graph in nested_graphs(function):
        yield from graph.node


def _all_names(model: "onnx.ModelProto") -> set[str]:
    import onnx

    names: set[str] = set()
    for graph in all_graphs(model):
        for node in graph.node:
            names.update(node.input, node.output)
        if isinstance(graph, onnx.GraphProto):
            for item in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
                names.add(item.name)
        else:
            names.update(graph.input, graph.output)
    return names
