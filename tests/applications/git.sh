# A repository's life in the mount. Usage: git.sh, in a directory on disk. Says "good" at the end.
set -eu
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git config --global init.defaultBranch main
git config --global protocol.file.allow always
git config --global advice.detachedHead false
commits=300

# Commits of some files each, among them one that grows.
history() {
        awk -v commits=$commits 'BEGIN {
                for (i = 1; i <= commits; i++) {
                        grown = grown "line " i "\n"
                        text = "file of commit " i "\n"
                        for (j = 0; j < i % 40; j++)
                                text = text "more of it: " i * j "\n"
                        message = "commit " i
                        printf "commit refs/heads/main\ncommitter a <a@b> %d +0000\n", 1000000000 + i
                        printf "data %d\n%s\n", length(message), message
                        printf "M 100644 inline d%d/e%d/f%d\ndata %d\n%s\n", i % 7, i % 3, i, length(text), text
                        printf "M 100755 inline grown\ndata %d\n%s\n", length(grown), grown
                }
        }'
}

check() {
        git -C "$1" fsck --full --strict --no-progress >fsck 2>&1
        if grep -v '^dangling' fsck; then return 1; fi
        [ "$(git -C "$1" rev-parse main)" = "$head" ]
        [ "$(git -C "$1" rev-list --count main)" = $commits ]
}

git init -q --bare origin
history | git -C origin fast-import --quiet
git clone -q origin tree
head=$(git -C origin rev-parse main)

# By a pack that is sent, by hard links, and by copying.
git clone -q "file://$PWD/origin" /dev/shm/sent
git clone -q --local /dev/shm/sent /dev/shm/linked
git clone -q --no-hardlinks /dev/shm/sent /dev/shm/copied
for name in sent linked copied; do
        check /dev/shm/$name
        diff -r --exclude=.git tree /dev/shm/$name
        [ -z "$(git -C /dev/shm/$name status --porcelain)" ]
done
[ "$(stat -c %h /dev/shm/linked/.git/objects/pack/*.pack)" = 2 ]

# Packs are read through small windows, which are views that come and go.
cd /dev/shm/sent
git config core.packedGitWindowSize 4096
git config core.packedGitLimit 64k
git repack -q -a -d -f --window=20
git gc -q --prune=now
for commit in $(git rev-list main | awk 'NR % 25 == 0'); do
        git checkout -q "$commit"
        [ "$(wc -l <grown)" = "$(git rev-list --count HEAD)" ]
        [ -z "$(git status --porcelain)" ]
done
git checkout -q main
cd "$OLDPWD"
check /dev/shm/sent

# Changes, and back to where they came from.
cd /dev/shm/copied
for i in $(seq 20); do
        echo "$i" >"new-$i"
        git add "new-$i"
        git commit -q -m "new $i"
done
git rebase -q --onto main~25 main~20 main
git mv new-1 d1/renamed
git commit -q -a -m renamed
git push -q "$OLDPWD/origin" main:changed
[ "$(git rev-list --count main)" = $((commits + 16)) ]
cd "$OLDPWD"
git -C origin fsck --full --strict --no-progress
[ "$(git -C origin rev-parse changed)" = "$(git -C /dev/shm/copied rev-parse main)" ]
rm -r /dev/shm/sent /dev/shm/linked /dev/shm/copied
echo good
