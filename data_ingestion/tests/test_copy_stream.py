"""The file between the thread that makes rows and the thread that sends them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from data_ingestion.postgres.copy_stream import CopyStream

BEGIN, END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


@pytest.fixture
def thread():
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


def read_all(stream: CopyStream, size: int) -> bytes:
    return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_the_reader_gets_all_blocks_in_order(thread, size):
    stream = CopyStream()
    reading = thread.submit(read_all, stream, size)
    assert all(stream.write(block) for block in (b"one", b"", memoryview(b"two"), b"three" * 99))
    stream.close()
    assert reading.result(timeout=10) == BEGIN + b"onetwo" + b"three" * 99 + END


def test_a_writer_does_not_wait_for_a_reader_that_has_stopped(thread):
    stream = CopyStream()
    stream.write(b"one")
    writing = thread.submit(stream.write, b"two")  # waits: nobody has read the first block
    assert not writing.done()
    stream.stop_reading()
    assert writing.result(timeout=10) is False
    assert not any(stream.write(b"more") for _ in range(3))
    stream.close()


def test_a_cancelled_reader_fails_although_it_waits(thread):
    stream = CopyStream()
    assert stream.read(100) == BEGIN
    started = threading.Event()

    def read() -> bytes:
        started.set()
        return stream.read(100)

    reading = thread.submit(read)
    started.wait(timeout=10)
    stream.cancel()
    with pytest.raises(InterruptedError):
        reading.result(timeout=10)


def test_a_cancelled_reader_does_not_read_the_blocks_that_wait():
    stream = CopyStream()
    assert stream.read(100) == BEGIN
    stream.write(b"one")
    stream.cancel()
    with pytest.raises(InterruptedError):
        stream.read(100)
