"""Files become sequences and labels, whatever their form; what can't be used is refused in one line."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from statewise.jobs import InputError
from statewise.jobs.data.content import plain_name
from statewise.jobs.tasks.classify.config import Layout
from statewise.jobs.tasks.classify.examples import check_alike
from statewise.jobs.tasks.classify.formats import digits, read
from statewise.jobs.tasks.classify.targets import Classes, target_of

SHARED = Path(__file__).parents[3] / "shared" / "data" / "classify"

TS = """\
# a comment
@ProblemName Toy
@timestamps FALSE

@univariate false
@dimensions 2
@equalLength false
@classLabel true a b
@data
1,2,3:4,5,6:a
7,8:9,10:b
"""

LONG = """\
id,time,label,x,y
s1,1,a,1,4
s2,1,b,7,9
s1,3,a,3,6
s1,2,a,2,5
s2,2,b,8,10
"""

WIDE = """\
t1,t2,t3,label
1,2,3,a
4,5,,b
"""


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(content, name):
    path = Path(name)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content, encoding="utf-8")
    return path


def idx(array, kind=0x08):
    return struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def refused(content, name, layout=None, **options):
    with pytest.raises(InputError) as caught:
        read(write(content, name), layout, **options)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(name)
    return said


def assert_is_toy(examples):
    """The two sequences that every form of the same data must give."""
    assert [len(s) for s in examples.sequences] == [3, 2]
    np.testing.assert_array_equal(examples.sequences[0], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(examples.sequences[1], [[7, 9], [8, 10]])
    assert list(examples.labels) == ["a", "b"]


# The forms


def test_ts_archive():
    examples = read(write(TS, "Toy_TRAIN.ts"))
    assert_is_toy(examples)
    assert examples.name == "Toy"
    assert examples.described() == "2 sequences of 2 to 3 steps, 2 channels"


def test_ts_archive_packed_and_under_another_name():
    assert_is_toy(read(write(gzip.compress(TS.encode()), "toy.ts.gz")))
    assert_is_toy(read(write(TS, "toy.txt")))


def test_ts_archive_without_labels():
    content = TS.replace("@classLabel true a b", "@classLabel false").replace(":a\n", "\n").replace(":b\n", "\n")
    examples = read(write(content, "toy.ts"))
    assert examples.labels is None
    np.testing.assert_array_equal(examples.sequences[1], [[7, 9], [8, 10]])


def test_ts_archive_with_gaps():
    content = TS.replace("1,2,3:", "1,?,3:").replace(":9,10", ":NaN,10")
    said = refused(content, "toy.ts")
    assert said == "toy.ts, line 10, channel 1, step 2: the value is missing; --gaps carry takes the value before it"
    examples = read(Path("toy.ts"), Layout(gaps="carry"))
    assert np.isnan(examples.sequences[0]).tolist() == [[False, False], [True, False], [False, False]]
    assert np.isnan(examples.sequences[1]).tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("ending", ["csv", "parquet", "csv.gz"])
def test_long_table(ending):
    if ending == "parquet":
        pl.read_csv(LONG.encode()).write_parquet("toy.parquet")
    else:
        write(LONG if ending == "csv" else gzip.compress(LONG.encode()), f"toy.{ending}")
    examples = read(Path(f"toy.{ending}"))
    assert_is_toy(examples)
    assert examples.ids == ["s1", "s2"]
    assert examples.channels == ("x", "y")
    assert examples.name == "toy"


def test_long_table_as_a_frame():
    examples = read(pl.read_csv(LONG.encode()))
    assert_is_toy(examples)


def test_long_table_with_columns_named():
    content = LONG.replace("id,time,label,x,y", "who,when,what,x,y").replace("what,x", "what,x")
    layout = Layout(id="who", time="when", label="what", channels=("y",))
    examples = read(write(content, "toy.csv"), layout)
    np.testing.assert_array_equal(examples.sequences[0], [[4], [5], [6]])
    assert list(examples.labels) == ["a", "b"]


def test_long_table_without_a_time_keeps_the_order_of_rows():
    content = "\n".join(",".join(cells[:1] + cells[2:]) for cells in (row.split(",") for row in LONG.splitlines()))
    examples = read(write(content + "\n", "toy.csv"))
    np.testing.assert_array_equal(examples.sequences[0], [[1, 4], [3, 6], [2, 5]])


def test_wide_table_ends_with_its_last_value():
    examples = read(write(WIDE, "toy.csv"))
    np.testing.assert_array_equal(examples.sequences[0], [[1], [2], [3]])
    np.testing.assert_array_equal(examples.sequences[1], [[4], [5]])
    assert list(examples.labels) == ["a", "b"]
    assert examples.ids == ["1", "2"]


def test_wide_table_with_ids():
    examples = read(write("id,t1,t2,label\nx9,1,2,a\nx7,3,4,b\n", "toy.csv"))
    assert examples.ids == ["x9", "x7"]
    np.testing.assert_array_equal(examples.sequences[1], [[3], [4]])


def test_whole_numbers_as_labels_are_written_as_such():
    pl.DataFrame({"t1": [1.0, 2.0], "t2": [1.0, 2.0], "label": [3.0, 10.0]}).write_parquet("toy.parquet")
    examples = read(Path("toy.parquet"))
    assert target_of(examples.labels, examples.source).names == ("3", "10")  # by size, not by letter


def test_npz_of_sequences():
    x = np.array([[[1, 4], [2, 5], [3, 6]], [[7, 9], [8, 10], [0, 0]]], float)
    np.savez("toy.npz", X=x, y=np.array(["a", "b"]), lengths=np.array([3, 2]))
    assert_is_toy(read(Path("toy.npz")))
    np.savez("flat.npz", X=x[:, :, 0], y=np.array([1, 2]))
    examples = read(Path("flat.npz"))
    assert examples.described() == "2 sequences of 3 steps, 1 channel"
    assert list(examples.labels) == ["1", "2"]


def test_npy_with_labels_apart():
    np.save("x.npy", np.ones((2, 3)))
    np.save("y.npy", np.array([b"a", b"b"]))
    assert list(read(Path("x.npy"), labels=Path("y.npy")).labels) == ["a", "b"]
    assert read(Path("x.npy")).labels is None


@pytest.mark.parametrize("packed", [False, True])
def test_idx_images_find_their_labels(packed):
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    ending = ".gz" if packed else ""
    pack = gzip.compress if packed else bytes
    write(pack(idx(images)), f"train-images-idx3-ubyte{ending}")
    write(pack(idx(np.array([7, 1], np.uint8))), f"train-labels-idx1-ubyte{ending}")
    rows = read(Path(f"train-images-idx3-ubyte{ending}"))
    assert rows.described() == "2 images of 3 x 4, read row by row"
    assert list(rows.labels) == ["7", "1"]
    np.testing.assert_array_equal(rows.sequences[1], images[1])
    pixels = read(Path(f"train-images-idx3-ubyte{ending}"), Layout(pixels=True))
    assert pixels.described() == "2 images of 3 x 4, read pixel by pixel"
    np.testing.assert_array_equal(pixels.sequences[1], images[1].reshape(12, 1))


def test_idx_of_other_types():
    numbers = np.array([[1.5, -2.25]], ">f4")
    examples = read(write(idx(numbers, 0x0D), "numbers.idx"))
    np.testing.assert_array_equal(examples.sequences[0], [[1.5], [-2.25]])
    assert examples.sequences.steps.dtype == np.float32


def test_bytes_in_npz_are_images():
    np.savez("images.npz", X=np.zeros((2, 3, 4), np.uint8), y=np.array([0, 1]))
    assert read(Path("images.npz")).picture == (3, 4)


def test_the_built_in_digits():
    rows, pixels = digits(), digits(pixels=True)
    assert rows.described() == "1797 images of 8 x 8, read row by row"
    assert pixels.described() == "1797 images of 8 x 8, read pixel by pixel"
    np.testing.assert_array_equal(rows.sequences[5].ravel(), pixels.sequences[5].ravel())
    assert target_of(rows.labels, rows.source).names == tuple(map(str, range(10)))


@pytest.mark.parametrize(
    ("name", "described", "classes"),
    [
        ("JapaneseVowels", "270 sequences of 7 to 26 steps, 12 channels", 9),
        ("BasicMotions", "40 sequences of 100 steps, 6 channels", 4),
        ("ArrowHead", "36 sequences of 251 steps, 1 channel", 3),
        ("GunPoint", "50 sequences of 150 steps, 1 channel", 2),
    ],
)
def test_real_archives(name, described, classes):
    path = SHARED / "ucr" / f"{name}_TRAIN.ts.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    examples = read(path)
    assert examples.name == name
    assert examples.described() == described
    assert target_of(examples.labels, examples.source).width == classes


def test_real_mnist():
    path = SHARED / "mnist" / "t10k-images-idx3-ubyte.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    examples = read(path)
    assert examples.described() == "10000 images of 28 x 28, read row by row"
    assert "".join(examples.labels[:10]) == "7210414959"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/mnist/train-images-idx3-ubyte.gz", "mnist"),
        ("a/mnist/t10k-images-idx3-ubyte", "mnist"),
        ("a/emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters"),
        ("GunPoint_TRAIN.ts.gz", "GunPoint"),
        ("sales.v2.csv", "sales.v2"),
    ],
)
def test_what_the_data_in_a_file_is_called(path, name):
    assert plain_name(Path(path)) == name


# What is refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("@data\n", ""), "line 9: expected a line of the header or @data, got '1,2,3:4,5,6:a'"),
        (("7,8:9,10:b", "7,8:9,1"), "line 11: 1 channels, the first sequence has 2"),
        (("7,8:9,10:b", "7,8:9,10:"), "line 11: expected a label after the last ':'; is the line cut short?"),
        (("7,8:9,10:b", "7,8:9:b"), "line 11, channel 2: 1 values, channel 1 has 2"),
        (("7,8:", "7,x8:"), "line 11, channel 1, step 2: expected a number, got 'x8'"),
        (("7,8:", "7,inf:"), "sequence 2, step 2, channel 1: expected a finite number, got inf"),
        (("7,8:9,10:b", "7,8:9,10:c"), "sequence 2: the label 'c' isn't among those of the header"),
        (("@dimensions 2", "@dimensions 3"), "its header speaks of 3 channels, the data has 2"),
        (("@equalLength false", "@equalLength true"), "all sequences are of equal length, they are not"),
        (("@timestamps FALSE", "@timestamps true"), "has time stamps in its data"),
        (("1,2,3:4,5,6:a\n7,8:9,10:b\n", ""), "no sequences after the line @data"),
    ],
)
def test_ts_refused(change, said):
    assert change[0] in TS
    assert said in refused(TS.replace(*change), "toy.ts")


def test_ts_cut_short():
    assert "no line @data; is the file cut short?" in refused(TS[:60], "toy.ts")
    packed = gzip.compress(TS.encode())
    assert "a damaged .gz file" in refused(packed[: len(packed) - 12], "toy.ts.gz")
    assert "the file is empty" in refused("", "toy.ts")
    assert "expected text in UTF-8" in refused(TS.encode() + b"\xff\xfe", "toy.ts")


@pytest.mark.parametrize(
    ("content", "layout", "said"),
    [
        (LONG, Layout(id="who"), "no column 'who' for --id; there are: id, time, label, x, y"),
        (LONG, Layout(channels=("z",)), "no column 'z' for --channels"),
        (LONG, Layout(channels=("x", "label"), label="label"), "the column 'label' is named twice"),
        (LONG.replace("s1,3,a", "s1,3,b"), None, "column 'label', row 3: sequence 's1' is labelled 'b' here and 'a'"),
        (LONG, Layout(group="time"), "column 'time', row 3: sequence 's1' is of the group '3' here and '1' in row 1"),
        (LONG.replace("s1,3,a", "s1,3,"), None, "column 'label', row 3: the cell is empty"),
        (LONG.replace("s1,3,a", ",3,a"), None, "column 'id', row 3: the cell is empty"),
        (LONG.replace("s1,3,a", "s1,1,a"), None, "column 'time', row 3: the time of row 1 again, in one sequence"),
        (LONG.replace("a,3,6", "a,,6"), None, "column 'x', row 3: expected a number, the value is missing"),
        (LONG.replace("a,3,6", "a,up,6"), None, "column 'x', row 3: expected a number, got 'up'"),
        (LONG.replace("a,3,6", "a,inf,6"), Layout(gaps="carry"), "column 'x', row 3: expected a finite number"),
        ("id,time,label\ns1,1,a\ns1,2,a\n", None, "no column of values beside id, label, time"),
        ("time,x,label\n1,2,a\n2,3,a\n", None, "'time' is the time, so a row is a step"),
        ("t1,t2,label\n", None, "no rows, expected at least one sequence"),
        (WIDE.replace("4,5,,b", ",,,b"), None, "row 2: a sequence without a value"),
        (WIDE.replace("4,5,,b", "4,,6,b"), None, "column 't2', row 2: expected a number, the value is missing"),
        (WIDE.replace("4,5,,b", "4,x,,b"), None, "column 't2', row 2: expected a number, got 'x'"),
    ],
)
def test_table_refused(content, layout, said):
    assert said in refused(content, "toy.csv", layout)


def test_gaps_of_a_table_are_kept_where_they_are_to_be_carried():
    examples = read(write(LONG.replace("a,3,6", "a,NA,6"), "toy.csv"), Layout(gaps="carry"))
    np.testing.assert_array_equal(examples.sequences[0], [[1, 4], [2, 5], [np.nan, 6]])
    examples = read(write(WIDE.replace("1,2,3", "1,,3"), "wide.csv"), Layout(gaps="carry"))
    np.testing.assert_array_equal(examples.sequences[0], [[1], [np.nan], [3]])


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"X": np.ones((2, 3, 4, 5)), "y": np.ones(2, int)}, "got float64 of shape (2, 3, 4, 5)"),
        ({"X": np.array([["a", "b"]]), "y": np.ones(1, int)}, "expected numbers (n, T, I) or (n, T), got <U1"),
        ({"X": np.ones((2, 3)), "y": np.ones(3, int)}, "expected 2 labels"),
        ({"X": np.ones((2, 3)), "y": np.ones(2, complex)}, "0 and 1 for each of several; got complex128 of (2,)"),
        ({"X": np.ones((2, 3)), "y": np.full((2, 2), 2)}, "0 and 1 for each of several; got int64 of (2, 2)"),
        ({"Z": np.ones((2, 3)), "y": np.ones(2, int)}, "expected the sequences as 'X', there are: Z, y"),
        ({"X": np.ones((2, 3)), "lengths": np.array([1, 4])}, "expected 'lengths' from 1 to 3, got 1 to 4"),
        ({"X": np.ones((2, 3)), "lengths": np.array([0, 3])}, "expected 'lengths' from 1 to 3, got 0 to 3"),
        ({"X": np.ones((2, 3)), "lengths": np.array([1.0, 3.0])}, "expected 2 whole numbers as 'lengths'"),
        ({"X": np.array([[1.0, np.nan]]), "y": np.ones(1, int)}, "sequence 1, step 2, channel 1"),
        ({"X": np.array([[1.0], [1e200]]), "y": np.ones(2, int)}, "expected a finite number, got 1e+200"),
    ],
)
def test_npz_refused(arrays, said):
    np.savez("toy.npz", **arrays)
    assert said in refused(Path("toy.npz").read_bytes(), "toy.npz")


def test_damaged_numpy_files():
    np.savez("toy.npz", X=np.ones((20, 30)), y=np.ones(20, int))
    whole = Path("toy.npz").read_bytes()
    assert "cut short or damaged" in refused(whole[: len(whole) // 2], "toy.npz")
    np.save("toy.npy", np.ones((20, 30)))
    assert "cut short or damaged" in refused(Path("toy.npy").read_bytes()[:-8], "toy.npy")
    np.save("toy.npy", np.array([np.ones(2), np.ones(3)], dtype=object), allow_pickle=True)
    assert "holds Python objects" in refused(Path("toy.npy").read_bytes(), "toy.npy")


def test_idx_refused():
    images = np.zeros((3, 4, 5), np.uint8)
    assert "cut short or damaged: expected 60 bytes" in refused(idx(images)[:-1], "a-images-idx3-ubyte")
    assert "give the file of images" in refused(idx(np.zeros(3, np.uint8)), "a-labels-idx1-ubyte")
    write(idx(np.zeros(2, np.uint8)), "b-labels-idx1-ubyte")
    with pytest.raises(InputError, match="b-labels-idx1-ubyte: expected 3 labels, one for each image in b-images"):
        read(write(idx(images), "b-images-idx3-ubyte"))
    with pytest.raises(InputError, match="expected an IDX file of labels"):
        read(Path("b-images-idx3-ubyte"), labels=write("label\n1\n", "labels.csv"))


def test_other_things_that_are_no_file_of_sequences():
    Path("folder").mkdir()
    for path, said in (("folder", "expected a folder for each class"), ("none.csv", "no such file")):
        with pytest.raises(InputError, match=said):
            read(Path(path))
    assert "neither Parquet nor text" in refused(b"\x7fELF\0\0\0" * 9, "a.csv")
    with pytest.raises(InputError, match=r"--labels y.npy: toy.ts is a file that has its labels in it"):
        read(write(TS, "toy.ts"), labels=Path("y.npy"))


def test_labels_that_do_not_serve():
    one = read(write(TS.replace("10:b", "10:a"), "toy.ts"))
    with pytest.raises(InputError, match="at least two classes, all are labelled 'a'"):
        target_of(one.labels, one.source)
    none = read(write("t1,t2\n1,2\n3,4\n", "none.csv"))
    with pytest.raises(InputError, match=r"none.csv: has no labels; --label names a table's column"):
        target_of(none.labels, none.source)
    examples = read(write(TS, "toy.ts"))
    with pytest.raises(InputError, match="sequence '2' has the label 'b', which the training part hasn't"):
        Classes(("a",)).read(examples.labels, examples.source, examples.ids)


def test_parts_of_different_channels():
    toy = read(write(TS, "toy.ts"))
    with pytest.raises(InputError, match=r"wide.csv: expected as many channels as in toy.ts, 2, got 1"):
        check_alike(toy, read(write(WIDE, "wide.csv")))
    long, other = read(write(LONG, "long.csv")), read(write(LONG.replace("x,y", "x,z"), "other.csv"))
    with pytest.raises(InputError, match=r"other.csv: has the channels x, z, long.csv has x, y"):
        check_alike(long, other)


def test_several_labels_and_numbers_in_files():
    np.savez("toy.npz", X=np.ones((3, 4)), y=np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]]))
    examples = read(Path("toy.npz"))
    assert (examples.labels, examples.separator) == (["0|2", "", "1"], "|")
    target = target_of(examples.labels, "toy", separator="|")
    assert target.read(examples.labels, "toy", examples.ids).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    Path("toy.csv").write_text("a,b,label\n1,2,red;big\n3,4,\n")
    assert read(Path("toy.csv"), Layout(separator=";")).labels == ["red;big", ""]
    with pytest.raises(InputError, match="the cell is empty"):
        read(Path("toy.csv"))
    np.savez("toy.npz", X=np.ones((30, 4)), y=np.linspace(0, 1, 30))
    assert target_of(read(Path("toy.npz")).labels, "toy").TASK == "regression"
    text = "@univariate true\n@targetLabel true\n@data\n" + "".join(f"1,2,3:{i / 7}\n" for i in range(30))
    examples = read(write(text, "toy.ts"))
    assert target_of(examples.labels, "toy").TASK == "regression"
    assert target_of([str(i) for i in range(99)], "toy").TASK == "classification"  # whole numbers may be names
    with pytest.raises(InputError, match="sequence '2': expected a finite number as its label, got 'red'"):
        target_of(["1.5", "red"], "toy", "regression")
