"""The private APIs of zipfile in formats/archive.py.

A failure names what a new version of Python has changed.
"""

import inspect
import io
import zipfile

from data_ingestion.formats.archive import directory_size


def test_zipfile_reads_the_size_of_the_directory_from_the_end_record():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("a.csv", "longer.csv"):
            archive.writestr(name, b"x")
    # 46 bytes for each entry, and its name (APPNOTE.TXT, section 4.3.12)
    assert directory_size(file) == 2 * 46 + len("a.csv") + len("longer.csv")
    assert directory_size(io.BytesIO(b"no zip")) is None


def test_zipfile_reads_the_directory_by_the_same_end_record():
    """If ZipFile used another record, the loader would check another size than ZipFile reads."""
    source = inspect.getsource(zipfile.ZipFile._RealGetContents)
    assert "_EndRecData(fp)" in source and "endrec[_ECD_SIZE]" in source
