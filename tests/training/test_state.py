"""The tutorial recipe of `qrsu`: the plain program of the course, and validations after each of its epochs."""

from benchmarks.tutorial import first, ours, plain


def test_the_plain_program_has_the_accuracy_of_the_course_after_ten_epochs() -> None:
    """With the seed of the notebook, 1, about half is correct; 992 test sequences have a sampling error of ±3 %."""
    accuracies = plain("rnn_relu", seed=1, epochs=10)
    assert len(accuracies) == 10
    assert accuracies[0] < 40
    assert abs(accuracies[-1] - 52.7) < 10


def test_a_validation_follows_every_epoch_of_992_sequences() -> None:
    accuracies = ours("lstm", seed=1, max_sequences=3 * 992)
    assert len(accuracies) == 3
    for accuracy in accuracies:  # the first 128 sequences are not all right, so the others are not checked
        assert accuracy < 90
        assert abs(accuracy * 1.28 - round(accuracy * 1.28)) < 1e-6


def test_the_first_epoch_without_errors() -> None:
    assert first([99.0, 100.0, 98.0]) == 2
    assert first([99.0]) is None
