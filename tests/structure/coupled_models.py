"""Small models that between them use every construct through which channels run, each by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_BUILDERS: dict[str, Callable[[Any, Any], Any]] = {}


def _model(build: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    _BUILDERS[build.__name__] = build
    return build


def names() -> list[str]:
    """The names of all models."""
    return list(_BUILDERS)


def built(name: str) -> Any:
    """A new model."""
    import keras

    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)
    return _BUILDERS[name](keras, keras.layers)


# Recurrent layers


@_model
def sequences(keras, layers):
    """All kinds of recurrent layers after each other, forwards and backwards."""
    x = inputs = keras.Input((4, 3))
    x = layers.SimpleRNN(4, return_sequences=True, name="simple")(x)
    x = layers.GRU(4, return_sequences=True, name="gru")(x)
    x = layers.GRU(3, reset_after=False, go_backwards=True, return_sequences=True, name="old_gru")(x)
    x = layers.LSTM(4, return_sequences=True, name="lstm", use_bias=False)(x)
    x = layers.LSTM(3, name="last", unroll=True)(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def stateful(keras, layers):
    """Layers that remember their states."""
    x = inputs = keras.Input(batch_shape=(3, 4, 3))
    x = layers.LSTM(4, stateful=True, return_sequences=True, name="lstm")(x)
    x = layers.GRU(4, stateful=True, name="gru")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def states(keras, layers):
    """An encoder whose states a decoder begins with, and states that a Dense makes."""
    source, target = keras.Input((4, 3), name="source"), keras.Input((5, 2), name="target")
    x, hidden, carry = layers.LSTM(4, return_state=True, return_sequences=True, name="encode")(source)
    y = layers.LSTM(4, return_sequences=True, name="decode")(target, initial_state=[hidden, carry])
    first = layers.Dense(3, activation="tanh", name="first")(carry)
    y, last = layers.GRU(3, return_state=True, name="gru")(y, initial_state=first)
    return keras.Model([source, target], layers.Dense(2, name="head")(layers.Concatenate()([y, last, x[:, 0]])))


@_model
def masks(keras, layers):
    """A mask of tokens, which runs with the tensors."""
    x = inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(6, 4, mask_zero=True, name="embed")(x)
    x = layers.LSTM(4, return_sequences=True, name="lstm")(x)
    x = layers.Bidirectional(layers.GRU(3), name="both")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def masked_steps(keras, layers):
    """A Masking layer on channels."""
    x = inputs = keras.Input((4, 3))
    x = layers.Dense(4, activation="relu", name="make")(x)
    x = layers.Masking(name="mask")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.LSTM(3, name="lstm")(x)))


@_model
def cells(keras, layers):
    """RNN layers around cells and stacks of them, with and without states."""
    x = inputs = keras.Input((4, 3))
    x = layers.RNN(layers.LSTMCell(4, name="cell"), return_sequences=True, name="one")(x)
    stack = [layers.LSTMCell(4, name="low"), layers.GRUCell(3, name="mid"), layers.SimpleRNNCell(3, name="top")]
    x = layers.RNN(stack, return_sequences=True, name="pile")(x)
    x, state = layers.RNN(layers.GRUCell(3, name="cell"), return_state=True, name="kept")(x)
    x = layers.RNN(layers.GRUCell(3, name="cell"), name="given")(layers.RepeatVector(2)(x), initial_state=state)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def bare_cell(keras, layers):
    """A cell that is called by itself."""
    inputs = keras.Input((3,))
    hidden = layers.Dense(4, name="hidden")(inputs)
    x, _ = layers.LSTMCell(4, name="cell")(inputs, [hidden, hidden])
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def directions(keras, layers):
    """Bidirectional layers that merge in each way, with a backward layer of their own and without."""
    x = inputs = keras.Input((4, 3))
    for mode in ("concat", "sum", "mul", "ave"):
        x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode=mode, name=mode)(x)
    forward, backward = layers.GRU(3, return_sequences=True), layers.LSTM(3, return_sequences=True, go_backwards=True)
    x = layers.Bidirectional(forward, backward_layer=backward, name="unlike")(x)
    x, y = layers.Bidirectional(layers.SimpleRNN(3), merge_mode=None, name="apart")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Concatenate()([y, x, y])))


@_model
def directions_with_states(keras, layers):
    """The states of both directions, from a Dense and to another layer."""
    x = inputs = keras.Input((4, 3))
    first = [layers.Dense(3, name=f"first_{number}")(x[:, 0]) for number in range(2)]
    both = layers.Bidirectional(layers.GRU(3, return_state=True, return_sequences=True), name="both")
    x, ahead, back = both(x, initial_state=first)
    x = layers.Bidirectional(layers.GRU(3), name="then")(x, initial_state=[ahead, back])
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def moving_images(keras, layers):
    """ConvLSTM in one, two and three dimensions, with states and in both directions."""
    x = inputs = keras.Input((2, 4, 4, 4, 2))
    x = layers.ConvLSTM3D(3, 2, return_sequences=True, name="three")(x)
    x = layers.Reshape((2, 9, 3, 3))(x)
    x = layers.Bidirectional(layers.ConvLSTM2D(3, 2, return_sequences=True), name="two")(x)
    x = layers.Reshape((2, 16, 6))(x)
    x, hidden, _ = layers.ConvLSTM1D(3, 2, padding="same", return_state=True, name="one")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x + hidden)))


@_model
def each_step(keras, layers):
    """TimeDistributed layers, wrappers and models."""
    x = inputs = keras.Input((3, 4, 4, 2))
    x = layers.TimeDistributed(layers.Conv2D(4, 2, name="conv"), name="convs")(x)
    x = layers.TimeDistributed(layers.TimeDistributed(layers.Dense(4, name="dense"), name="rows"), name="images")(x)
    image = keras.Input((3, 3, 4))
    y = layers.Conv2D(4, 1, name="inner")(image)
    y = layers.BatchNormalization(name="norm")(y + image)
    tail = keras.Sequential([layers.Flatten(), layers.Dense(4, name="inmost")], name="tail")
    model = keras.Model(image, tail(y), name="model")
    x = layers.TimeDistributed(model, name="models")(x)
    x = layers.TimeDistributed(keras.Sequential([layers.Dense(3, name="late")], name="short"), name="shorts")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


# Attention


@_model
def heads(keras, layers):
    """Multi-head attention in all its forms: cross attention, other sizes, a gate, scores, higher ranks."""
    query, value = keras.Input((4, 6), name="query"), keras.Input((3, 6), name="value")
    x = layers.Dense(6, name="before")(query)
    x = layers.MultiHeadAttention(3, 4, name="plain")(x, x)
    key = layers.Dense(4, name="keys")(value)
    x = layers.MultiHeadAttention(2, 3, value_dim=4, output_shape=5, use_gate=True, name="cross")(x, value, key)
    x, scores = layers.MultiHeadAttention(3, 3, use_bias=False, name="scored")(x, x, return_attention_scores=True)
    x = layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(layers.Permute((2, 3, 1))(scores))])
    return keras.Model([query, value], layers.Dense(2, name="head")(x))


@_model
def higher_heads(keras, layers):
    """Multi-head attention over two axes of an image, and over one of them, with several axes of output."""
    x = inputs = keras.Input((3, 2, 4))
    x = layers.MultiHeadAttention(2, 3, name="image")(x, x)
    x = layers.MultiHeadAttention(2, 3, attention_axes=(2,), name="row")(x, x)
    x = layers.MultiHeadAttention(2, 3, output_shape=(2, 3), name="wide")(x, x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))


@_model
def grouped_heads(keras, layers):
    """Query heads that share keys and values: more groups than heads in one, fewer, and one."""
    x = inputs = keras.Input((4, 6))
    x = layers.Dense(6, name="before")(x)
    x = layers.GroupQueryAttention(3, 4, 2, name="groups")(x, x)
    x = layers.GroupQueryAttention(3, 6, 2, use_gate=True, name="members")(x, x)
    x, scores = layers.GroupQueryAttention(4, 3, 1, name="one")(x, x, return_attention_scores=True)
    x = layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(scores)])
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def plain_attention(keras, layers):
    """Attention without heads, with and without a scale, of a query, a value and a key."""
    query, value = keras.Input((4, 3), name="query"), keras.Input((5, 3), name="value")
    q = layers.Dense(4, name="q")(query)
    k, v = layers.Dense(4, name="k")(value), layers.Dense(3, name="v")(value)
    x = layers.Attention(use_scale=True, name="dot")([q, v, k])
    x = layers.AdditiveAttention(name="additive")([layers.Dense(4, name="again")(x), k])
    x = layers.Attention(score_mode="concat", name="concat")([x, k])
    x, scores = layers.Attention(name="scored")([x, k], return_attention_scores=True)
    return keras.Model([query, value], layers.Dense(2, name="head")(layers.Concatenate()([x, scores])))


@_model
def unscaled_attention(keras, layers):
    """Additive attention without weights, and the attention of tensors that are not 0 where a unit has no weights."""
    query, value = keras.Input((4, 3), name="query"), keras.Input((5, 3), name="value")
    q = layers.Dense(4, activation="sigmoid", name="q")(query)
    k, v = layers.Dense(4, activation="sigmoid", name="k")(value), layers.Dense(3, name="v")(value)
    x = layers.AdditiveAttention(use_scale=False, name="additive")([q, v, k])
    return keras.Model([query, value], layers.Dense(2, name="head")(x))


@_model
def equations(keras, layers):
    """EinsumDense by all kinds of equations.

    Keras adds a bias of shape (4, 1) along the wrong axis of (…, 4, 4), so the extents are unlike.
    """
    x = inputs = keras.Input((4, 6))
    x = layers.EinsumDense("abc,cde->abde", output_shape=(4, 2, 3), bias_axes="de", name="split")(x)
    x = layers.EinsumDense("abde,dec->abc", output_shape=(4, 5), bias_axes="c", name="join")(x)
    x = layers.EinsumDense("...x,xy->...y", output_shape=4, bias_axes="y", name="last")(x)
    x = layers.EinsumDense("abc,cbd->abd", output_shape=(4, 3), bias_axes="bd", name="each")(x)
    x = layers.EinsumDense("abc,cd->adb", output_shape=(6, 4), bias_axes="d", name="turned")(x)
    x = layers.EinsumDense("abc,db->adc", output_shape=(3, 4), name="other")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))
