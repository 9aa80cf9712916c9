# Every kind of shared memory that Python's multiprocessing has. Says "good" at the end.
import hashlib
import multiprocessing
import multiprocessing.managers
import multiprocessing.shared_memory
import os
import sys
from multiprocessing.shared_memory import SharedMemory, ShareableList

WORKERS = 4
LENGTH = 1 << 20
ROUNDS = 2000


def count_and_fill(name, worker, lock):
    region = SharedMemory(name=name)
    counter = region.buf[:8].cast('Q')
    for _ in range(ROUNDS):
        with lock:
            counter[0] += 1
    counter.release()
    part = (LENGTH - 4096) // WORKERS
    start = 4096 + worker * part
    region.buf[start:start + part] = pattern(worker, part)
    region.close()


def pattern(worker, length):
    return bytes((i * 7 + worker) & 255 for i in range(256)) * (length // 256) + bytes(length % 256)


def digest(arguments):
    name, start, length = arguments
    region = SharedMemory(name=name)
    result = hashlib.sha256(region.buf[start:start + length]).hexdigest()
    region.close()
    return result


def append_to_array(array, first):
    for i in range(first, len(array), WORKERS):
        array[i] = i * i


def double_all(numbers):
    for i, number in enumerate(numbers):
        numbers[i] = number * 2


def check_shared_memory(context):
    region = SharedMemory(create=True, size=LENGTH)
    path = '/dev/shm/' + region.name
    assert os.stat(path).st_size == LENGTH
    assert bytes(region.buf) == bytes(LENGTH)
    lock = context.Lock()
    workers = [context.Process(target=count_and_fill, args=(region.name, i, lock)) for i in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0, worker.exitcode
    part = (LENGTH - 4096) // WORKERS
    assert int.from_bytes(region.buf[:8], sys.byteorder) == WORKERS * ROUNDS
    for worker in range(WORKERS):
        start = 4096 + worker * part
        assert bytes(region.buf[start:start + part]) == pattern(worker, part), worker
    with open(path, 'rb') as file:
        assert file.read() == bytes(region.buf)
    jobs = [(region.name, i * 4096, 4096) for i in range(LENGTH // 4096)]
    with context.Pool(WORKERS) as pool:
        found = pool.map(digest, jobs)
    assert found == [hashlib.sha256(region.buf[start:start + length]).hexdigest() for _, start, length in jobs]
    try:
        SharedMemory(name=region.name, create=True, size=1)
        raise AssertionError('a name was taken twice')
    except FileExistsError:
        pass
    region.unlink()
    assert not os.path.exists(path)
    try:
        SharedMemory(name=region.name)
        raise AssertionError('a name is there that was unlinked')
    except FileNotFoundError:
        pass
    assert int.from_bytes(region.buf[:8], sys.byteorder) == WORKERS * ROUNDS
    region.close()


def check_lists(context):
    with multiprocessing.managers.SharedMemoryManager(ctx=context) as manager:
        numbers = manager.ShareableList(range(1000))
        worker = context.Process(target=double_all, args=(numbers,))
        worker.start()
        worker.join()
        assert worker.exitcode == 0
        assert list(numbers) == list(range(0, 2000, 2))
        same = ShareableList(name=numbers.shm.name)
        assert same[999] == 1998
        same.shm.close()
        name = numbers.shm.name
        assert os.path.exists('/dev/shm/' + name)
    assert not os.path.exists('/dev/shm/' + name)


def check_arrays(context):
    array = context.Array('q', 10000)
    workers = [context.Process(target=append_to_array, args=(array, i)) for i in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert array[:] == [i * i for i in range(10000)]


if __name__ == '__main__':
    for method in 'fork', 'spawn':
        context = multiprocessing.get_context(method)
        check_shared_memory(context)
        check_lists(context)
        check_arrays(context)
    print('good')
