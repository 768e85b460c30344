"""Short programs end with the exit code that they should have, whatever is under way when they do."""

import exits

# `cargo xtask python-exits` runs more, on every CPython of the machine.
COUNT = 60


def test_short_programs_end_with_their_exit_code() -> None:
    problems = exits.run_many(COUNT)
    assert not problems, "\n".join(problems)
