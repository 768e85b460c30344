"""Keys in bulk: every kind of source, order, memory use, and errors for invalid ids."""

import importlib
import itertools
import resource
import threading
from collections.abc import Iterator

import nanoarrow
import pytest
from dps_client import ConfigurationError, GroupKey, derive_device_key, derive_device_keys

GROUP = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
# Several batches, and enough for more than one thread.
MANY = 40_000
IDS = [f"sn-{number:07}" for number in range(MANY)]


def one_by_one(ids: list[str]) -> list[str]:
    group = GroupKey(GROUP)
    return [group.derive(device).to_base64().expose() for device in ids]


class OnlyAnArray:
    """Supports only Arrow's C array interface: no iteration, no length."""

    def __init__(self, column: object) -> None:
        self.column = column

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        answer: tuple[object, object] = self.column.__arrow_c_array__(requested_schema)  # type: ignore[attr-defined]
        return answer


def column(ids: list[str | None], schema: nanoarrow.Schema) -> OnlyAnArray:
    return OnlyAnArray(nanoarrow.c_array(ids, schema))


def test_keys_have_the_order_of_their_ids() -> None:
    expected = one_by_one(IDS)
    assert list(derive_device_keys(GROUP, IDS)) == expected
    assert list(derive_device_keys(GroupKey(GROUP), tuple(IDS))) == expected
    assert list(derive_device_keys(GROUP, (device for device in IDS))) == expected
    assert list(derive_device_keys(GROUP, dict.fromkeys(IDS))) == expected
    assert expected[0] == derive_device_key(GROUP, IDS[0])


@pytest.mark.parametrize("schema", [nanoarrow.string(), nanoarrow.large_string(), nanoarrow.string_view()], ids=str)
def test_arrow_column_is_accepted_and_returned(schema: nanoarrow.Schema) -> None:
    ids: list[str | None] = [*IDS]
    assert list(derive_device_keys(GROUP, column(ids, schema))) == one_by_one(IDS)
    given = nanoarrow.Array(derive_device_keys(GROUP, column(ids, schema)))
    assert given.to_pylist() == one_by_one(IDS)
    assert given.schema.type == nanoarrow.Type.STRING


def test_keys_of_a_list_can_be_read_as_a_column() -> None:
    assert nanoarrow.Array(derive_device_keys(GROUP, IDS)).to_pylist() == one_by_one(IDS)


def test_keys_of_a_list_or_column_can_be_iterated_again() -> None:
    listed: list[str | None] = [*IDS[:3]]
    for ids in (IDS[:3], tuple(IDS[:3]), dict.fromkeys(IDS[:3]), column(listed, nanoarrow.string())):
        keys = derive_device_keys(GROUP, ids)
        assert list(itertools.islice(keys, 2)) == one_by_one(IDS[:2])
        assert list(keys) == one_by_one(IDS[:3])
        assert nanoarrow.Array(keys).to_pylist() == one_by_one(IDS[:3])
        assert list(keys) == one_by_one(IDS[:3])
    assert list(derive_device_keys(GROUP, [])) == []


def test_keys_of_a_generator_raise_when_iterated_again() -> None:
    keys = derive_device_keys(GROUP, (device for device in IDS[:3]))
    assert list(keys) == one_by_one(IDS[:3])
    with pytest.raises(RuntimeError, match="read already"):
        list(keys)
    with pytest.raises(RuntimeError, match="read already"):
        nanoarrow.Array(keys)


def test_len_of_keys_is_len_of_ids() -> None:
    assert len(derive_device_keys(GROUP, IDS)) == MANY
    assert len(derive_device_keys(GROUP, set(IDS))) == MANY
    with pytest.raises(TypeError, match="ids has no length"):
        len(derive_device_keys(GROUP, (device for device in IDS)))


def test_pandas_accepts_keys_as_a_column() -> None:
    pandas = importlib.import_module("pandas")  # pandas has no type hints.
    frame = pandas.DataFrame({"device": IDS[:3]})
    frame["key"] = derive_device_keys(GROUP, frame["device"])
    assert list(frame["key"]) == one_by_one(IDS[:3])
    assert list(pandas.Series(derive_device_keys(GROUP, IDS[:3]))) == one_by_one(IDS[:3])


@pytest.mark.parametrize("at", [0, 20_000, MANY - 1])
def test_invalid_id_raises_configuration_error_when_read_as_a_column(at: int) -> None:
    ids: list[str | None] = [*IDS]
    ids[at] = "no id"
    for given in (ids, column(ids, nanoarrow.string())):
        with pytest.raises(ConfigurationError, match=rf"ids\[{at}\]"):
            nanoarrow.Array(derive_device_keys(GROUP, given))  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, 1, 255, 256, 20_000, MANY - 1])
def test_invalid_id_raises_after_the_keys_before_it(at: int) -> None:
    ids = [*IDS]
    ids[at] = "no id"
    before: list[str] = []
    with pytest.raises(ConfigurationError, match=rf"ids\[{at}\]") as wrong:
        before.extend(itertools.islice(derive_device_keys(GROUP, ids), MANY))
    assert wrong.value.name == "invalid-registration-id"
    keys: list[str] = []
    with pytest.raises(ConfigurationError):
        for key in derive_device_keys(GROUP, ids):
            keys.append(key)
    assert keys == one_by_one(ids[:at])


def test_exception_of_iterator_raises_after_the_keys_before_it() -> None:
    class Torn(Exception):
        pass

    def ids() -> Iterator[str]:
        yield "a"
        raise Torn

    keys = iter(derive_device_keys(GROUP, ids()))
    assert next(keys) == derive_device_key(GROUP, "a")
    with pytest.raises(Torn):
        next(keys)
    assert list(keys) == []


def test_invalid_ids_argument_raises_type_error() -> None:
    for text in ("dev-01", b"dev-01"):
        with pytest.raises(TypeError, match="must not be a single str"):
            derive_device_keys(GROUP, text)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"ids\[1\] must be a str, not int"):
        list(derive_device_keys(GROUP, ["a", 5]))  # type: ignore[list-item]
    with pytest.raises(TypeError, match="'ids'"):
        derive_device_keys(GROUP, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="column of strings, not of Int64"):
        derive_device_keys(GROUP, OnlyAnArray(nanoarrow.c_array([1], nanoarrow.int64())))
    with pytest.raises(ValueError, match=r"ids\[1\] is null"):
        list(derive_device_keys(GROUP, column(["a", None], nanoarrow.string())))
    with pytest.raises(ValueError, match=r"ids\[1\] has a lone surrogate"):
        list(derive_device_keys(GROUP, ["a", "\ud800"]))


def test_stream_uses_constant_memory() -> None:
    def peak(count: int) -> int:
        ids = (f"sn-{number:07}" for number in range(count))
        assert sum(1 for _ in derive_device_keys(GROUP, ids)) == count
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = peak(100_000)
    # A million keys as objects would need some 90 MiB.
    assert peak(1_000_000) - first < 8 * 1024


def test_other_threads_run_while_keys_are_derived() -> None:
    over = threading.Event()

    def derive() -> None:
        for _ in nanoarrow.ArrayStream(derive_device_keys(GROUP, column([*IDS] * 5, nanoarrow.string()))):
            pass
        over.set()

    thread = threading.Thread(target=derive)
    thread.start()
    turns = 0
    while not over.wait(0):
        turns += 1
    thread.join()
    assert turns > 10
