"""Small weights that share one variable per optimizer slot.

A model has hundreds of gains and biases. A variable, and the operations of an update, for each of
them would take longer to create than the rest of the optimizer.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf


class Packing:
    """Which weights share a slot: all of rank 1, one after the other. Others have their own.

    Args:
      weights: the model's weights, in the optimizer's order.

    Attributes:
      groups: the indices of the weights that share a slot, group by group.
    """

    def __init__(self, weights: Sequence[keras.Variable]):
        self._weights = weights
        rank = {index: len(weight.shape) for index, weight in enumerate(weights)}
        vectors = tuple(index for index in rank if rank[index] == 1)
        groups: list[tuple[int, ...]] = [(index,) for index in rank if rank[index] != 1]
        self.groups: list[tuple[int, ...]] = [vectors, *groups] if vectors else groups

    def add_slots(self, optimizer: keras.optimizers.Optimizer, name: str) -> list[keras.Variable]:
        """A new variable of an optimizer for each group, zero."""
        slots = []
        for group in self.groups:
            weights = [self._weights[index] for index in group]
            if len(weights) == 1:
                slots.append(optimizer.add_variable_from_reference(weights[0], name))
            else:
                size = sum(weight.shape[0] for weight in weights)
                slots.append(optimizer.add_variable((size,), name=f"vectors_{name}"))
        return slots

    def unpack(self, slots: Sequence[keras.Variable]) -> list[tf.Tensor]:
        """The values of the slots of one kind, one for each weight."""
        values: dict[int, tf.Tensor] = {}
        for group, slot in zip(self.groups, slots, strict=True):
            sizes = [self._weights[index].shape[0] for index in group]
            parts = split(tf.convert_to_tensor(slot.value), sizes)
            values.update(zip(group, parts, strict=True))
        return [values[index] for index in sorted(values)]

    def assign(self, slots: Sequence[keras.Variable], values: Sequence[tf.Tensor]) -> None:
        """Sets the slots of one kind to values, one for each weight."""
        for group, slot in zip(self.groups, slots, strict=True):
            slot.assign(join([values[index] for index in group]))


def join(tensors: Sequence) -> tf.Tensor:
    """The tensors of a group as one: a single one as it is, vectors one after the other."""
    return tf.concat(tensors, axis=0) if len(tensors) > 1 else tf.convert_to_tensor(tensors[0])


def split(tensor: tf.Tensor, sizes: Sequence[int]) -> list[tf.Tensor]:
    """The inverse of `join`, for tensors of these lengths."""
    return tf.split(tensor, sizes) if len(sizes) > 1 else [tensor]
