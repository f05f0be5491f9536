"""The version that new files state is the one against which the facts about Keras are checked."""

from __future__ import annotations

from mutspec.keras_facts import written_version


def test_the_version_is_that_of_the_installed_keras() -> None:
    import keras

    assert keras.version() == written_version.WRITTEN_VERSION
