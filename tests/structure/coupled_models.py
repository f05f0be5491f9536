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
    """Masking layers on channels that are 0 without weights, and on others."""
    x = inputs = keras.Input((4, 3))
    x = layers.Dense(4, activation="relu", name="make")(x)
    x = layers.Masking(name="mask")(x)
    x = layers.LSTM(3, name="lstm", return_sequences=True)(x)
    y = layers.Masking(name="half")(layers.Dense(4, activation="sigmoid", name="positive")(inputs))
    z = layers.Masking(1.0, name="one")(layers.Dense(4, activation="relu", name="ones")(inputs))
    x = layers.Concatenate()([x, layers.GRU(3, name="gru", return_sequences=True)(y), z])
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


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


# Operations


@_model
def arithmetic(keras, layers):
    """Operations entry by entry: with numbers, with tensors that are repeated, with conditions."""
    ops = keras.ops
    inputs = keras.Input((4, 3))
    x, y = layers.Dense(4, name="x")(inputs), layers.Dense(4, name="y")(inputs)
    gate = layers.Dense(1, activation="sigmoid", name="gate")(inputs)
    x = ops.relu(x * 2.0 + y) * gate - ops.mean(y, axis=1, keepdims=True)
    x = ops.where(x > 0.1, x, 0.5 * x) + 1 / (ops.exp(-y) + 1.0)
    z = layers.Dense(4, name="z")(x)
    z = ops.maximum(z, ops.tanh(z)) ** 2 + ops.clip(z, -0.5, 0.5) + ops.cast(ops.sign(z), "float32") / 2
    return keras.Model(inputs, layers.Dense(2, name="head")(z))


@_model
def items(keras, layers):
    """Parts of tensors by slices, from the beginning and the end, and by numbers of other axes."""
    inputs = keras.Input((4, 3))
    x = layers.Dense(6, name="x")(inputs)
    first, middle, last = x[:, :, :2], x[..., 2:-2], x[:, 1:, -2:]
    y = layers.Dense(4, name="y")(middle[:, 0])
    z = keras.ops.concatenate([first[:, 1], y, last[:, 0, :], x[:, None, ::2, :][:, 0, 0]], axis=-1)
    return keras.Model(inputs, layers.Dense(2, name="head")(z))


@_model
def strides(keras, layers):
    """Parts of channels that no other number of them would give."""
    inputs = keras.Input((4,))
    x, y = layers.Dense(6, name="every_second")(inputs), layers.Dense(6, name="one")(inputs)
    x = keras.ops.concatenate([x[:, ::2], y[:, 3:4], y[:, 0, None]], axis=-1)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def splits(keras, layers):
    """Splits into equal parts and at numbers; parts that are stacked, and stacks that are taken apart."""
    ops = keras.ops
    inputs = keras.Input((4, 3))
    x = layers.Dense(6, name="x")(inputs)
    a, b = ops.split(x, 2, axis=-1)
    c, d, e = ops.split(layers.Dense(6, name="y")(inputs), [1, 4], axis=2)
    pair = ops.stack([a, b], axis=2)
    one, other = ops.unstack(pair, axis=2)
    x = ops.concatenate([one * other, c, d, e, ops.max(pair, axis=2)], axis=-1)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def orders(keras, layers):
    """Axes in other orders."""
    ops = keras.ops
    inputs = keras.Input((3, 2, 3))
    x = layers.Dense(4, name="x")(inputs)
    x = ops.transpose(x, (0, 3, 1, 2))
    x = ops.swapaxes(x, 1, -1)
    x = ops.moveaxis(x, -1, 1)
    x = ops.moveaxis(x, (1, 2), (3, 1))
    x = ops.squeeze(ops.expand_dims(x, 1), axis=1)
    x = ops.flip(x, axis=1)
    x = layers.Dense(3, name="y")(x)
    x = ops.reshape(x, (-1, 6, 3))
    x = ops.repeat(x, 2, axis=1)
    x = ops.tile(x, (1, 2, 1))
    x = ops.pad(x, [[0, 0], [1, 0], [0, 0]])
    x = ops.take(x, ops.convert_to_tensor([0, 2, 1]), axis=1)
    return keras.Model(inputs, layers.Dense(2, name="head")(ops.reshape(x, (-1, 9))))


@_model
def copies(keras, layers):
    """Channels that are repeated: each in a row, and all after each other."""
    ops = keras.ops
    inputs = keras.Input((4,))
    x, y = layers.Dense(4, name="x")(inputs), layers.Dense(4, name="y")(inputs)
    x = ops.concatenate([ops.repeat(x, 2, axis=-1), ops.tile(y, (1, 3))], axis=-1)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@_model
def sums(keras, layers):
    """Means and sums over other axes, and over channels."""
    ops = keras.ops
    inputs = keras.Input((4, 3))
    x, y, z = (layers.Dense(4, name=name)(inputs) for name in "xyz")
    sigmoid = layers.Dense(4, activation="sigmoid", name="sigmoid")(inputs)
    x = ops.mean(x, axis=1) + ops.sum(x, axis=(1,)) + ops.max(x, axis=1) + ops.var(x, axis=-2)
    total = ops.sum(y, axis=-1) + ops.mean(z, axis=2)
    other = ops.sum(sigmoid, axis=-1)
    return keras.Model(inputs, layers.Dense(2, name="head")(ops.concatenate([x, total, other], axis=-1)))


@_model
def products(keras, layers):
    """Attention by hand: products of matrices, and einsum by its equation."""
    ops = keras.ops
    inputs = keras.Input((4, 3))
    q, k, v = (layers.Dense(4, name=name)(inputs) for name in "qkv")
    x = ops.matmul(ops.softmax(ops.matmul(q, ops.transpose(k, (0, 2, 1))), axis=-1), v)
    a, b, c = (layers.Dense(4, name=name)(x) for name in "abc")
    scores = ops.einsum("btd,bsd->bts", a, b)
    x = ops.einsum("bts,bsd->btd", scores, c)
    x = ops.matmul(x, keras.ops.swapaxes(layers.Dense(4, activation="softplus", name="e")(x), -1, -2))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))


@_model
def functions(keras, layers):
    """Operations on images and norms, as ops."""
    ops = keras.ops
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 2, name="x")(inputs)
    x = ops.max_pool(x, 2, 1)
    x = ops.average_pool(x, 2, 1)
    x = ops.nn.silu(x)
    x = ops.leaky_relu(x)
    y = layers.Conv2D(4, 1, name="y")(x)
    z = layers.Conv2D(4, 1, name="z")(x)
    y = ops.softmax(y, axis=1)
    z = ops.normalize(z, axis=-1)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(ops.concatenate([y, z], axis=-1))))


@_model
def shuffled(keras, layers):
    """A channel shuffle, as in ShuffleNet, between grouped convolutions."""
    x = inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(8, 1, name="stem")(x)
    x = layers.Conv2D(8, 1, groups=2, name="first")(x)
    x = layers.Reshape((4, 4, 2, 4))(x)
    x = layers.Permute((1, 2, 4, 3))(x)
    x = layers.Reshape((4, 4, 8))(x)
    x = layers.Conv2D(8, 1, groups=2, name="second")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x)))


@_model
def constants(keras, layers):
    """Arrays in arguments: along channels, and along other axes."""
    import numpy as np

    inputs = keras.Input((4, 3))
    x, y = layers.Dense(4, name="free")(inputs), layers.Dense(4, name="scaled")(inputs)
    x = x * np.arange(4, dtype="float32")[:, None]
    y = y * np.arange(4, dtype="float32")
    z = keras.ops.matmul(layers.Dense(4, name="projected")(inputs), np.ones((4, 2), "float32"))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Concatenate()([x, y, z])))


@_model
def padded(keras, layers):
    """A shortcut that is padded with channels of zeros, as in the first ResNets."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(3, 1, name="few")(inputs)
    y = layers.Conv2D(5, 1, name="many")(x)
    x = keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [1, 1]]) + y
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalMaxPooling2D()(x)))


# Tables of tokens, quantised layers, adapters, statistics


@_model
def tied_embedding(keras, layers):
    """A table of tokens that the output is compared with, and one with a table of its own for that."""
    inputs = keras.Input((4,), dtype="int32")
    tied = layers.ReversibleEmbedding(6, 5, name="tied")
    untied = layers.ReversibleEmbedding(6, 5, tie_weights=False, name="untied")
    x, y = tied(inputs), untied(inputs)
    x = layers.Dense(5, name="mix")(x)
    return keras.Model(inputs, [tied(x, reverse=True), untied(layers.Dense(5, name="own")(y), reverse=True)])


@_model
def spectral(keras, layers):
    """Layers of which the largest singular value is 1."""
    x = inputs = keras.Input((4, 4, 3))
    x = layers.SpectralNormalization(layers.Conv2D(4, 2, name="conv"), name="image")(x)
    x = layers.SpectralNormalization(layers.Conv2DTranspose(4, 2, name="turned"), name="wide")(x)
    x = layers.SpectralNormalization(layers.Dense(4, name="dense"), name="flat")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x)))


@_model
def whole_numbers(keras, layers):
    """All layers that Keras quantises to int8."""
    inputs = keras.Input((4,), dtype="int32")
    x = layers.Embedding(6, 5, name="embed")(inputs)
    x = layers.EinsumDense("abc,cde->abde", output_shape=(4, 2, 3), bias_axes="de", name="split")(x)
    x = layers.EinsumDense("abde,dec->abc", output_shape=(4, 5), bias_axes="c", name="join")(x)
    x = layers.Dense(4, activation="gelu", name="dense")(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(layers.Dense(3, name="last", activation="sigmoid")(x)))
    model.quantize("int8")
    return model


@_model
def adapters(keras, layers):
    """LoRA: a product of two thin matrices is added to a kernel."""
    inputs = keras.Input((4,), dtype="int32")
    x = layers.Embedding(6, 5, name="embed")(inputs)
    x = layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de", name="split")(x)
    x = layers.EinsumDense("abde,dec->abc", output_shape=(None, 5), bias_axes="c", name="join")(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(layers.Dense(4, name="dense")(x)))
    for name in ("embed", "split", "join", "dense", "head"):
        model.get_layer(name).enable_lora(2)
    return model


@_model
def statistics(keras, layers):
    """Means and variances that are weights, arguments for each channel, and one argument for all."""
    x = inputs = keras.Input((3,))
    x = layers.Dense(4, name="weights")(x)
    x = layers.Normalization(name="adapted")(x)
    x = layers.Dense(4, name="arguments")(x)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0], name="given")(x)
    x = layers.Dense(4, name="numbers")(x)
    x = layers.Normalization(axis=None, mean=0.5, variance=2.0, name="one")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


# Images, and layers of other kinds


@_model
def images(keras, layers):
    """Layers that give images another size, and augmentations, which do nothing when a model predicts."""
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 2, name="conv")(x)
    x = layers.ZeroPadding2D(1)(layers.Cropping2D(1)(layers.UpSampling2D(2)(x)))
    x = layers.CenterCrop(6, 6)(layers.Resizing(8, 8)(x))
    x = layers.RandomTranslation(0.1, 0.1)(layers.RandomZoom(0.1)(layers.RandomRotation(0.1)(layers.RandomFlip()(x))))
    x = layers.SpatialDropout2D(0.1)(layers.GaussianNoise(0.1)(x))
    x = layers.PReLU(shared_axes=[1, 2], name="slopes")(x)
    x = layers.PReLU(name="each")(layers.MaxPooling2D(2)(x))
    x = layers.Rescaling(0.5)(layers.LeakyReLU()(layers.ELU()(x)))
    x = layers.UnitNormalization(axis=-1, name="unit")(x)
    x = layers.ActivityRegularization(0.1)(layers.AveragePooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalMaxPooling2D(keepdims=True)(x)))


@_model
def opaque(keras, layers):
    """Layers of which nobody can know how they treat channels."""
    inputs = keras.Input((6, 6, 3))
    a, b = (layers.Conv2D(3, 2, name=name)(inputs) for name in ("for_colours", "free"))
    x = layers.Concatenate()([layers.RandomHue(0.1, name="colours")(a), b])
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalMaxPooling2D()(x)))


@_model
def merged(keras, layers):
    """All layers that merge tensors; one of them has a single channel, which is repeated."""
    inputs = keras.Input((4, 3))
    made = [layers.Dense(4, name=f"dense_{number}")(inputs) for number in range(6)]
    one = layers.Dense(1, activation="sigmoid", name="one")(inputs)
    x = layers.Add()([made[0], layers.Subtract()([made[1], made[2]])])
    x = layers.Multiply()([layers.Average()([x, made[3]]), one])
    x = layers.Maximum()([x, layers.Minimum()([made[4], made[5]])])
    x = layers.Concatenate(axis=1)([x, x])
    y, z = layers.Dense(4, name="y")(x), layers.Dense(4, name="z")(inputs)
    x = layers.Dot((2, 2), name="dot")([y, z])
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))


@_model
def normalized(keras, layers):
    """Normalisations: of each channel, of groups, of all channels; a softmax as a layer and as an activation."""
    x = inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(4, 1, name="each", use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.Conv2D(6, 1, name="group", activation="relu")(x)
    x = layers.GroupNormalization(2, name="groups")(x)
    x = layers.Conv2D(4, 1, name="single")(x)
    x = layers.GroupNormalization(-1, name="instances")(x)
    x = layers.Conv2D(4, 1, name="layer")(x)
    x = layers.LayerNormalization(name="all")(x)
    x = layers.Conv2D(4, 1, name="rms")(x)
    x = layers.RMSNormalization(name="root")(x)
    x = layers.Conv2D(4, 1, name="softmax", activation="softmax")(x)
    x = layers.Softmax(name="exponents")(layers.Conv2D(4, 1, name="logits")(x))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))


@_model
def one_dimension(keras, layers):
    """Convolutions of a sequence: separable, depthwise, transposed, causal, dilated, in groups."""
    x = inputs = keras.Input((9, 3))
    x = layers.Conv1D(6, 2, padding="causal", dilation_rate=2, name="causal")(x)
    x = layers.Conv1D(6, 2, groups=3, name="grouped")(x)
    x = layers.SeparableConv1D(4, 2, depth_multiplier=2, name="separable")(x)
    x = layers.DepthwiseConv1D(2, depth_multiplier=2, name="depthwise")(x)
    x = layers.Conv1DTranspose(4, 2, strides=2, name="transposed")(x)
    x = layers.AdaptiveAveragePooling1D(3)(layers.AdaptiveMaxPooling1D(6)(x))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.RepeatVector(2)(x)))


@_model
def volumes(keras, layers):
    """Convolutions in three dimensions."""
    x = inputs = keras.Input((4, 4, 4, 2))
    x = layers.Conv3D(4, 2, name="conv")(x)
    x = layers.UpSampling3D(2)(layers.Cropping3D(1)(layers.ZeroPadding3D(1)(x)))
    x = layers.Conv3DTranspose(4, 2, strides=2, name="transposed")(layers.AveragePooling3D(3)(x))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalMaxPooling3D()(x)))


# Whole networks


@_model
def nested(keras, layers):
    """Models in models: called twice, with and without an InputLayer, with several inputs and outputs."""
    left, right = keras.Input((4, 3), name="left"), keras.Input((4, 3), name="right")
    sequence = keras.Input((4, 5))
    y = layers.Dense(4, name="inner")(sequence)
    pair = keras.Model(sequence, [y, layers.Dense(4, name="other")(y)], name="pair")
    stem = keras.Sequential([layers.Dense(6, activation="relu"), layers.Dense(5, name="out")], name="stem")
    shared = layers.Dense(5, name="shared")
    a, b = pair(stem(left))
    c, d = pair(shared(right) + shared(left))
    tail = keras.Sequential(
        [keras.Input((4, 4)), layers.Dense(3, name="first"), layers.Dense(3, name="last")], name="tail"
    )
    x = layers.Concatenate()([tail(layers.Add()([a, b])), tail(c), d])
    return keras.Model({"left": left, "right": right}, {"one": layers.Dense(2, name="head")(x), "two": a * 1.0})


@_model
def squeezed(keras, layers):
    """A squeeze-and-excite block in a residual block with a depthwise convolution."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 1, name="stem")(inputs)
    y = layers.Conv2D(6, 1, activation="swish", name="expand")(x)
    y = layers.BatchNormalization(name="norm")(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y))
    z = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D()(y))
    z = layers.Dense(6, activation="sigmoid", name="excite")(layers.Dense(2, activation="relu", name="squeeze")(z))
    y = layers.Conv2D(4, 1, name="project")(y * z)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(layers.Add()([x, y]))))


@_model
def skips(keras, layers):
    """A U-Net: two levels, whose channels are concatenated on the way up, and a dense block."""
    inputs = keras.Input((8, 8, 2))
    a = layers.Conv2D(3, 3, padding="same", activation="relu", name="down_1")(inputs)
    b = layers.Conv2D(4, 3, padding="same", activation="relu", name="down_2")(layers.MaxPooling2D()(a))
    c = layers.Conv2DTranspose(3, 2, strides=2, name="up")(b)
    x = layers.Concatenate()([a, c])
    for number in range(2):
        x = layers.Concatenate()([x, layers.Conv2D(2, 3, padding="same", name=f"growth_{number}")(x)])
    return keras.Model(inputs, layers.Conv2D(2, 1, name="head")(x))


@_model
def mixer(keras, layers):
    """MLP-Mixer: tokens are mixed by a Dense on transposed axes."""
    inputs = keras.Input((4, 6))
    x = layers.Dense(5, name="embed")(inputs)
    y = layers.Permute((2, 1))(x)
    y = layers.Dense(4, name="back")(layers.Dense(7, activation="gelu", name="tokens")(y))
    x = x + layers.Permute((2, 1))(y)
    y = layers.Dense(5, name="down")(layers.Dense(8, activation="gelu", name="channels")(x))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalAveragePooling1D()(x + y)))


@_model
def transformer(keras, layers):
    """A block with normalisation before each part, and one with it after."""
    inputs = keras.Input((4,), dtype="int32")
    x = layers.Embedding(7, 6, name="tokens")(inputs) + layers.Embedding(4, 6, name="places")(inputs * 0)
    y = layers.RMSNormalization(name="pre")(x)
    x = x + layers.MultiHeadAttention(2, 3, name="attend")(y, y, use_causal_mask=True)
    x = x + layers.Dense(6, name="down")(layers.Dense(8, activation="gelu", name="up")(x))
    x = layers.LayerNormalization(name="post")(x + layers.GroupQueryAttention(3, 2, 2, name="again")(x, x))
    return keras.Model(inputs, layers.Dense(2, name="head")(x[:, -1]))
