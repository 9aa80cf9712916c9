#!/bin/sh
# Whether the rooms of src/ depend on each other in one direction alone, as docs/design.md has it. Usage: test-rooms.sh SOURCES
set -eu
cd "$1"

# Each may include what belongs to those before it.
rooms="base pool options mount kernel ledger registry operations server handover keeper"

count=0
failed=0

# check WHAT FOUND: whether nothing was found.
check() {
        count=$((count + 1))
        if [ -z "$2" ]; then
                echo "ok $count - $1"
        else
                echo "not ok $count - $1"
                echo "$2" | sed 's/^/# /'
                failed=1
        fi
}

# within PLACE ROOM...: the inclusions in PLACE from other rooms than these.
within() {
        place=$1
        shift
        allowed=$(echo "$*" | tr ' ' '|')
        grep -rnE '#include "[a-z]+/' "$place" | grep -vE "#include \"($allowed)/" || true
}

before=""
for room in $rooms; do
        before="$before $room"
        check "$room" "$(within "$room" $before)"
done
check "regionctl" "$(within regionctl base)"
check "whole paths" "$(for room in $rooms; do grep -rnE '#include "[^/]+"' "$room" || true; done)"
check "all rooms" "$(ls | grep -vxE "$(echo $rooms regionctl main.c meson.build | tr ' ' '|')" || true)"
check "FUSE" "$(grep -rnE '#include <fuse' . | grep -vE '^\./(options|operations|server)/' || true)"
echo "1..$count"
exit $failed
