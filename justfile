# The tasks of this project. `just` lists them; `./bootstrap.sh` installs just
# and whatever else they need.

set positional-arguments
set shell := ["bash", "-euo", "pipefail", "-c"]

# List the recipes
[private]
default:
    @{{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} --list --unsorted

# Start the server; settings come from .env and the command line
[group('run')]
run-server *ARGS:
    cargo run --bin buildbtw-server -- "$@"

# Start the server, and start it again whenever its code changes
[group('run')]
watch-server *ARGS:
    @{{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} _watch buildbtw-server "$@"

# Start a worker that builds with makepkg
[group('run')]
run-worker *ARGS:
    cargo run --bin buildbtw-worker -- "$@"

# Start a worker, and start it again whenever its code changes
[group('run')]
watch-worker *ARGS:
    @{{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} _watch buildbtw-worker "$@"

# Start a worker that makes valid but empty packages at once, without makepkg
[group('run')]
run-worker-fake *ARGS:
    BUILDER=fake cargo run --bin buildbtw-worker -- "$@"

# Run the client: `just run-client new libgreet/main`
[group('run')]
run-client *ARGS:
    @cargo run --bin bbtw -- "$@"

# Make git repositories of the demo's packages, for a server to plan with
[group('run')]
demo-sources FOLDER="data/sources":
    demo/repositories "$1"

# Let a remote machine (such as a GitLab that sends webhooks) reach the local server, through SSH
[group('run')]
reverse-tunnel HOST="" REMOTE_PORT="8080":
    #!/usr/bin/env bash
    set -euo pipefail
    if [[ -f .env ]]; then
        # A host or a port given in the environment goes before the file's.
        given_host=${REVERSE_TUNNEL_HOST:-} given_port=${PORT:-}
        source ./.env
        REVERSE_TUNNEL_HOST=${given_host:-${REVERSE_TUNNEL_HOST:-}} PORT=${given_port:-${PORT:-}}
    fi
    host=${1:-${REVERSE_TUNNEL_HOST:-}}
    if [[ -z $host ]]; then
        echo "error: no host to tunnel from" >&2
        echo "hint: \`just reverse-tunnel user@host.example.org\`, or REVERSE_TUNNEL_HOST in .env" >&2
        exit 2
    fi
    echo "Port $2 on $host leads to this machine's port ${PORT:-8080}; Ctrl-C ends it." >&2
    exec ssh -N -o ExitOnForwardFailure=yes -o ServerAliveInterval=30 -R "$2:127.0.0.1:${PORT:-8080}" "$host"

# Play seeds of the simulated world: `just simulate 0..10000` (about eight a second on two cores, 22 minutes)
[group('check')]
simulate SEEDS="0..10000":
    SIMULATION_SEEDS={{ quote(SEEDS) }} cargo test --release --workspace --test simulation -- --nocapture

# Show buildbtw at work, from package sources to an installed program (--keep leaves it running)
[group('check')]
demo *ARGS:
    cargo build --workspace --bins
    demo/run "$@"

# Show builds on GitLab, from a push to an installed program; GitLab and the Runners are played (--keep leaves it running)
[group('check')]
demo-gitlab *ARGS:
    cargo build --workspace --bins --examples
    "${CARGO_TARGET_DIR:-target}/debug/examples/demo-gitlab" "$@"

# Run all tests; BUILDBTW_CORPUS names a folder or archive of .SRCINFO files for those that can use one
[group('check')]
test *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    corpus=$({{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} _corpus)
    [[ -z $corpus ]] || export BUILDBTW_CORPUS=$corpus
    # Tests across crates start the programs as they are built here. Built together with the tests, a third of all
    # dependencies is compiled once, and not twice with other features.
    cargo build --workspace --bins --tests
    log=$(mktemp)
    trap 'rm -f -- "$log"' EXIT
    if cargo nextest --version >/dev/null 2>&1; then
        profile=${CI:+ci}
        cargo nextest run --profile "${profile:-default}" --workspace "$@" 2>&1 | tee -a "$log"
    else
        cargo test --workspace --lib --bins --tests "$@" 2>&1 | tee -a "$log"
    fi
    # Arguments pick tests by name, and those are not the documentation's.
    (($# > 0)) || cargo test --workspace --doc 2>&1 | tee -a "$log"
    # Both runners say how many passed, nextest once and cargo once a program.
    sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '
        /^ *Summary \[|^test result: ok/ && match($0, /[0-9]+ passed/) { passed += substr($0, RSTART) }
        END { print ""; print passed + 0 " tests passed"; exit passed == 0 }'

# Read, plan and prove mutated .SRCINFO files for so many seconds; BUILDBTW_CORPUS as for the tests
[group('check')]
fuzz SECONDS="600":
    #!/usr/bin/env bash
    set -euo pipefail
    corpus=$({{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} _corpus)
    [[ -z $corpus ]] || export BUILDBTW_CORPUS=$corpus
    cargo test -p buildbtw-graph --test rubbish --no-run
    # What needs more memory than this, or a round more time, has failed.
    ulimit -v 4000000
    export BUILDBTW_CASES=${BUILDBTW_CASES:-5000}
    end=$((SECONDS + $1)) rounds=0
    while ((SECONDS < end)); do
        export BUILDBTW_SEED=$((RANDOM << 45 | RANDOM << 30 | RANDOM << 15 | RANDOM))
        echo "BUILDBTW_SEED=$BUILDBTW_SEED BUILDBTW_CASES=$BUILDBTW_CASES"
        timeout --kill-after=10 600 cargo test -q -p buildbtw-graph --test rubbish
        rounds=$((rounds + 1))
    done
    echo "$rounds rounds of $BUILDBTW_CASES cases each: no panic, no hang, every plan proved"

# Run the benchmarks, in release builds; BUILDBTW_CORPUS as for the tests
[group('check')]
bench *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    corpus=$({{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} _corpus)
    [[ -z $corpus ]] || export BUILDBTW_CORPUS=$corpus
    # The benchmark of the whole program starts the programs as they are built here; together, as in `test`.
    cargo build --release --workspace --bins --benches
    cargo bench --workspace --benches "$@"

# Measure the pages: `just bench-pages [sizes|map|changes|memory|line|log|readers ...] [--full] [--judge]`
[group('check')]
bench-pages *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    corpus=$({{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} _corpus)
    [[ -z $corpus ]] || export BUILDBTW_CORPUS=$corpus
    # It starts the programs as they are built here; together, as in `test`.
    cargo build --release --workspace --bins --bench pages
    cargo bench --workspace --bench pages -- "$@"

# Check formatting, and let clippy look at everything
[group('check')]
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Check licences, known vulnerabilities and sources of all dependencies
[group('check')]
deny *ARGS:
    @{{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} _tool cargo-deny 'cargo install cargo-deny --locked' 'pacman -S cargo-deny'
    cargo deny --all-features check "$@"

# Run on this machine what CI runs: formatting, clippy, dependencies, all tests
[group('check')]
ci-dev: lint deny
    .ci/run

# Replace the part of GitLab's GraphQL schema in graphql/ by the whole one of a live GitLab
[group('maintain')]
update-graphql-schema DOMAIN="":
    #!/usr/bin/env bash
    set -euo pipefail
    if [[ -z ${GITLAB_DOMAIN:-} && -f .env ]]; then
        set -a
        source ./.env
        set +a
    fi
    cargo build --workspace --bins
    target=${CARGO_TARGET_DIR:-target}
    "$target/debug/update-graphql-schema" "${1:-${GITLAB_DOMAIN:-gitlab.archlinux.org}}"

# Write checksums and .SRCINFO of the demo's packages anew
[group('maintain')]
demo-refresh *FOLDERS:
    demo/refresh "$@"

# Prints the folder of .SRCINFO files for tests and benchmarks, or nothing where there is none. An
# archive, named by BUILDBTW_CORPUS or lying beside the checkout, is unpacked once.
_corpus:
    #!/usr/bin/env bash
    set -euo pipefail
    corpus=${BUILDBTW_CORPUS:-}
    if [[ -z $corpus ]]; then
        archives=(../shared/corpus/*.tar.zst)
        [[ -f ${archives[0]} ]] || exit 0
        corpus=${archives[-1]}
    fi
    if [[ -f $corpus ]]; then
        folder=${CARGO_TARGET_DIR:-target}/srcinfos/$(basename "$corpus" .tar.zst)
        # What is half unpacked never has the folder's name.
        if [[ ! -d $folder ]]; then
            mkdir -p "$(dirname "$folder")"
            part=$(mktemp -d "$folder.XXXXXX")
            trap 'rm -rf -- "$part"' EXIT
            bsdtar -xf "$corpus" -C "$part"
            # Archives have a folder of their own around those of the packages, or none.
            first=$(find "$part" -name .SRCINFO -print -quit)
            if [[ -z $first ]]; then
                echo "error: there is no .SRCINFO in $corpus" >&2
                exit 2
            fi
            mv -T "$(dirname "$(dirname "$first")")" "$folder" || [[ -d $folder ]]
        fi
        corpus=$folder
    fi
    if [[ ! -d $corpus ]]; then
        echo "error: BUILDBTW_CORPUS is \`$corpus\`, and that is neither a folder nor an archive" >&2
        exit 2
    fi
    realpath "$corpus"

# Runs a program again whenever its code changes, with whichever watcher is installed.
_watch program *args:
    #!/usr/bin/env bash
    set -euo pipefail
    program=$1
    shift
    if command -v watchexec >/dev/null; then
        exec watchexec --restart --exts rs,toml,sql,html,css,js,graphql --watch . --ignore 'target/**' --ignore 'data/**' \
            -- cargo run --bin "$program" -- "$@"
    elif command -v cargo-watch >/dev/null; then
        exec cargo watch --why --ignore 'target/*' --ignore 'data/*' \
            -s "cargo run --bin $program -- $(printf '%q ' "$@")"
    elif command -v bacon >/dev/null; then
        exec bacon run-long -- -p "$program" --bin "$program" -- "$@"
    fi
    echo 'error: there is no program that watches files' >&2
    echo 'hint: install one of them: `cargo install watchexec-cli --locked` (on Arch Linux: `pacman -S watchexec`), `cargo install cargo-watch --locked` or `cargo install bacon --locked`' >&2
    exit 1

# Says how to install a tool that only this recipe needs.
_tool program *ways:
    #!/usr/bin/env bash
    set -euo pipefail
    command -v "$1" >/dev/null && exit 0
    echo "error: \`$1\` is not installed" >&2
    shift
    printf 'hint: `%s`\n' "$@" >&2
    exit 1
