"""Tables from files: what is read, and what is refused in one line."""

from __future__ import annotations

import gzip
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from statewise.jobs import InputError
from statewise.jobs.data.tables import name_of, read_table

FRAME = pl.DataFrame({"day": ["2020-01-01", "2020-01-02"], "sold": ["3", "4.5"]})


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_cells_of_a_csv_file_are_text(tmp_path, separator, ending):
    text = ending.join(["day,sold", "2020-01-01,3", "2020-01-02,4.5", ""]).replace(",", separator)
    (tmp_path / "x.csv").write_text(text, newline="")
    assert read_table(tmp_path / "x.csv").equals(FRAME)
    assert read_table(str(tmp_path / "x.csv")).equals(FRAME)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfday,sold\n2020-01-01,3\n2020-01-02,4.5",
        b"\n\r\n\nday,sold\n2020-01-01,3\n2020-01-02,4.5\n",
        b" day , sold\n2020-01-01,3\n2020-01-02,4.5\n",
        b'"day","sold"\n"2020-01-01","3"\n2020-01-02,4.5\n',
        b"day,sold\n2020-01-01,3\n2020-01-02,4.5\n,\n,\n\n",
        gzip.compress(b"day,sold\n2020-01-01,3\n2020-01-02,4.5\n", mtime=0),
    ],
)
def test_the_same_table_in_other_clothes(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    assert read_table(tmp_path / "x.csv").equals(FRAME)


def test_a_header_of_several_lines(tmp_path):
    (tmp_path / "x.csv").write_text('"a\nb","c, d"\n1,2\n')
    assert read_table(tmp_path / "x.csv").equals(pl.DataFrame({"a\nb": ["1"], "c, d": ["2"]}))


def test_parquet_keeps_its_types(tmp_path):
    frame = pl.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["x", "y"]})
    frame.write_parquet(tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet").equals(frame)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty, expected a table with a header line"),
        (b" \n\r\n\t\n", "the file is empty"),
        (b"PAR1 and nothing", "a damaged Parquet file"),
        (b"a,b\n1,\xff\n", "neither Parquet nor text in UTF-8"),
        (b"a,b\n1,\0\n", "neither Parquet nor text in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "neither Parquet nor text in UTF-8"),
        (b"1,2\n3,4\n", "the first line must name the columns, it reads '1, 2'"),
        (b"2020-01-01,2\n", "the first line must name the columns"),
        (b"a,b,a\n1,2,3\n", "two columns are named 'a'"),
        (b"a,b\n1,2\n1,2,3\n", "not a regular CSV table: expected 2 fields as in its header, got 3 in line 3"),
        (
            b'\n\na,b\n1,"2\n"\n1,2,3\n',
            "not a regular CSV table: expected 2 fields as in its header, got 3 in line 6",
        ),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "a damaged .gz file"),
        (b"\x1f\x8bnot gzip", "a damaged .gz file"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content, said):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_table(tmp_path / "x.csv")
    assert str(error.value).startswith(f"{tmp_path / 'x.csv'}: {said}")
    assert "\n" not in str(error.value)


def test_a_message_is_one_line_whatever_it_quotes():
    assert str(InputError("x.csv: there are: a\u2028c, d\re")) == "x.csv: there are: a c, d e"


def test_a_truncated_parquet_file(tmp_path):
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": range(1000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="a damaged Parquet file"):
        read_table(path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"x\.csv: no such file"):
        read_table(tmp_path / "x.csv")
    with pytest.raises(InputError, match="is a folder, expected a CSV or Parquet file"):
        read_table(tmp_path)


def test_what_messages_call_it(tmp_path):
    assert name_of(tmp_path / "x.csv") == str(tmp_path / "x.csv")
    assert name_of("x.csv") == "x.csv"
    assert name_of(FRAME) == "the DataFrame"
    assert name_of(np.zeros(3)) == "the ndarray"


MEASURED = """
import resource, sys
from statewise.jobs.data.tables import read_table
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_table(sys.argv[1] + ".small")
before = peak()
print(read_table(sys.argv[1]).height, (peak() - before) / 1024)
"""


@pytest.mark.slow
def test_100_megabytes_take_little_memory(tmp_path):
    """In a process of its own, for this one's peak may be that of a test before."""
    path = tmp_path / "x.csv"
    line = "2020-01-01 00:00,some-series-name,123.456,-7.25,0.5,1e-3,99\n"
    rows = 100_000_000 // len(line)
    for name, count in ((path, rows), (tmp_path / "x.csv.small", 10)):
        name.write_text("time,id,a,b,c,d,e\n" + line * count)
    done = subprocess.run([sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True)
    height, megabytes = done.stdout.split()
    assert int(height) == rows
    assert float(megabytes) < 1000
