#!/bin/sh
# Whether the rooms of src/ depend on each other in one direction alone, as docs/design.md has it.
# Usage: test-rooms.sh SOURCES
set -eu
cd "$1"

# Each may include what belongs to those before it.
daemon="base pool options mount kernel ledger registry operations server handover keeper"
regionctl="words facts display changes verbs"

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

# one_of NAME...: a pattern.
one_of() { echo "($*)" | tr ' ' '|'; }

# within PLACE ROOM...: what PLACE includes of others than these, or without naming the room.
within() {
        place=$1
        shift
        grep -rn '#include "' "$place" | grep -vE "#include \"$(one_of "$@")/[^/]+\"" || true
}

# but PLACE NAME...: what is there besides these.
but() {
        ls "$1" | {
                shift
                grep -vxE "$(one_of "$@")" || true
        }
}

seen=""
for room in $daemon; do
        seen="${seen:+$seen }$room"
        check "$room" "$(within "$room" $seen)"
done
seen="base"
for room in $regionctl; do
        seen="$seen regionctl/$room"
        check "regionctl/$room" "$(within "regionctl/$room" $seen)"
done
check "no other rooms" "$(but . $daemon regionctl main.c meson.build; but regionctl $regionctl main.c meson.build)"
check "FUSE" "$(grep -rn '#include <fuse' . | grep -vE '^\./(options|operations|server)/' || true)"
echo "1..$count"
exit $failed
