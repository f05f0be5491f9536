"""Canonical paths are promised: random streams and plans depend on them. A change here breaks users."""

from __future__ import annotations

import pytest

from tests.model.conftest import Zoo

GOLDEN = {
    "sequential": """conv2d/kernel conv2d/bias batch_normalization/gamma batch_normalization/beta
        batch_normalization/moving_mean batch_normalization/moving_variance dense/kernel dense/bias dense_1/kernel""",
    "nested": """encoder/dense_4/kernel encoder/dense_4/bias encoder/dense_3/kernel encoder/dense_3/bias
        head/dense/kernel head/dense/bias head/dense_1/kernel head/dense_1/bias dense_2/kernel dense_2/bias""",
    "shared_with_nested": "inner/shared/kernel inner/shared/bias dense/kernel dense/bias",
    "bidirectional": """bidirectional/forward_lstm/kernel bidirectional/forward_lstm/recurrent_kernel
        bidirectional/forward_lstm/bias bidirectional/backward_lstm/kernel bidirectional/backward_lstm/recurrent_kernel
        bidirectional/backward_lstm/bias both/forward_gates/kernel both/forward_gates/recurrent_kernel
        both/forward_gates/bias both/backward_gates/kernel both/backward_gates/recurrent_kernel both/backward_gates/bias
        bidirectional_1/forward_lstm_1/kernel bidirectional_1/forward_lstm_1/recurrent_kernel
        bidirectional_1/forward_lstm_1/bias bidirectional_1/gru/kernel bidirectional_1/gru/recurrent_kernel
        bidirectional_1/gru/bias dense/kernel dense/bias""",
    "stacked_cells": """rnn/stacked_rnn_cells/lstm_cell/kernel rnn/stacked_rnn_cells/lstm_cell/recurrent_kernel
        rnn/stacked_rnn_cells/lstm_cell/bias rnn/stacked_rnn_cells/middle/kernel
        rnn/stacked_rnn_cells/middle/recurrent_kernel rnn/stacked_rnn_cells/middle/bias
        rnn/stacked_rnn_cells/lstm_cell_1/kernel rnn/stacked_rnn_cells/lstm_cell_1/recurrent_kernel
        rnn/stacked_rnn_cells/lstm_cell_1/bias dense/kernel dense/bias""",
    "time_distributed": """time_distributed/dense/kernel time_distributed/dense/bias
        again/bidirectional/forward_lstm/kernel again/bidirectional/forward_lstm/recurrent_kernel
        again/bidirectional/forward_lstm/bias again/bidirectional/backward_lstm/kernel
        again/bidirectional/backward_lstm/recurrent_kernel again/bidirectional/backward_lstm/bias
        time_distributed_1/tail/dense/kernel time_distributed_1/tail/dense/bias
        time_distributed_1/tail/batch_normalization/gamma time_distributed_1/tail/batch_normalization/beta
        time_distributed_1/tail/batch_normalization/moving_mean
        time_distributed_1/tail/batch_normalization/moving_variance""",
    "transformer": """mha/query/kernel mha/query/bias mha/key/kernel mha/key/bias mha/value/kernel mha/value/bias
        mha/attention_output/kernel mha/attention_output/bias first_norm/gamma first_norm/beta up/kernel up/bias
        down/kernel down/bias second_norm/gamma second_norm/beta""",
    "quantized_int8": """embedding/embeddings embedding/embeddings_scale einsum_dense/kernel einsum_dense/bias
        einsum_dense/kernel_scale dense_1/kernel dense_1/bias dense_1/kernel_scale dense/kernel dense/kernel_scale
        layer_normalization/gamma layer_normalization/beta""",
    "custom_layer": """dense/kernel dense/bias gate/var0 gate/var1 gate/also_project/var0 gate/also_project/var1
        gate/stack/dense/var0 gate/stack/dense/var1 gate/stack/dense_1/var0 gate/stack/dense_1/var1 small/var0
        small/var1 small/also_project/var0 small/also_project/var1 small/stack/dense/var0 small/stack/dense/var1
        small/stack/dense_1/var0 small/stack/dense_1/var1 dense_7/kernel dense_7/bias""",
    "subclassed": """self/var0 blocks/batch_normalization/var0 blocks/batch_normalization/var1
        blocks/batch_normalization/var2 blocks/batch_normalization/var3 blocks/dense/var0 blocks/dense/var1
        blocks/dense_1/var0 blocks/dense_1/var1 first/var0 first/var1 gate/var0 gate/var1 gate/also_project/var0
        gate/also_project/var1 gate/stack/dense/var0 gate/stack/dense/var1 gate/stack/dense_1/var0
        gate/stack/dense_1/var1 heads/dense/var0 heads/dense/var1""",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_paths_of_a_model_are_these(zoo: Zoo, name: str) -> None:
    spec = zoo[name].live.spec
    assert [tensor.path for tensor in spec.tensors] == GOLDEN[name].split()
    assert all(tensor.origin == tensor.path for tensor in spec.tensors)


def test_a_layer_that_two_models_share_is_one_tensor_with_an_alias(zoo: Zoo) -> None:
    spec = zoo["shared_with_nested"].live.spec
    assert spec.tensor_by_path["inner/shared/kernel"].aliases == ("shared/kernel",)
    assert spec.tensor_by_path["shared/kernel"].path == "inner/shared/kernel"
    assert spec.layer_by_path["shared"].path == "inner/shared"
