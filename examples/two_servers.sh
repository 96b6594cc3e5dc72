#!/usr/bin/env bash
# Two machines, played by two empty directories, share one cache through two servers: the second one computes nothing.
#
#     bash two_servers.sh
#
# Each line of the story on standard error says hit or miss.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
mkdir "$work/buffers" "$work/alice" "$work/bob"
unset SEAMLESS_CACHE

start() { # NAME COMMAND...: start a server, wait until its status file says running, print its port
    local name=$1 status="$work/$1.json"
    shift
    "$@" --status-file "$status" >"$work/$name.log" 2>&1 &
    pids+=($!)
    echo "{\"status\": \"starting\", \"pid\": $!}" >"$status"
    for _ in $(seq 200); do
        port=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get("port", ""))' "$status")
        [ -z "$port" ] || return 0
        sleep 0.1
    done
    cat "$work/$name.log" >&2
    return 1
}

start hashserver hashserver "$work/buffers" --writable
hashserver_port=$port
start database seamless-database "$work/seamless.db" --writable
export SEAMLESS_REMOTE_CLIENTS="{
  \"buffer\":   [{\"readonly\": false, \"remote_url\": \"http://127.0.0.1:$hashserver_port\"}],
  \"database\": [{\"readonly\": false, \"remote_url\": \"http://127.0.0.1:$port\"}]
}"

for machine in alice bob; do
    cd "$work/$machine"
    cp /usr/share/common-licenses/GPL-3 licence.txt
    echo "$machine:" >&2
    seamless-run -v -c "tr -cs '[:alpha:]' '\\n' < licence.txt | sort -u | wc -l" 2> >(grep -E 'hit: |miss: ' | cut -c 1-40 >&2)
done
