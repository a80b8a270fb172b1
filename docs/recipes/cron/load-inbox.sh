#!/bin/sh
# Loads each file of the inbox whose load is not finished. It prints, and so mails, only what wants a person.
# In the present directory: inbox/*.ndjson, load directories beside them, and load.log.
set -u
worst=0

for file in inbox/*.ndjson; do
    [ -e "$file" ] || continue
    # A finished load is told once; 3 has been mailed on the day.
    grep -qs '"complete": *true' "$file.load/summary.json" && continue
    loader load "$file" -q 2>>load.log
    code=$?
    case $code in
    0) continue ;;
    3) echo "$file: finished, some records were refused. Mend $file.load/rejected.ndjson, then: loader retry $file.load" ;;
    4) echo "$file: some records are in doubt. Type: loader resolve $file.load" ;;
    7 | 11 | 130 | 143)
        # The next run goes on. Only when that has not helped for a day is it worth a mail.
        [ -n "$(find "$file" -mmin +1440)" ] && echo "$file: not loaded for a day (exit $code); see load.log"
        ;;
    *) echo "$file: stopped with exit $code: $(tail -n 5 load.log)" ;;
    esac
    worst=$code
done
exit "$worst"
