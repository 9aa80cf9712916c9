# A writer that is killed in the middle of a transaction, after it has written some of it to the log. Says "good" at the end.
set -eu
sqlite3 -batch -bail /dev/shm/base "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1);" >/dev/null
mkfifo commands
sqlite3 -batch -bail /dev/shm/base <commands &
writer=$!
exec 3>commands
echo "PRAGMA cache_size = 10; BEGIN; INSERT INTO t SELECT hex(zeroblob(5000)) FROM generate_series(1, 1000);
.system touch begun" >&3
while [ ! -e begun ]; do
        kill -0 $writer
        sleep 0.01
done
[ "$(stat -c %s /dev/shm/base-wal)" -gt 1000000 ]
kill -9 $writer
wait $writer 2>/dev/null || true
exec 3>&-
[ "$(sqlite3 -batch -bail /dev/shm/base 'PRAGMA integrity_check; SELECT * FROM t;')" = "ok
1" ]
rm /dev/shm/base
echo good
