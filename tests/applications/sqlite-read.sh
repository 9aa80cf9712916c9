# Usage: sqlite-read.sh STOP
# Looks, until there is a file of that name, whether every snapshot is of whole transactions. Says "good" at the end.
set -eu
look="SELECT count(*) FROM total WHERE entries <> (SELECT count(*) FROM entry WHERE entry.writer = total.writer)
        OR sum <> (SELECT coalesce(sum(number), 0) FROM entry WHERE entry.writer = total.writer)
        OR entries <> (SELECT coalesce(max(number), 0) FROM entry WHERE entry.writer = total.writer);"
while [ ! -e "$1" ]; do
        found=$({
                echo ".timeout 60000"
                for i in $(seq 20); do
                        echo "$look"
                done
        } | sqlite3 -batch -bail /dev/shm/base | sort -u)
        [ "$found" = 0 ] || { echo "$found snapshots are of parts of transactions"; exit 1; }
done
echo good
