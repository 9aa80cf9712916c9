# Usage: sqlite-write.sh WRITER TRANSACTIONS PROCESSES
# Adds entries and keeps their count and sum in the same transactions, from several processes one after the other.
set -eu
for process in $(seq "$3"); do
        {
                echo ".timeout 60000"
                for number in $(seq $(((process - 1) * $2 + 1)) $((process * $2))); do
                        echo "BEGIN IMMEDIATE;"
                        echo "INSERT INTO entry VALUES ($1, $number, hex(zeroblob(200 + $number % 600)));"
                        echo "UPDATE total SET entries = entries + 1, sum = sum + $number WHERE writer = $1;"
                        echo "COMMIT;"
                done
        } | sqlite3 -batch -bail /dev/shm/base
done
