#!/usr/bin/env bash
# What the completion of regionctl offers for words as readline cuts them.
# Usage: test-completions.sh COMPLETIONS
set -eu
compopt() { :; }
source "$1"

count=0
failed=0

# offers EXPECTED WORD...: for the last one.
offers() {
        local expected=$1 offered
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _regionctl || true
        offered=${COMPREPLY[*]-}
        count=$((count + 1))
        if [ "$offered" = "$expected" ]; then
                echo "ok $count - $*"
        else
                echo "not ok $count - $*"
                echo "# $offered"
                failed=1
        fi
}

rules="allocation= length= lifetime= mode= sealed=1"
keys="name logical padded resident handles age"

offers "seal set stat status" regionctl s
offers "--delay --help" regionctl top -
offers "--lifetime" regionctl create x --l
offers "$keys" regionctl ls --sort ""
offers "$keys" regionctl ls --sort =
offers "logical" regionctl ls --sort = l
offers "kept handles" regionctl create x --lifetime ""
offers "handles" regionctl create x --lifetime = h
offers "allocation lifetime" regionctl set x -r ""
offers "lifetime" regionctl set x --reset = l
offers "$rules" regionctl set x ""
offers "length= lifetime=" regionctl set x l
offers "kept handles" regionctl set x lifetime =
offers "kept" regionctl set x lifetime = k
offers "committed" regionctl set x allocation = c
# Nothing where only the user knows the value, nor for what is a name and not a rule.
offers "" regionctl set x length =
offers "" regionctl set x length = 1
offers "$rules" regionctl set lifetime ""
offers "" regionctl stat ""

echo "1..$count"
exit $failed
