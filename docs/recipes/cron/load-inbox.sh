#!/bin/sh
# Loads each file of the inbox whose load is not finished. It prints, and so mails, only what wants a person, and
# the same of a file only once. Exit code 1: something was printed; 0: nothing.
# In the present directory: inbox/*.ndjson, beside each its load directory and its .told, and load.log.
set -u
told=0

# Prints a word on $file, unless the last one was on the same exit code.
tell() {
    [ "$(cat "$file.told" 2>/dev/null)" = "$code" ] && return
    printf '%s: %s\n' "$file" "$1"
    echo "$code" >"$file.told"
    told=1
}

for file in inbox/*.ndjson; do
    [ -e "$file" ] || continue
    grep -qs '"complete": *true' "$file.load/summary.json" && continue
    echo "--- $(date '+%Y-%m-%d %H:%M:%S %z') $file" >>load.log
    loader load "$file" -q 2>run.log
    code=$?
    cat run.log >>load.log
    case $code in
    0) rm -f "$file.told" ;;
    3)
        # rejected.ndjson is there if something was refused; without it all that was not inserted is a duplicate.
        if [ -s "$file.load/rejected.ndjson" ]; then
            tell "finished, some records were refused. Mend $file.load/rejected.ndjson, then: loader retry $file.load"
        else
            tell "finished, and some records were in the CRM already: loader results $file.load --outcome duplicate"
        fi
        ;;
    4) tell "some records are in doubt. Type: loader resolve $file.load" ;;
    7 | 11 | 130 | 143)
        # The next run goes on. Only when that has not helped for a day is it worth a mail.
        if [ -n "$(find "$file" -mmin +1440)" ]; then
            tell "not loaded for a day (exit $code); see load.log"
        else
            rm -f "$file.told"
        fi
        ;;
    *) tell "stopped with exit $code: $(cat run.log)" ;;
    esac
done
rm -f run.log
exit "$told"
