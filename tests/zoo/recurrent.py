"""Recurrent layers, cells and wrappers."""

from __future__ import annotations

__all__ = [
    "bidirectional",
    "conv_lstm",
    "gru",
    "initial_state",
    "rnn_cell",
    "stacked_cells",
    "time_distributed",
    "wrapped_cells",
]


def bidirectional():
    """Bidirectional layers: with automatic and given names, and with a backward layer of their own."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.Bidirectional(layers.GRU(2, return_sequences=True, name="gates"), merge_mode="sum", name="both"),
            layers.Bidirectional(layers.LSTM(3), backward_layer=layers.GRU(3, go_backwards=True)),
            layers.Dense(1),
        ]
    )


def gru():
    """GRU with two biases and with one, LSTM without, and dropout (which adds seeds)."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.GRU(4, return_sequences=True, dropout=0.1, recurrent_dropout=0.1),
            layers.GRU(3, return_sequences=True, reset_after=False),
            layers.LSTM(3, return_sequences=True, use_bias=False),
            layers.SimpleRNN(2, dropout=0.2),
        ]
    )


def stacked_cells():
    """An RNN over a stack of cells: two of one class, one of another."""
    import keras

    layers = keras.layers
    cells = [layers.LSTMCell(4), layers.GRUCell(3, name="middle"), layers.LSTMCell(2)]
    return keras.Sequential([keras.Input((5, 3)), layers.RNN(cells), layers.Dense(1)])


def rnn_cell():
    """RNN layers around single cells."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.RNN(layers.LSTMCell(4), return_sequences=True),
            layers.RNN(layers.SimpleRNNCell(2, name="simple"), name="outer", return_sequences=True),
            layers.RNN(layers.StackedRNNCells([layers.GRUCell(2), layers.GRUCell(3)], name="pile")),
        ]
    )


def conv_lstm():
    """Convolutional LSTMs in one, two and three dimensions."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((3, 4, 4, 2)),
            layers.ConvLSTM2D(2, 2, return_sequences=True),
            layers.Reshape((3, 9, 2)),
            layers.ConvLSTM1D(2, 2, return_sequences=True),
            layers.Reshape((2, 2, 2, 2, 3)),
            layers.ConvLSTM3D(1, 1),
        ]
    )


def time_distributed():
    """Wrapped layers, a wrapped wrapper, and a wrapped model."""
    import keras

    layers = keras.layers
    tail = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.BatchNormalization()], name="tail")
    return keras.Sequential(
        [
            keras.Input((4, 5, 6)),
            layers.TimeDistributed(layers.Dense(4, name="dense")),
            layers.TimeDistributed(layers.Bidirectional(layers.LSTM(3), merge_mode="ave"), name="again"),
            layers.TimeDistributed(tail),
        ]
    )


def initial_state():
    """An encoder and a decoder: states as keyword arguments, and a layer with several outputs."""
    import keras

    layers = keras.layers
    source, target = keras.Input((4, 3), name="source"), keras.Input((5, 2), name="target")
    _, hidden, carry = layers.LSTM(4, return_state=True, name="encode")(source)
    x = layers.LSTM(4, return_sequences=True, name="decode")(target, initial_state=[hidden, carry])
    x = layers.GRU(4, name="summary")(x, initial_state=hidden)
    return keras.Model([source, target], layers.Dense(2, name="head")(x))


def wrapped_cells():
    """Wrappers around RNN layers around cells, and wrappers around wrappers."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Bidirectional(layers.RNN(layers.LSTMCell(2), return_sequences=True)),
            layers.Bidirectional(layers.RNN([layers.GRUCell(2), layers.SimpleRNNCell(3)], return_sequences=True)),
            layers.Reshape((2, 2, 6)),
            layers.TimeDistributed(layers.TimeDistributed(layers.Dense(2))),
        ]
    )
