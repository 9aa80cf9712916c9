# A writer and readers of one LMDB environment in /dev/shm. Usage: lmdb-share.py WRITE-BY (view or call). Says "good".
import multiprocessing
import os
import signal
import sys

import lmdb

PATH = '/dev/shm/environment'
READERS = 3
TRANSACTIONS = 400
KEYS = 500


def open_environment(by):
    return lmdb.open(PATH, map_size=64 << 20, writemap=by == 'view', sync=True, max_readers=16)


def value(transaction, key):
    return b'%d of %d ' % (key, transaction) * (1 + key % 50)


def write(by, first, last):
    environment = open_environment(by)
    for transaction in range(first, last):
        with environment.begin(write=True) as changes:
            changes.put(b'transaction', b'%d' % transaction)
            for key in range(transaction % 10, KEYS, 10):
                changes.put(b'key %d' % key, value(transaction, key))
    environment.close()


def check_snapshot(environment):
    with environment.begin(buffers=False) as snapshot:
        transaction = int(snapshot.get(b'transaction', b'-1'))
        for key in range(KEYS):
            # Each key was last written by the latest transaction of its kind.
            written = transaction - (transaction - key) % 10
            expected = value(written, key) if written >= 0 else None
            assert snapshot.get(b'key %d' % key) == expected, (transaction, key)
    return transaction


def read(by):
    environment = open_environment(by)
    seen, last = 0, -1
    while last < TRANSACTIONS - 1:
        transaction = check_snapshot(environment)
        assert transaction >= last
        last = transaction
        seen += 1
    assert seen > 1
    environment.close()


# Dies in its transaction, and with it the lock, which is in a view of the environment's own file.
def die(by):
    environment = open_environment(by)
    with environment.begin(write=True) as changes:
        changes.put(b'transaction', b'1000000')
        os.kill(os.getpid(), signal.SIGKILL)


def run(target, *arguments):
    process = multiprocessing.Process(target=target, args=arguments)
    process.start()
    return process


def end(process, status):
    process.join(120)
    assert process.exitcode == status, process.exitcode


if __name__ == '__main__':
    multiprocessing.set_start_method('spawn')
    how = sys.argv[1]
    readers = [run(read, how) for _ in range(READERS)]
    end(run(write, how, 0, TRANSACTIONS // 2), 0)
    end(run(die, how), -signal.SIGKILL)
    end(run(write, how, TRANSACTIONS // 2, TRANSACTIONS), 0)
    for reader in readers:
        end(reader, 0)
    assert check_snapshot(open_environment(how)) == TRANSACTIONS - 1
    print('good')
