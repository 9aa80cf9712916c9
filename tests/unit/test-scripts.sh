#!/bin/sh
# What the scripts in contrib/ say of arguments that they do not take, and that they begin nothing then.
# Usage: test-scripts.sh CONTRIB
set -eu
contrib=$1

count=0
failed=0

# says STATUS PART SCRIPT ARGUMENT...
says() {
        status=$1 part=$2
        shift 2
        count=$((count + 1))
        code=0
        said=$(timeout 60 "$contrib/$@" 2>&1) || code=$?
        case $code,$said in
        "$status,"*"$part"*) echo "ok $count - $*" ;;
        *)
                echo "not ok $count - $*"
                echo "$code: $said" | sed 's/^/# /'
                failed=1
                ;;
        esac
}

for script in build run test; do
        for help in --help -h; do
                says 0 "Usage: contrib/$script [" $script $help
        done
done
for script in build test; do
        says 2 "contrib/build: foo is not allowed: it takes Meson options alone" $script foo
        says 2 'contrib/build: "" is not allowed: it takes Meson options alone' $script ""
        says 2 "contrib/build: -D is not allowed: it takes Meson options alone" $script -Dwerror=true -D
done
says 2 "contrib/run: -x is not allowed: it takes one MOUNTPOINT" run -x
says 2 "contrib/run: /tmp/b is not allowed: it takes one MOUNTPOINT" run /tmp/a /tmp/b
says 1 "contrib/run: /dev/null is not allowed: a MOUNTPOINT is a directory" run /dev/null

echo "1..$count"
exit $failed
