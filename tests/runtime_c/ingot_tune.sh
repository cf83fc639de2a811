# ingot_tune.sh FOLDER COMMAND...: the tool ingot-tune (COMMAND, perhaps in an emulator) with the packs of FOLDER: what
# it writes, refuses, resumes, and what is left after an interrupt.
set -eu
folder=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/out.timings

fail() { echo "ingot_tune.sh: $*" >&2; exit 1; }
expect() { # STATUS WORDS COMMAND...: exits so, and says so on stderr or stdout
    status=$1 words=$2
    shift 2
    found=0
    "$@" > "$work/said" 2>&1 || found=$?
    [ "$found" = "$status" ] || fail "status $found instead of $status of $*: $(cat "$work/said")"
    grep -q -- "$words" "$work/said" || fail "'$words' is not in what $* says: $(cat "$work/said")"
}
entries() { grep -c "	" "$1" || true; }
sealed() { [ "$(tail -n 1 "$1")" = "sha256 $(sed '$d' "$1" | sha256sum | cut -d ' ' -f 1)" ]; }

warm=$folder/packs/warm.ingot
expect 0 'usage: ingot-tune' "$@" --help
expect 2 'a pack is missing' "$@"
expect 2 '-o TIMINGS is missing' "$@" "$warm"
expect 2 '--threads takes' "$@" "$warm" -o "$out" --threads 0
expect 2 '--seconds takes' "$@" "$warm" -o "$out" --seconds x
expect 2 'unknown option' "$@" "$warm" -o "$out" --fast

# one clear line each, and nothing written
expect 1 'not a tuning pack' "$@" "$folder/corpus/counter.ingot" -o "$out"
expect 1 'No such file' "$@" "$work/none" -o "$out"
head -c 3000 "$warm" > "$work/cut.ingot"
expect 1 'bytes, its header says' "$@" "$work/cut.ingot" -o "$out"
for pack in aarch64 x86-64; do
    "$@" "$folder/packs/$pack.ingot" -o "$work/$pack.timings" 2>> "$work/foreign" || true
done
grep -q 'wanted .*, found ' "$work/foreign" || fail "no foreign pack was refused"
[ "$(wc -l < "$work/foreign")" = "$(grep -c 'wanted' "$work/foreign")" ] || fail "$(cat "$work/foreign")"
[ ! -e "$out" ] || fail "a refusal wrote a file"
expect 1 'No such file or directory' "$@" "$warm" -o "$work/none/out.timings"

# all of it, twice, and with other threads in the same file
expect 0 '2 problems' "$@" "$warm" -o "$out"
count=$(entries "$out")
[ "$count" -gt 2 ] && sealed "$out" || fail "an incomplete file: $(cat "$out")"
cp "$out" "$work/first"
expect 1 'exists: --resume' "$@" "$warm" -o "$out"
expect 0 " 0 candidates measured, $count known" "$@" "$warm" -o "$out" --resume
cmp "$out" "$work/first" || fail "resuming what is complete changed it"
expect 0 " $count candidates measured, 0 known" "$@" "$warm" -o "$out" --resume --threads 2 --seconds 1
[ "$(entries "$out")" = $((2 * count)) ] && sealed "$out" || fail "threads are no part of the key"

# a lost line is measured with its whole problem; a changed file is refused and kept
sed -e '$d' "$work/first" | sed -e '$d' > "$out"
expect 0 'candidates measured' "$@" "$warm" -o "$out" --resume
[ "$(entries "$out")" = "$count" ] || fail "the lost line is still lost"
sed 's/	[0-9]*$/	9999/' "$work/first" > "$out"
cp "$out" "$work/changed"
expect 1 'is damaged' "$@" "$warm" -o "$out" --resume
cmp "$out" "$work/changed" || fail "a damaged file was written over"
echo hello > "$out"
expect 1 'is no timing cache' "$@" "$warm" -o "$out" --resume

# an interrupt keeps what was measured, and the rest follows
cold=$folder/packs/cold.ingot
rm "$out"
"$@" "$cold" -o "$out" 2> "$work/said" &
while [ ! -e "$out" ]; do sleep 0.05; done
kill -INT $!
found=0
wait $! || found=$?
[ "$found" = 130 ] || fail "status $found after an interrupt: $(cat "$work/said")"
grep -q 'interrupted: .* of 2 problems; go on with --resume' "$work/said" || fail "$(cat "$work/said")"
! sealed "$out" || fail "an interrupted file looks finished"
expect 0 '2 problems' "$@" "$cold" -o "$out" --resume
[ "$(entries "$out")" = "$count" ] && sealed "$out" || fail "the rest is missing: $(cat "$out")"
