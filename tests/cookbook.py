"""The cookbook: what people ask for, the recipe that does it, and its dry-run on a small real model.

python -m tests.cookbook        # prints docs/cookbook.md
python -m tests.cookbook --write
"""

# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import mutspec
from mutspec.resources import resource_folder

PLANS = resource_folder("conf") / "plan"
PAGE = Path(__file__).parents[1] / "docs" / "cookbook.md"


def digits() -> Any:
    """The classifier of digits that ships."""
    import keras

    return keras.saving.load_model(resource_folder("conf") / "model" / "digits.keras")


def with_softmax() -> Any:
    """A classifier that returns probabilities."""
    import keras

    image = keras.Input((8, 8, 1), name="image")
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    hidden = keras.layers.Flatten(name="flatten")(hidden)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="classes")(hidden), name="classifier")


def with_augmentation() -> Any:
    """A classifier with layers that augment images in training."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    hidden = layers.RandomRotation(0.1, name="rotate")(layers.RandomFlip(name="flip")(image))
    hidden = layers.Rescaling(1 / 255, name="rescale")(hidden)
    hidden = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(4, 3, name="conv")(hidden))
    return keras.Model(image, layers.Dense(2, name="classes")(hidden), name="augmented")


def with_backbone() -> Any:
    """A classifier on a backbone that is a model of its own, called for inference, as in transfer learning."""
    import keras

    layers = keras.layers
    inner = keras.Input((8, 8, 3), name="inner")
    hidden = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv")(inner))
    backbone = keras.Model(inner, layers.ReLU(name="relu")(hidden), name="backbone")
    image = keras.Input((8, 8, 3), name="image")
    hidden = layers.GlobalAveragePooling2D(name="pool")(backbone(image, training=False))
    return keras.Model(image, layers.Dense(2, name="classes")(hidden), name="transfer")


def in_a_row() -> Any:
    """A Sequential model."""
    import keras

    layers = keras.layers
    row = [
        layers.Dense(8, activation="relu", name="hidden"),
        layers.Dropout(0.2, name="drop"),
        layers.Dense(1, name="out"),
    ]
    return keras.Sequential([keras.Input((5,), name="vector"), *row], name="row")


def with_memory() -> Any:
    """A model with a recurrent layer."""
    import keras

    layers = keras.layers
    row = [layers.LSTM(4, name="memory"), layers.Dense(1, name="out")]
    return keras.Sequential([keras.Input((5, 3), name="series"), *row], name="forecast")


def with_residual() -> Any:
    """A classifier with a residual block, whose input and output have the same shape."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    stem = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv_1")(image)
    hidden = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv_2")(stem)
    hidden = layers.GlobalAveragePooling2D(name="pool")(layers.Add(name="add")([stem, hidden]))
    return keras.Model(image, layers.Dense(2, name="classes")(hidden), name="residual")


class Dish(NamedTuple):
    """An entry of the cookbook.

    Arguments:
        title: what is asked for.
        recipe: the recipe's name.
        asked: threads in which people have asked for it.
        model: makes the model of the dry-run; it is also each of the plan's inputs.
        note: what else to know.
    """

    title: str
    recipe: str
    asked: str = ""
    model: Callable[[], Any] = digits
    note: str = ""


DISHES = (
    Dish("Another activation everywhere", "other_activation", "tensorflow #47208, keras #10182"),
    Dish("Freeze a base", "freeze_base", "keras #4674, #7085, #4762", note="Layers inside models are frozen, too."),
    Dish("Cut off the last layers: features", "features", "keras #2371, #3442, #8909, #15636, #588"),
    Dish("A new head", "new_head", "keras #871, #3095"),
    Dish("One class more, and the old ones kept", "one_more_class", "keras #7924, keras-applications #57"),
    Dish(
        "Weights by name, skipping what does not fit",
        "weights_by_name",
        "keras #3836, #3199",
        note="As `load_weights(by_name=True, skip_mismatch=True)` does in Keras, without TensorFlow.",
    ),
    Dish("Dropout after Dense layers", "dropout_after_dense"),
    Dish("An L2 penalty on a trained model", "weight_decay", "keras #7688, #9106, #12053, tensorflow #37511"),
    Dish("The output of a layer as a second output", "intermediate_output", "keras #6306, #2664"),
    Dish("Pooling instead of flattening", "global_pooling", "keras #8470"),
    Dish("GroupNormalization for BatchNormalization", "group_normalization", "segmentation_models #425"),
    Dish("An ensemble", "ensemble", "keras #2775, #13696, #8613"),
    Dish("Logits instead of probabilities", "without_softmax", "innvestigate #85, keras-vis #196", with_softmax),
    Dish("Without augmentation", "without_augmentation", "autokeras #1524", with_augmentation),
    Dish("Without models in the model", "without_nesting", "keras #10094, #14166", with_backbone),
    Dish("The trunk as a model of its own", "nested_trunk", "keras #5074, #9184"),
    Dish(
        "Mixed precision",
        "mixed_precision",
        "keras #17381, tf-keras #65, yolov3-tf2 #243",
        note="Train with `keras.optimizers.LossScaleOptimizer`.",
    ),
    Dish(
        "Batch normalization folded into convolutions",
        "folded_normalization",
        "Keras-inference-time-optimizer #17, aimet #2155",
    ),
    Dish(
        "Images of another size",
        "image_size",
        "keras #8142, keras_cv_attention_models #87",
        with_augmentation,
        "A Dense layer after a Flatten cannot follow: see [Pooling instead of flattening](#pooling-instead-of-flattening).",
    ),
    Dish("Stateful instead of stateless", "stateful", "keras #5714, #7441, #2322, #2959", with_memory),
    Dish("A Functional model of a Sequential one", "functional_form", "keras #3190, #10386", in_a_row),
    Dish(
        "Channels first",
        "channels_first",
        "keras #10522, #21889, tensorflow #42430",
        note="`to: channels_last` is the way back.",
    ),
    Dish("A squeeze-and-excitation block", "squeeze_excitation", "tensorflow/models #9593"),
    Dish("A skip connection", "skip_connection"),
    Dish("A block twice", "duplicate_block", model=with_residual),
    Dish("A deeper model that predicts the same", "deeper", "keras #3491, leela-zero #704"),
    Dish("A wider model that predicts the same", "wider", "keras #3491, #3503, leela-zero #704"),
    Dish(
        "Fewer filters",
        "channel_pruning",
        "keras-surgeon #7, #14, #35, #60, tf-keras-surgeon #7",
        note="What the filters are added to, normalised by and read by follows. On other models say "
        "`params.layers={weights: kernels}`, and train the mutant for a while.",
    ),
    Dish("Grey images for a model of colours", "grey_images", "keras #8766, #10786", with_backbone),
    Dish("More classes, and the old ones kept", "more_classes", "keras #7924, keras-applications #57"),
    Dish("A prefix for all names, to use two copies", "prefixed_names", "keras #5540, #7412, #19689"),
    Dish("Normalisation after the activation", "normalization_after_activation"),
)


def page() -> str:
    """The text of docs/cookbook.md."""
    head = [
        "# Cookbook",
        "",
        "What people ask for, and the recipe that does it. The recipes ship with mutspec, in `conf/plan/`; `mutspec run plan=NAME` knows",
        "them by name. Each is shown with its dry-run on a small model. Made by `python -m tests.cookbook --write`.",
        "",
        *(f"- [{dish.title}](#{_anchor(dish.title)})" for dish in DISHES),
    ]
    return "\n".join([*head, *(line for dish in DISHES for line in _section(dish))]) + "\n"


def _section(dish: Dish) -> list[str]:
    path = PLANS / f"{dish.recipe}.yaml"
    recipe = path.read_text().partition("\n")[2].rstrip()
    asked = [f"Asked for in {dish.asked}."] if dish.asked else []
    told = " ".join([*asked, *([dish.note] if dish.note else [])])
    return [
        "",
        f"## {dish.title}",
        *(["", told] if told else []),
        "",
        f"`conf/plan/{dish.recipe}.yaml`:",
        "",
        "```yaml",
        recipe,
        "```",
        "",
        "```text",
        dry_run(dish),
        "```",
    ]


def dry_run(dish: Dish) -> str:
    """The dry-run of a recipe on its model."""
    with chdir(PLANS):  # lines are broken after places, which must not depend on where the repository is
        plan = mutspec.load_plan(f"{dish.recipe}.yaml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = dish.model()
        report = mutspec.dry_run(plan, model, inputs=dict.fromkeys(plan.inputs, model))
    return "\n".join(line.rstrip() for line in str(report).splitlines())


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        print(page(), end="")
