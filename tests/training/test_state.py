"""The course's recipe for QRSU: the plain program is the course's, and the one loop looks when the course looked."""

from benchmarks.tutorial import first, ours, plain


def test_the_plain_program_does_what_the_course_saw_after_ten_epochs() -> None:
    """The notebook's own seed, 1: about half of all right. Its test data are 992 sequences, of which ±3 % is noise."""
    course = plain("rnn_relu", seed=1, epochs=10)
    assert len(course) == 10
    assert course[0] < 40
    assert abs(course[-1] - 52.7) < 10


def test_a_look_after_every_epoch_of_992_sequences() -> None:
    course = ours("lstm", seed=1, max_sequences=3 * 992)
    assert len(course) == 3
    assert all(abs(accuracy * 9.92 - round(accuracy * 9.92)) < 1e-6 for accuracy in course)


def test_a_course_that_never_is_all_right_has_no_first_epoch() -> None:
    assert first([99.0, 100.0, 98.0]) == 2
    assert first([99.0]) is None
