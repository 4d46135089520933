# SPDX-License-Identifier: Apache-2.0
"""Small ONNX graphs for the engines that read them."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 10


def causal_mask(rows):
    return np.triu(np.full((1, 1, rows, rows), -1e9, np.float32), 1)


class Graph:
    """Inputs with values in .inputs, nodes, outputs. rank is a reminder only: contrib ops want 3."""

    def __init__(self, opset=None, rank=None):
        self.opset, self.rank = opset, rank
        self.inputs, self._infos, self._nodes, self._outputs, self._constants = {}, [], [], [], []
        self._random, self._contrib, self._count = np.random.default_rng(0), False, 0

    def _name(self):
        self._count += 1
        return f"t{self._count}"

    def input(self, name, *shape):
        self.inputs[name] = self._random.standard_normal(shape, dtype=np.float32)
        self._infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def feed(self, name, values):
        self.inputs[name] = np.ascontiguousarray(values, np.float32)
        self._infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))
        return name

    def integers(self, name, values, shape):
        self.inputs[name] = np.array(values, np.int32).reshape(shape)
        self._infos.append(helper.make_tensor_value_info(name, TensorProto.INT32, shape))
        return name

    def value(self, array):
        name = self._name()
        self._constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def constant(self, name, *shape):
        array = self._random.standard_normal(shape, dtype=np.float32)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def lengths(self, *values):
        name = self._name()
        self._constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def node(self, kind, operands, **attributes):
        return self.nodes(kind, operands, 1, **attributes)[0]

    def nodes(self, kind, operands, used, contrib=False, **attributes):
        """used: how many outputs, or a flag for each: is it read?"""
        used = [True] * used if isinstance(used, int) else used
        names = [self._name() if one else "" for one in used]
        domain = {"domain": "com.microsoft"} if contrib else {}
        self._contrib = self._contrib or contrib
        self._nodes.append(helper.make_node(kind, operands, names, **domain, **attributes))
        return names

    def output(self, kind, operands, *shape, contrib=False, **attributes):
        return self.outputs(kind, operands, [shape], contrib, **attributes)[0]

    def outputs(self, kind, operands, shapes, contrib=False, **attributes):
        """None among the shapes: an output that nobody reads."""
        names = self.nodes(kind, operands, [bool(shape) for shape in shapes], contrib, **attributes)
        self._outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                          for name, shape in zip(names, shapes) if shape]
        return names

    def _default_opset(self):
        kinds = {node.op_type for node in self._nodes}
        return 23 if kinds & {"RMSNormalization", "Attention"} else 17

    def model(self):
        """Serialised."""
        opsets = [helper.make_opsetid("", self.opset or self._default_opset())]
        if self._contrib:
            opsets.append(helper.make_opsetid("com.microsoft", 1))
        graph = helper.make_graph(self._nodes, "g", self._infos, self._outputs, self._constants)
        return helper.make_model(graph, opset_imports=opsets,
                                 ir_version=IR_VERSION).SerializeToString()
