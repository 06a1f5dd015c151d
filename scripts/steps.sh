# Sourced by scripts/check and scripts/test. POSIX sh.
#
#   step NAME COMMAND...    runs one step and prints how long it took; after a failure, the next steps still run
#   finish_steps            lists the failed steps, and exits with 1 if there are any

failed=

step() {
    name=$1
    shift
    echo "== $name"
    began=$(date +%s)
    if "$@"; then
        echo "== $name: ok ($(($(date +%s) - began)) s)"
    else
        failed="$failed
  $name"
        echo "== $name: FAILED ($(($(date +%s) - began)) s)"
    fi
}

finish_steps() {
    if [ -n "$failed" ]; then
        echo "Failed:$failed"
        exit 1
    fi
    echo "All passed."
}
