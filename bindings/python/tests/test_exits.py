"""Short programs exit with the right code, whatever is in progress when they exit."""

import exits

# `cargo xtask python-exits` runs more, on every installed CPython.
COUNT = 60


def test_short_programs_exit_with_the_right_code() -> None:
    problems = exits.run_many(COUNT)
    assert not problems, "\n".join(problems)
